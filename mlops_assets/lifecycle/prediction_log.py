"""The prediction log: what was asked and answered, in append-only segment files.

A line is the CRC-32 of a JSON document as 8 hex digits, a space, the document and a newline. A
segment is written by one process only, so that a crash can tear nothing but its last line.
"""

import json
import os
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.errors import EvidenceError

PROBE = "probe"  # the variant of the platform's own questions, which monitors leave out
SEGMENT_BYTES = 64 * 1024 * 1024


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
        What the client was answered for this row.
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


@dataclass(frozen=True)
class Reading:
    """What was read: the records, oldest event first, and the number of torn lines skipped."""

    records: list[Record]
    torn: int


def new_prediction_id() -> str:
    """32 hex digits, unique, that sort by the time at which they were made."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


class PredictionLog:
    """Segment files below ``folder``, one folder a model.

    Safe to share between threads; each process writes segments of its own.

    Parameters
    ----------
    folder : Path
    segment_bytes : int
        A segment that has reached this size is followed by a new one.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES):
        self.folder = folder
        self.segment_bytes = segment_bytes
        # A process id comes back after a reboot and in every container; the start time doesn't.
        self._writer = f"{os.getpid()}-{time.time_ns()}"
        self._segments = 0
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    def append(self, records: Sequence[Record]) -> None:
        """Write the records of one reply, all of one model, in a single system call.

        Raises
        ------
        OSError
            When not every byte was written; the reply must not leave then.
        """
        (model,) = {record.model for record in records}
        data = b"".join(_encode(record) for record in records)
        with self._lock:
            written = os.write(self._segment(model), data)
            if written != len(data):
                # What follows a torn line in the same segment would read as corruption.
                os.close(self._open.pop(model))
                raise OSError(
                    f"only {written} of {len(data)} bytes were written to the prediction log of "
                    f"{model} in {self.folder}"
                )

    def read(
        self, model: str, start: datetime | None = None, end: datetime | None = None
    ) -> Reading:
        """The records of a model whose event time lies in ``[start, end)``.

        Parameters
        ----------
        model : str
        start, end : datetime or None
            Aware; None for unbounded.

        Raises
        ------
        EvidenceError
            When a line other than a segment's torn last one is damaged, naming file and line.
        """
        records, torn = [], 0
        for file in sorted(self._folder_of(model).glob("*.log")):
            lines = file.read_bytes().split(b"\n")
            torn += lines.pop() != b""
            records += [r for r in _decode_lines(file, lines) if _within(r.at, start, end)]
        records.sort(key=lambda r: (r.at, r.prediction_id))
        return Reading(records, torn)

    def close(self) -> None:
        """Close the segments; a later append begins new ones."""
        with self._lock:
            while self._open:
                os.close(self._open.popitem()[1])

    def _segment(self, model: str) -> int:
        descriptor = self._open.get(model)
        if descriptor is not None:
            state = os.fstat(descriptor)
            # A segment that someone deleted would swallow every record without an error.
            if state.st_nlink and state.st_size < self.segment_bytes:
                return descriptor
            os.close(self._open.pop(model))
        folder = self._folder_of(model)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._writer}-{self._segments:06d}.log"
        self._segments += 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._open[model] = os.open(folder / name, flags, 0o640)
        return self._open[model]

    def _folder_of(self, model: str) -> Path:
        if not model or Path(model).name != model or model.startswith("."):
            raise ValueError(f"{model!r} is no name of a model")
        return self.folder / model


def _encode(record: Record) -> bytes:
    moments = {"at": record.at.isoformat(), "logged_at": record.logged_at.isoformat()}
    document = json.dumps(
        {**vars(record), **moments}, separators=(",", ":"), allow_nan=False
    ).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(document), document)


def _decode_lines(file: Path, lines: list[bytes]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        crc, _, document = line.partition(b" ")
        if crc != b"%08x" % zlib.crc32(document):
            raise EvidenceError(f"{file}, line {number}: damaged, its checksum does not match")
        try:
            yield _decode(document)
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceError(f"{file}, line {number}: not a prediction: {error}") from None


def _decode(document: bytes) -> Record:
    fields = json.loads(document)
    moments = {name: datetime.fromisoformat(fields[name]) for name in ("at", "logged_at")}
    return Record(**{**fields, **moments})


def _within(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or at >= start) and (end is None or at < end)
