"""One answered prediction, and its form as a JSON document."""

import json
import math
import os
import time
from datetime import datetime
from typing import Any

import msgspec

PROBE = "probe"  # the variant of the platform's own questions, which monitors leave out


class Record(msgspec.Struct, frozen=True, gc=False):
    """One answered prediction.

    Parameters
    ----------
    prediction_id : str
        See `new_prediction_id`.
    model : str
    version : int
    run_id : str
        The MLflow run that trained the version.
    unit : str or None
        The unit that asked, where the request named one.
    at : datetime
        When the row happened (aware, UTC): the request's time column, else the wall clock.
    logged_at : datetime
        The wall clock (aware, UTC).
    features : dict
        What the estimator saw, field by field; None for a missing number.
    key : dict
        The request's key columns, by which ground truth is joined.
    answer : dict
        What the client was answered for this row; empty where it was answered an error.
    latency_ms : float
        From the request's arrival to this record, for the whole request.
    variant : str
    status : int
        The HTTP status of the reply.
    """

    prediction_id: str
    model: str
    version: int
    run_id: str
    unit: str | None
    at: datetime
    logged_at: datetime
    features: dict[str, Any]
    key: dict[str, Any]
    answer: dict[str, Any]
    latency_ms: float
    variant: str = "champion"
    status: int = 200

    @property
    def failed(self) -> bool:
        """Whether the version could not answer: there is no prediction.

        What a client did wrong never reaches a version, and so is not in the log.
        """
        return self.status >= 400


class _Randomness:
    """Hexadecimal digits from the system's randomness, drawn many at once."""

    digits, drawn = 20, 256

    def __init__(self) -> None:
        self._left: list[str] = []
        # Two processes must not hand out the same.
        os.register_at_fork(after_in_child=self._left.clear)

    def take(self) -> str:
        """``digits`` digits that nobody else has."""
        try:
            return self._left.pop()
        except IndexError:
            drawn = os.urandom(self.digits // 2 * self.drawn).hex()
            self._left += [drawn[at : at + self.digits] for at in range(0, len(drawn), self.digits)]
            return self._left.pop()


_randomness = _Randomness()


def new_prediction_id() -> str:
    """32 hex digits, unique, that sort by the time at which they were made."""
    return f"{time.time_ns() // 1_000_000:012x}{_randomness.take()}"


def encode(record: Record) -> bytes:
    """A record as a JSON document in ASCII.

    Raises
    ------
    ValueError
        When a number in it is not finite.
    TypeError
        When JSON has no such value.
    """
    try:
        document = msgspec.json.encode(record)
    except (msgspec.EncodeError, TypeError, ValueError, OverflowError):
        return _encode_anything(record)
    # What msgspec makes of NaN is null; what it makes of other alphabets is not ASCII.
    nulls = document.count(b"null")
    # Most have no other than that of their unit: their values need no counting.
    if nulls > (record.unit is None) and nulls > _missing(record):
        refuse_not_finite([record.features, record.key, record.answer, record.latency_ms])
    return document if document.isascii() else _encode_anything(record)


def _encode_anything(record: Record) -> bytes:
    """Ten times slower, but for half surrogate pairs, numpy's floats and long integers too."""
    moments = {"at": record.at.isoformat(), "logged_at": record.logged_at.isoformat()}
    return json.dumps(
        {**msgspec.structs.asdict(record), **moments}, separators=(",", ":"), allow_nan=False
    ).encode("ascii")  # fmt: skip


def _missing(record: Record) -> int:
    """How many values of a record are None: at the least so many are null in its document."""
    missing = list(record.features.values()).count(None) + (record.unit is None)
    return missing + list(record.answer.values()).count(None)


def refuse_not_finite(value: Any) -> None:
    """ValueError for a number, however deep, that JSON has not."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not JSON compliant")
    elif isinstance(value, dict):
        for each in value.values():
            refuse_not_finite(each)
    elif isinstance(value, list | tuple):
        for each in value:
            refuse_not_finite(each)


_DECODER = msgspec.json.Decoder(Record)


def decode(document: bytes | str) -> Record:
    """The record of a document.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is not one.
    """
    try:
        record = _DECODER.decode(document)
    except (msgspec.DecodeError, ValueError):
        # It may be the half of a surrogate pair; if not, the error is raised here again.
        record = _decode_anything(document)
    if record.at.tzinfo is None or record.logged_at.tzinfo is None:
        raise ValueError("a time without an offset")
    return record


def _decode_anything(document: bytes | str) -> Record:
    fields = json.loads(document)
    moments = {name: datetime.fromisoformat(fields[name]) for name in ("at", "logged_at")}
    return Record(**{**fields, **moments})
