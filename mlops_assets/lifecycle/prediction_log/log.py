"""The log as its writers and readers see it."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.prediction_log import reading, rows
from mlops_assets.lifecycle.prediction_log.lines import line
from mlops_assets.lifecycle.prediction_log.record import Record, decode, encode
from mlops_assets.lifecycle.prediction_log.segments import (
    SEGMENT_BYTES,
    SYNC_SECONDS,
    Durability,
    SegmentWriter,
)


@dataclass(frozen=True)
class Reading:
    """What was read: the records, oldest event first, and the number of torn lines skipped."""

    records: list[Record]
    torn: int


class PredictionLog:
    """Segment files below ``folder``, one folder a model, and the database they are moved into.

    Safe to share between threads; each process writes segments of its own.

    Parameters
    ----------
    folder : Path
    segment_bytes : int
        A segment that has reached this size is followed by a new one.
    durability : {"write", "group_commit"}
        See `SegmentWriter`.
    sync_seconds : float
        Between two fsyncs, for ``write``.
    database : str or None
        SQLAlchemy URL of the database that segments are compacted into; None for the SQLite file
        in ``folder``. Only reading needs it.
    """

    kind = rows.PREDICTION

    def __init__(
        self,
        folder: Path,
        segment_bytes: int = SEGMENT_BYTES,
        *,
        durability: Durability = "write",
        sync_seconds: float = SYNC_SECONDS,
        database: str | None = None,
    ):
        self.folder = folder
        self._writer = SegmentWriter(folder, segment_bytes, durability, sync_seconds)
        self.merged = reading.Merged(folder, self.kind, decode, database, folder)

    def append(self, records: Sequence[Record]) -> None:
        """Write the records of one reply, all of one model, in a single system call.

        Raises
        ------
        OSError
            When not every byte was written, or (``group_commit``) not every byte is on the disk;
            the reply must not leave then.
        """
        (model,) = {record.model for record in records}
        self._writer.append(model, b"".join(line(encode(record)) for record in records))

    def append_documents(self, model: str, documents: Sequence[bytes]) -> "Future[None] | None":
        """The same for records that the caller has encoded, without waiting for the disk.

        Parameters
        ----------
        model : str
        documents : sequence of bytes
            As `record.encode` makes them: JSON in ASCII, without a newline.

        Returns
        -------
        Future or None
            With ``group_commit``, done (or failed with OSError) when the reply may leave; else
            None: it may leave now.
        """
        return self._writer.append_soon(model, b"".join(map(line, documents)))

    def row(self, document: bytes) -> dict[str, Any]:
        """A document's columns in the database, but for the model and the place.

        Raises
        ------
        ValueError, KeyError, TypeError
            When the document is no record.
        """
        record = decode(document)
        return {
            "prediction_id": rows.indexed(record.prediction_id),
            "unit": record.unit and rows.indexed(record.unit),
            "at": rows.microseconds(record.at),
            "logged_at": rows.microseconds(record.logged_at),
            "version": record.version,
            "variant": rows.indexed(record.variant),
            "status": record.status,
            "document": document.decode("ascii"),
        }

    def read(
        self, model: str, start: datetime | None = None, end: datetime | None = None
    ) -> Reading:
        """The records of a model whose event time lies in ``[start, end)``.

        Each once, whether it is in the database, in a segment, or on its way. A window is read by
        query; of the segments, what is not yet in the database is read through.

        Parameters
        ----------
        model : str
        start, end : datetime or None
            Aware; None for unbounded.

        Raises
        ------
        EvidenceError
            When a line other than a segment's torn last one is damaged, naming file and line; or
            when segments were moved into a database that is not the one given.
        """
        torn = reading.Torn()
        records = list(self.stream(model, start, end, torn))
        records.sort(key=lambda r: (r.at, r.prediction_id))
        return Reading(records, torn.lines)

    def stream(
        self,
        model: str,
        start: datetime | None = None,
        end: datetime | None = None,
        torn: reading.Torn | None = None,
    ) -> Generator[Record, None, None]:
        """As `read`, one record at a time, in no order; counts torn lines into ``torn``."""
        query = reading.Query(model, rows.between("at", start, end))
        with closing(self.merged.read(query, torn or reading.Torn())) as found:
            yield from (r for r in found if _within(r.at, start, end))

    def logged_since(self, model: str, since: datetime) -> Iterator[Record]:
        """The records that were answered at ``since`` (aware) or later, in no order.

        By the wall clock, whenever what they are about happened: what a rollout is judged by.
        """
        query = reading.Query(model, rows.between("logged_at", since, None))
        with closing(self.merged.read(query, reading.Torn())) as found:
            yield from (r for r in found if r.logged_at >= since)

    def close(self) -> None:
        """Sync and close the segments; a later append begins new ones."""
        self._writer.close()
        self.merged.close()


def _within(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or at >= start) and (end is None or at < end)
