"""The compactor: moves what is in segments into the database, each row once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from mlops_assets.lifecycle.prediction_log.lines import document, raw_lines
from mlops_assets.lifecycle.prediction_log.reading import MARKER, damage
from mlops_assets.lifecycle.prediction_log.segments import (
    delete_if_closed,
    is_closed,
    models_in,
    segment_files,
)
from mlops_assets.lifecycle.prediction_log.store import LogStore, Segment

BATCH = 10_000
KEEP = timedelta(days=1)


class Log(Protocol):
    """What can be compacted: predictions or labels."""

    folder: Path
    kind: str

    def rows(self, document: bytes) -> list[dict[str, Any]]:
        """The table's columns, of each row of a document."""


@dataclass
class Compaction:
    """What one compaction did.

    Parameters
    ----------
    rows : int
        Stored now.
    torn : int
        Last lines that a crash had cut off, kept with their segment.
    deleted : int
        Segments that were closed, wholly stored and old enough.
    damaged : list of str
        File, line and what is wrong; nothing after it in that segment was stored, and the segment
        stays.
    """

    rows: int = 0
    torn: int = 0
    deleted: int = 0
    damaged: list[str] = field(default_factory=list)


def compact(
    log: Log,
    store: LogStore,
    *,
    now: datetime,
    keep: timedelta = KEEP,
    batch: int = BATCH,
) -> Compaction:
    """Store every whole line of every segment, then delete segments that are not needed.

    Rows and how far their segment is stored are written in one transaction, so that a crash
    between any two steps, and a second compactor beside this one, neither lose a row nor double
    one.

    Parameters
    ----------
    log : PredictionLog or FeedbackLog
    store : LogStore
    now : datetime
        Aware.
    keep : timedelta
        How long a stored segment stays after its last write.
    batch : int
        Rows of one transaction.
    """
    done = Compaction()
    for model in models_in(log.folder):
        files = segment_files(log.folder, model)
        known = store.progress(log.kind, model) if files else {}
        for file in files:
            try:
                segment = _move(file, known.get(file.name), log, model, store, batch, done)
                if segment is not None:
                    _clean_up(file, log.folder, segment, store, now - keep, done)
            except FileNotFoundError:
                continue  # another compactor had stored it, and deleted it
    return done


def _move(
    file: Path,
    segment: Segment | None,
    log: Log,
    model: str,
    store: LogStore,
    batch: int,
    done: Compaction,
) -> Segment | None:
    """Store what is new in a file; returns its segment as far as it is stored."""
    closed = is_closed(file)  # asked first: it can't be written any more while it is read
    size = file.stat().st_size
    if segment is None:
        if size == 0 and not closed:
            return None
        segment = store.register(log.kind, model, file.name)
    if size < segment.stored:
        done.damaged.append(
            f"{file}: has {size} bytes, of which {segment.stored} were stored: it was cut off"
        )
        return None
    rows: list[dict[str, Any]] = []
    torn = None
    end = segment.stored
    for offset, raw in raw_lines(file, segment.stored):
        if not raw.endswith(b"\n"):
            torn = raw if closed else None
            break
        try:
            # A line is longer than it has rows, so that these places are nobody else's.
            rows += [
                {**row, "offset": offset + number, "model": model}
                for number, row in enumerate(log.rows(document(raw)))
            ]
        except (ValueError, KeyError, TypeError) as error:
            done.damaged.append(damage(file, offset, log.kind, error))
            break
        end = offset + len(raw)
        if len(rows) >= batch:
            if not store.add(log.kind, segment, end, rows):
                return None  # another compactor is at it
            done.rows += len(rows)
            segment, rows = Segment(segment.id, end, segment.torn), []
    if torn is not None:
        end += len(torn)
    if end > segment.stored:
        if not store.add(log.kind, segment, end, rows, torn):
            return None
        done.rows += len(rows)
        done.torn += torn is not None
    return Segment(segment.id, end, torn is not None)


def _clean_up(
    file: Path, folder: Path, segment: Segment, store: LogStore, before: datetime, done: Compaction
) -> None:
    state = file.stat()
    if segment.stored != state.st_size or datetime.fromtimestamp(state.st_mtime, UTC) > before:
        return
    _mark(folder, store)
    done.deleted += delete_if_closed(file, segment.stored)


def _mark(folder: Path, store: LogStore) -> None:
    """Leave a word where the segments went, so that nobody reads the log without it."""
    marker = folder / MARKER
    if not marker.exists():
        part = folder / f"{MARKER}.part"
        part.write_text(store.id, "ascii")
        part.replace(marker)
