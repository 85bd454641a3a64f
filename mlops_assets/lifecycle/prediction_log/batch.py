"""Rows that were answered together: one document, read as one record a row."""

import base64
import json
import math
import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from mlops_assets.lifecycle.prediction_log.record import Record, refuse_not_finite

_BEGINNING = b'{"rows":'


class Batch(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What `Record` is for one row, for several that were answered together.

    Parameters
    ----------
    rows : int
        How many.
    prediction_id : str or list of str
        Of the request, or of each of several; its row ``k`` has `row_ids` of it.
    latency_ms : float or list of float
        Of the request, or of each of several.
    names : list of str
        The features.
    values : list
        In the order of ``names``, all rows one after the other, or each as a tuple of its own;
        None for a missing number. Empty where there are ``numbers``.
    answers : dict of str to list, or list of dict
        Field by field, in each one value a row, or empty where there was no answer; or row by row.
    units : list of (str or None) or None
    at : list of (datetime or None) or None
        None, of a row or of all, where a row did not say when it happened: then, ``logged_at``.
    keys : list of dict or None
    counts : list of int or None
        The rows of each of several requests, one after the other.
    numbers : bytes or None
        The values of features that all are float64, from `packed`: JSON has them in base64, which
        takes a fraction of the time and two thirds of the space of decimals.
    """

    rows: int
    prediction_id: str | list[str]
    model: str
    version: int
    run_id: str
    variant: str
    status: int
    latency_ms: float | list[float]
    logged_at: datetime
    names: list[str]
    values: list[Any]
    answers: dict[str, list[Any]] | list[dict[str, Any]]
    units: list[str | None] | None = None
    at: list[datetime | None] | None = None
    keys: list[dict[str, Any]] | None = None
    counts: list[int] | None = None
    numbers: bytes | None = None


def packed(values: list[float | None]) -> bytes:
    """Numbers as float64 in little-endian order, NaN for a missing one.

    Raises
    ------
    ValueError
        For an infinite one.
    """
    form = f"<{len(values)}d"
    try:
        data = struct.pack(form, *values)
    except struct.error:
        data = struct.pack(form, *[math.nan if value is None else value for value in values])
    if np.isinf(np.frombuffer(data, "<f8")).any():
        raise ValueError("an infinite number is not JSON compliant")
    return data


def row_ids(prediction_id: str, rows: int) -> list[str]:
    """The ids of the predictions of one request: its own for one, numbered from 0 for more."""
    return [prediction_id + ending for ending in _endings(rows)]


def joined_ids(prediction_id: str, rows: int) -> str:
    """The same, joined by commas."""
    return prediction_id + f",{prediction_id}".join(_endings(rows))


@lru_cache(64)
def _endings(rows: int) -> list[str]:
    return [""] if rows == 1 else [f"-{number}" for number in range(rows)]


def request_id(prediction_id: str) -> str:
    """The id that a prediction shares with those that were asked with it."""
    return prediction_id.partition("-")[0]


def encode_batch(batch: Batch, encoded_answers: bytes) -> bytes:
    """A batch as a JSON document in ASCII.

    Parameters
    ----------
    batch : Batch
    encoded_answers : bytes
        Its answers as JSON; finite.

    Raises
    ------
    ValueError
        When a number in it is not finite.
    TypeError
        When JSON has no such value.
    """
    try:
        values = msgspec.json.encode(batch.values)
        document = msgspec.json.encode(
            msgspec.structs.replace(
                batch, values=msgspec.Raw(values), answers=msgspec.Raw(encoded_answers)
            )
        )
    except (msgspec.EncodeError, TypeError, ValueError, OverflowError):
        return _encode_anything(batch)
    # What msgspec makes of NaN is null; what it makes of other alphabets is not ASCII.
    # Where no more are null than are None, none is NaN.
    nulls = values.count(b"null")
    if nulls and nulls > _missing(batch.values):
        refuse_not_finite(batch.values)
    refuse_not_finite([batch.keys, batch.latency_ms])
    return document if document.isascii() else _encode_anything(batch)


def is_batch(document: bytes) -> bool:
    """Whether a document holds several records."""
    return document.startswith(_BEGINNING)


def decode_batch(document: bytes) -> list[Record]:
    """The records of a batch's document.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is not one.
    """
    try:
        batch = _DECODER.decode(document)
    except (msgspec.DecodeError, ValueError):
        # It may be the half of a surrogate pair; if not, the error is raised here again.
        batch = _decode_anything(document)
    moments = batch.at or [None] * batch.rows
    columns = (
        *_by_request(batch),
        _values_by_row(batch),
        _answers_by_row(batch),
        batch.units or [None] * batch.rows,
        moments,
        batch.keys or [{} for _ in range(batch.rows)],
    )
    if any(m is not None and m.tzinfo is None for m in (batch.logged_at, *moments)):
        raise ValueError("a time without an offset")
    return [
        Record(
            prediction_id=prediction_id,
            model=batch.model,
            version=batch.version,
            run_id=batch.run_id,
            unit=unit,
            at=batch.logged_at if at is None else at,
            logged_at=batch.logged_at,
            features=dict(zip(batch.names, values, strict=True)),
            key=key,
            answer=answer,
            latency_ms=latency_ms,
            variant=batch.variant,
            status=batch.status,
        )
        for prediction_id, latency_ms, values, answer, unit, at, key in zip(*columns, strict=True)
    ]


_DECODER = msgspec.json.Decoder(Batch)


def _by_request(batch: Batch) -> tuple[list[str], list[float]]:
    """The id of each row, and how long its request took."""
    ids, latencies = batch.prediction_id, batch.latency_ms
    if isinstance(ids, str) and not isinstance(latencies, list):
        return row_ids(ids, batch.rows), [latencies] * batch.rows
    if isinstance(ids, str) or not isinstance(latencies, list) or batch.counts is None:
        raise ValueError("the requests are one by their id or latency, and several by the other")
    requests = list(zip(ids, latencies, batch.counts, strict=True))
    return (
        [row_id for request, _, rows in requests for row_id in row_ids(request, rows)],
        [latency for _, latency, rows in requests for _ in range(rows)],
    )


def _in_rows(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], list | tuple)


def _missing(values: list[Any]) -> int:
    """How many of a batch's values are None."""
    return sum(row.count(None) for row in values) if _in_rows(values) else values.count(None)


def _values_by_row(batch: Batch) -> Sequence[Sequence[Any]]:
    values = batch.values
    if batch.numbers is not None:
        numbers = np.frombuffer(batch.numbers, "<f8").tolist()
        values = [None if math.isnan(number) else number for number in numbers]
    elif _in_rows(values):
        return values
    return list(zip(*[iter(values)] * len(batch.names), strict=True))


def _answers_by_row(batch: Batch) -> list[dict[str, Any]]:
    answers = batch.answers
    if isinstance(answers, list):
        # Of servers that logged what they replied, each with its prediction's id.
        return [{n: v for n, v in answer.items() if n != "prediction_id"} for answer in answers]
    if not answers:
        return [{} for _ in range(batch.rows)]
    rows = zip(*answers.values(), strict=True)
    return [dict(zip(answers, row, strict=True)) for row in rows]


def _encode_anything(batch: Batch) -> bytes:
    """Ten times slower, but for half surrogate pairs, numpy's floats and long integers too."""
    moments = [at and at.isoformat() for at in batch.at or ()]
    fields = {
        **msgspec.structs.asdict(batch),
        "logged_at": batch.logged_at.isoformat(),
        "at": moments or None,
        "numbers": batch.numbers and base64.b64encode(batch.numbers).decode("ascii"),
    }
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")


def _decode_anything(document: bytes) -> Batch:
    fields = json.loads(document)
    moments = [at and datetime.fromisoformat(at) for at in fields["at"] or ()]
    logged_at = datetime.fromisoformat(fields["logged_at"])
    numbers = fields.get("numbers")
    known = {
        "at": moments or None,
        "logged_at": logged_at,
        "numbers": numbers and base64.b64decode(numbers),
    }
    return Batch(**{**fields, **known})
