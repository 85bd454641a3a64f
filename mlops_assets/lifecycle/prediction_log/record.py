"""One answered prediction, and its form as a JSON document."""

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PROBE = "probe"  # the variant of the platform's own questions, which monitors leave out


@dataclass(frozen=True)
class Record:
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
        """Whether the client was answered an error of the server's: there is no prediction."""
        return self.status >= 500


def new_prediction_id() -> str:
    """32 hex digits, unique, that sort by the time at which they were made."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def encode(record: Record) -> bytes:
    """A record as a JSON document in ASCII.

    Raises
    ------
    ValueError
        When a number in it is not finite.
    """
    moments = {"at": record.at.isoformat(), "logged_at": record.logged_at.isoformat()}
    return json.dumps(
        {**vars(record), **moments}, separators=(",", ":"), allow_nan=False
    ).encode("ascii")  # fmt: skip


def decode(document: bytes | str) -> Record:
    """The record of a document.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is not one.
    """
    fields = json.loads(document)
    moments = {name: datetime.fromisoformat(fields[name]) for name in ("at", "logged_at")}
    if any(moment.tzinfo is None for moment in moments.values()):
        raise ValueError("a time without an offset")
    return Record(**{**fields, **moments})
