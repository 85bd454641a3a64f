"""Ground truth from outside: labels of predictions, by prediction id or by unit and time."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from mlops_assets.lifecycle.label import Label, impossible
from mlops_assets.serving.documents import parse_document
from mlops_assets.serving.errors import RequestError, shown
from mlops_assets.serving.fields import WrongValue, feature_check, identifier, kind_of, moment
from mlops_assets.serving.payload import MAX_ROWS

FIELDS = ("prediction_id", "unit", "at", "label", "known_at")
SOURCE = "REST API"
# As `new_prediction_id` and `row_ids` make them.
PREDICTION_ID = r"[0-9a-f]{32}(-(0|[1-9][0-9]{0,5}))?"
CLOCK_SKEW = timedelta(minutes=1)


class FeedbackSink(Protocol):
    """Where labels go; returns when they are stored."""

    def append(self, labels: Sequence[Label]) -> object:
        """Store labels; OSError when they could not be."""


def read_labels(model: str, task: str, body: bytes) -> list[Label]:
    """The labels of a request for a model of a task: ``{"labels": [...]}``.

    Raises
    ------
    RequestError
        Naming the label and the field that is wrong.
    """
    document = parse_document(body)
    if not isinstance(document, dict) or document.keys() != {"labels"}:
        raise RequestError(422, 'expected an object {"labels": [...]}')
    given = document["labels"]
    if not isinstance(given, list) or not given:
        raise RequestError(422, "labels: expected a list that is not empty")
    if len(given) > MAX_ROWS:
        raise RequestError(413, f"{len(given)} labels where {MAX_ROWS} are the most")
    now = datetime.now(UTC)
    return [_label(model, number, entry, _CHECKS[task], now) for number, entry in enumerate(given)]


def _label(
    model: str, number: int, entry: Any, check: Callable[[Any], Any], now: datetime
) -> Label:
    if not isinstance(entry, dict):
        raise RequestError(422, f"label {number}: expected an object, got {kind_of(entry)}")
    for name in entry:
        if name not in FIELDS:
            raise _wrong(number, name, f"unknown; known are {', '.join(FIELDS)}")
    by_id, by_unit = "prediction_id" in entry, "unit" in entry or "at" in entry
    if by_id == by_unit or (by_unit and not {"unit", "at"} <= entry.keys()):
        raise RequestError(
            422, f"label {number}: name the prediction by prediction_id, or by unit and at"
        )
    if "label" not in entry:
        raise _wrong(number, "label", "missing")
    read = {"prediction_id": _prediction_id, "unit": identifier, "at": moment, "known_at": moment}
    found: dict[str, Any] = {}
    for name, value in entry.items():
        try:
            found[name] = (check if name == "label" else read[name])(value)
        except WrongValue as error:
            raise _wrong(number, name, str(error)) from None
    known_at = found.get("known_at", now)
    if known_at > now + CLOCK_SKEW:
        raise _wrong(number, "known_at", "in the future")
    return Label(
        model=model,
        value=found["label"],
        logged_at=now,
        prediction_id=found.get("prediction_id"),
        unit=str(found["unit"]) if by_unit else None,
        at=found.get("at"),
        observed_at=known_at,
        source=SOURCE,
    )


def _prediction_id(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"expected a string, got {kind_of(value)}")
    if not re.fullmatch(PREDICTION_ID, value):
        raise WrongValue(
            "expected 32 hexadecimal digits, as in the prediction's answer; where a request had "
            "several rows, a hyphen and the number of the row as well"
        )
    return value


def _truth(value: Any) -> int:
    if type(value) not in (int, bool, float) or value not in (0, 1):
        raise WrongValue("expected 0 or 1")
    return int(value)


def _class(value: Any) -> int:
    number = feature_check("label", "int64")(value)
    if number < 0:
        raise WrongValue("expected a class, 0 or more")
    return number


def _real(value: Any) -> float:
    number = feature_check("label", "float64")(value)
    if number is None:
        raise WrongValue("expected a number, got null")
    return number


def _count(value: Any) -> float:
    number = _real(value)
    if impossible(number, "count_regression"):
        raise WrongValue("expected a count: a whole number, 0 or more")
    return number


def _item(value: Any) -> tuple[str]:
    return (str(identifier(value)),)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "binary_classification": _truth,
    "multiclass_classification": _class,
    "regression": _real,
    "count_regression": _count,
    "ranking": _item,
}


_SCHEMAS: dict[str, dict[str, Any]] = {
    "binary_classification": {"enum": [0, 1]},
    "multiclass_classification": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "regression": {"type": "number"},
    "count_regression": {"type": "integer", "minimum": 0},
    "ranking": {"type": ["string", "integer"]},
}


def label_schema(task: str) -> dict[str, Any]:
    """The JSON schema of what `read_labels` takes."""
    moment = {"type": "string", "format": "date-time"}
    label = {
        "type": "object",
        "properties": {
            "prediction_id": {"type": "string", "pattern": f"^{PREDICTION_ID}$"},
            "unit": {"type": ["string", "integer"]},
            "at": moment,
            "label": _SCHEMAS[task],
            "known_at": moment,
        },
        "required": ["label"],
        "oneOf": [{"required": ["prediction_id"]}, {"required": ["unit", "at"]}],
        "additionalProperties": False,
    }
    labels = {"type": "array", "items": label, "minItems": 1, "maxItems": MAX_ROWS}
    return {
        "type": "object",
        "properties": {"labels": labels},
        "required": ["labels"],
        "additionalProperties": False,
    }


def _wrong(number: int, name: str, reason: str) -> RequestError:
    return RequestError(422, f"label {number}, field {shown(name)}: {reason}")
