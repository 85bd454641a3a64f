"""The columns by which documents are found in the database.

This module knows no SQLAlchemy, which would cost the server its import.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

PREDICTION = "prediction"
LABEL = "label"
# What a client sends can be as long as it likes; an index entry can't.
INDEXED = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# No database takes a NUL or half a surrogate pair, and some have an alphabet of their own.
_UNSTORABLE = re.compile("[^\\x01-\\x7f]")


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


def indexed(text: str) -> str:
    """Text as its column holds it: what no database takes is escaped, what is long is cut."""
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:INDEXED])[:INDEXED]
