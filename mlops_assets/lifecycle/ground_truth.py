"""Ground truth that clients send: labels in a log of their own, and which of them holds.

A label is never changed. A later one for the same prediction takes its place, and both are kept.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.prediction_log import reading, rows
from mlops_assets.lifecycle.prediction_log.lines import line
from mlops_assets.lifecycle.prediction_log.segments import (
    SEGMENT_BYTES,
    SYNC_SECONDS,
    Durability,
    SegmentWriter,
)

if TYPE_CHECKING:
    from mlops_assets.lifecycle.prediction_log import Record

FOLDER = ".feedback"  # in the prediction log's; no model's name begins with a dot
FIELDS = ("prediction_id", "unit", "at", "value", "observed_at")

Value = float | tuple[str, ...]
Place = tuple[str, int]  # a unit, and the event time in microseconds


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
        if isinstance(self.value, float | int) and not math.isfinite(self.value):
            raise ValueError(f"value: {self.value} is not finite")


@dataclass
class Feedback:
    """What labels say of some predictions. None: two labels of one moment contradict each other.

    Parameters
    ----------
    by_prediction : dict of str to Value or None
    by_place : dict of (unit, microseconds) to Value or None
    """

    by_prediction: dict[str, Value | None] = field(default_factory=dict)
    by_place: dict[Place, Value | None] = field(default_factory=dict)


def label_from(model: str, fields: Mapping[str, Any], *, logged_at: datetime, source: str) -> Label:
    """The label that a client describes in JSON's types.

    Parameters
    ----------
    model : str
    fields : mapping
        ``value`` (a number, or a list of item ids), and ``prediction_id`` or ``unit`` and ``at``;
        ``observed_at`` if known. Times are ISO 8601 with an offset. Null is absent.
    logged_at : datetime
    source : str

    Raises
    ------
    ValueError
        Naming the field and what is wrong with it.
    """
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"unknown field {name!r}; known: {', '.join(FIELDS)}")
    return Label(
        model=model,
        value=_value(fields.get("value")),
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
        return value
    raise ValueError(f"value: a number or a list of item ids, not {value!r}")


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


class FeedbackLog:
    """Labels in segment files of their own, beside the predictions', and in the same database.

    Parameters
    ----------
    log_folder : Path
        The prediction log's folder.
    segment_bytes, durability, sync_seconds, database
        As for `PredictionLog`.
    """

    kind = rows.LABEL

    def __init__(
        self,
        log_folder: Path,
        segment_bytes: int = SEGMENT_BYTES,
        *,
        durability: Durability = "write",
        sync_seconds: float = SYNC_SECONDS,
        database: str | None = None,
    ):
        self.folder = log_folder / FOLDER
        self._writer = SegmentWriter(self.folder, segment_bytes, durability, sync_seconds)
        self._merged = reading.Merged(self.folder, self.kind, decode, database, log_folder)

    def append(self, labels: Sequence[Label]) -> None:
        """Write labels, all of one model, in a single system call.

        Raises
        ------
        OSError
            When they are not in the log: the sender must be told.
        """
        (model,) = {label.model for label in labels}
        self._writer.append(model, b"".join(line(encode(label)) for label in labels))

    def row(self, document: bytes) -> dict[str, Any]:
        """A document's columns in the database, but for the model and the place.

        Raises
        ------
        ValueError, KeyError, TypeError
            When the document is no label.
        """
        label = decode(document)
        return {
            "prediction_id": rows.indexed(label.prediction_id),
            "unit": rows.indexed(label.unit),
            "at": None if label.at is None else rows.microseconds(label.at),
            "logged_at": rows.microseconds(label.logged_at),
            "document": document.decode("ascii"),
        }

    def history(self, model: str) -> list[Label]:
        """Every label of a model, oldest first, those that were corrected too."""
        query = reading.Query(model, rows.Condition("logged_at", None, None))
        with closing(self._merged.read(query, reading.Torn())) as found:
            return sorted(found, key=lambda label: label.logged_at)

    def known(self, model: str, records: "Iterable[Record]") -> Feedback:
        """What labels say of some predictions: for each the newest.

        Memory is that of the records; of the labels in the database, those around them are read.

        Raises
        ------
        EvidenceError
            For a damaged line, naming file and line.
        """
        ids: set[str] = set()
        places: set[Place] = set()
        for record in records:
            ids.add(record.prediction_id)
            if record.unit is not None:
                places.add((record.unit, rows.microseconds(record.at)))
        return Feedback(self._newest(model, ids, _id), self._newest(model, places, place_of))

    def _newest(self, model: str, wanted: set, name) -> dict[Any, Value | None]:
        if not wanted:
            return {}
        if name is _id:
            low, high = rows.indexed(min(wanted)), rows.indexed(max(wanted))
            condition = rows.Condition("prediction_id", low, high, closed=True)
        else:
            times = [at for _, at in wanted]
            condition = rows.Condition("at", min(times), max(times), closed=True)
        newest: dict[Any, tuple[datetime, Value | None]] = {}
        with closing(self._merged.read(reading.Query(model, condition), reading.Torn())) as found:
            for label in found:
                if name(label) in wanted:
                    newest[name(label)] = _later(newest.get(name(label)), label)
        return {key: value for key, (_, value) in newest.items()}

    def close(self) -> None:
        """Sync and close the segments."""
        self._writer.close()


def _id(label: Label) -> str | None:
    return label.prediction_id


def place_of(it: "Label | Record") -> Place | None:
    """Unit and event time, where it has both."""
    if it.unit is None or it.at is None:
        return None
    return it.unit, rows.microseconds(it.at)


def _later(
    held: tuple[datetime, Value | None] | None, label: Label
) -> tuple[datetime, Value | None]:
    if held is None or label.logged_at > held[0]:
        return label.logged_at, label.value
    if label.logged_at < held[0] or held[1] == label.value:
        return held
    return label.logged_at, None


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
