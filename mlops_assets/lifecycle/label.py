"""A label: what turned out to be true of one prediction."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

FIELDS = ("prediction_id", "unit", "at", "value", "observed_at")

LARGEST = sys.float_info.max
Value = float | tuple[str, ...]


@dataclass(frozen=True)
class Label:
    """What turned out to be true of one prediction.

    Parameters
    ----------
    model : str
    value : float or tuple of str
        The target; for rankings the items that the unit took up.
    logged_at : datetime
        When the label came (aware): of two for one prediction, the newer holds.
    prediction_id : str or None
        The prediction, or else ``unit`` and ``at``:
    unit : str or None
    at : datetime or None
        The prediction's event time (aware), to the microsecond.
    observed_at : datetime or None
        When it turned out (aware), where that is known.
    source : str
        Who sent it.
    """

    model: str
    value: Value
    logged_at: datetime
    prediction_id: str | None = None
    unit: str | None = None
    at: datetime | None = None
    observed_at: datetime | None = None
    source: str = ""

    def __post_init__(self):
        whole = (self.unit is not None, self.at is not None)
        if (self.prediction_id is not None) + all(whole) != 1 or any(whole) != all(whole):
            raise ValueError("a label names its prediction by prediction_id, or by unit and at")
        for name in ("at", "observed_at", "logged_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name}: {moment.isoformat()} has no offset from UTC")
        if isinstance(self.value, float | int):
            _refuse_not_finite(self.value)


def impossible(value: Any, task: str) -> str | None:
    """What a label of a task is, if a value can't be one; else None."""
    if task == "ranking":
        return None if isinstance(value, list | tuple) else "a list of item ids"
    if isinstance(value, list | tuple):
        return "a number"
    if task == "binary_classification":
        return None if value in (0, 1) else "0 or 1"
    if task in ("multiclass_classification", "count_regression"):
        return None if value >= 0 and value == int(value) else "a whole number, 0 or more"
    return None


def label_from(
    model: str,
    fields: Mapping[str, Any],
    *,
    logged_at: datetime,
    source: str,
    task: str | None = None,
) -> Label:
    """The label that a client describes in JSON's types.

    Parameters
    ----------
    model : str
    fields : mapping
        ``value`` (a number, or a list of item ids), and ``prediction_id`` or ``unit`` and ``at``;
        ``observed_at`` if known. Times are ISO 8601 with an offset. Null is absent.
    logged_at : datetime
    source : str
    task : str or None
        The model's, where it is known: a label that it can't have is refused.

    Raises
    ------
    ValueError
        Naming the field and what is wrong with it.
    """
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"unknown field {name!r}; known: {', '.join(FIELDS)}")
    value = _value(fields.get("value"))
    wanted = impossible(value, task) if task is not None else None
    if wanted is not None:
        raise ValueError(f"value: {wanted} (the task is {task}), not {fields['value']!r}")
    return Label(
        model=model,
        value=value,
        logged_at=logged_at,
        prediction_id=_text(fields, "prediction_id"),
        unit=_text(fields, "unit"),
        at=_moment(fields, "at"),
        observed_at=_moment(fields, "observed_at"),
        source=source,
    )


def _value(value: Any) -> Value:
    if isinstance(value, list | tuple):
        bad = [item for item in value if isinstance(item, bool) or not isinstance(item, str | int)]
        if bad:
            raise ValueError(f"value: an item id is text or a whole number, not {bad[0]!r}")
        return tuple(str(item) for item in value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        _refuse_not_finite(value)
        return value
    raise ValueError(f"value: a number or a list of item ids, not {value!r}")


def _refuse_not_finite(value: float) -> None:
    # Not math.isfinite, which raises for an integer that no float can hold.
    if not abs(value) <= LARGEST:
        raise ValueError("value: the number is not finite")


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if name == "unit" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # as the server logs a unit that came as a number
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: text, not {value!r}")
    return value


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError(f"{name}: an ISO 8601 time, not {value!r}") from None


def encode(label: Label) -> bytes:
    """A label as a JSON document in ASCII."""
    moments = {
        name: moment and moment.isoformat()
        for name in ("at", "observed_at", "logged_at")
        for moment in [getattr(label, name)]
    }
    return json.dumps(
        {**vars(label), **moments}, separators=(",", ":"), allow_nan=False
    ).encode("ascii")  # fmt: skip


def decode(document: bytes | str) -> Label:
    """The label of a document.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is not one.
    """
    fields = json.loads(document)
    for name in ("at", "observed_at", "logged_at"):
        if fields[name] is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    if isinstance(fields["value"], list):
        fields["value"] = tuple(fields["value"])
    return Label(**fields)
