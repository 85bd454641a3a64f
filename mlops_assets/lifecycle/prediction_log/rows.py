"""The tables' rows: a document as it was logged, and the columns by which it is found.

This module knows no SQLAlchemy, which would cost the server its import.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_assets.lifecycle.prediction_log.record import decode

PREDICTION = "prediction"
LABEL = "label"
# What a client sends can be as long as it likes; an index entry can't.
INDEXED = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Condition:
    """``low <= column < high`` or, with ``closed``, ``low <= column <= high``; None: unbounded."""

    column: str
    low: Any
    high: Any
    closed: bool = False


def between(column: str, start: datetime | None, end: datetime | None) -> Condition:
    """The rows with a time in ``[start, end)``."""
    return Condition(
        column,
        None if start is None else microseconds(start),
        None if end is None else microseconds(end),
    )


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly, as the tables hold every time."""
    return (moment - _EPOCH) // _MICROSECOND


def indexed(text: str | None) -> str | None:
    """Text as its column holds it: what no database takes is escaped, what is long is cut."""
    if text is None:
        return None
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:INDEXED])[:INDEXED]


def prediction(document: bytes) -> dict[str, Any]:
    """The columns of a record, but for the model and the place.

    Raises
    ------
    ValueError, KeyError, TypeError
        When the document is no record.
    """
    record = decode(document)
    return {
        "prediction_id": indexed(record.prediction_id),
        "unit": indexed(record.unit),
        "at": microseconds(record.at),
        "logged_at": microseconds(record.logged_at),
        "version": record.version,
        "variant": record.variant,
        "status": record.status,
        "document": document.decode("ascii"),
    }


def label(document: bytes) -> dict[str, Any]:
    """The columns of a label (`ground_truth.Label`), but for the model and the place.

    Raises
    ------
    ValueError, KeyError, TypeError
        When the document is no label.
    """
    fields = json.loads(document)
    at = fields["at"]
    return {
        "prediction_id": indexed(fields["prediction_id"]),
        "unit": indexed(fields["unit"]),
        "at": None if at is None else microseconds(datetime.fromisoformat(at)),
        "logged_at": microseconds(datetime.fromisoformat(fields["logged_at"])),
        "document": document.decode("ascii"),
    }
