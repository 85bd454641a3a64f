"""Ground truth that clients send: labels in a log of their own, and which of them holds.

A label is never changed. A later one for the same prediction takes its place, and both are kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.label import Label, Value, decode, encode, label_from
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

__all__ = ["Feedback", "FeedbackLog", "Label", "label_from", "place_of"]

FOLDER = ".feedback"  # in the prediction log's; no model's name begins with a dot

Place = tuple[str, int]  # a unit, and the event time in microseconds


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
        self._merged = reading.Merged(
            self.folder, self.kind, lambda document: [decode(document)], database, log_folder
        )

    def append(self, labels: Sequence[Label]) -> None:
        """Write labels, all of one model, in a single system call.

        Raises
        ------
        OSError
            When they are not in the log: the sender must be told.
        """
        (model,) = {label.model for label in labels}
        self._writer.append(model, b"".join(line(encode(label)) for label in labels))

    def rows(self, document: bytes) -> list[dict[str, Any]]:
        """A document's only row in the database, without the model and the place.

        Raises
        ------
        ValueError, KeyError, TypeError
            When the document is no label.
        """
        label = decode(document)
        row = {
            "prediction_id": label.prediction_id and rows.indexed(label.prediction_id),
            "unit": label.unit and rows.indexed(label.unit),
            "at": None if label.at is None else rows.microseconds(label.at),
            "logged_at": rows.microseconds(label.logged_at),
            "document": document.decode("ascii"),
        }
        return [row]

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

    def first_came(
        self, model: str, predictions: Sequence[tuple[str, Place | None]]
    ) -> list[datetime | None]:
        """When the first label of each prediction came, however it names it; None: none has.

        Parameters
        ----------
        predictions : sequence of (prediction id, place or None)

        Raises
        ------
        EvidenceError
            For a damaged line, naming file and line.
        """
        first: dict[Any, datetime] = {}
        ids: set[Any] = {each for each, _ in predictions}
        places: set[Any] = {at for _, at in predictions if at}
        for keys, name in ((ids, _id), (places, place_of)):
            for key, label in self._labels(model, keys, name):
                first[key] = min(first.get(key, label.logged_at), label.logged_at)
        came = [(first.get(each), first.get(at)) for each, at in predictions]
        return [min((each for each in both if each), default=None) for both in came]

    def _newest(self, model: str, wanted: set, name) -> dict[Any, Value | None]:
        newest: dict[Any, tuple[datetime, Value | None]] = {}
        for key, label in self._labels(model, wanted, name):
            newest[key] = _later(newest.get(key), label)
        return {key: value for key, (_, value) in newest.items()}

    def _labels(self, model: str, wanted: set, name) -> Iterator[tuple[Any, Label]]:
        """The labels of what is wanted, in no order; of the database, those around it are read."""
        if not wanted:
            return
        if name is _id:
            ids = [rows.indexed(each) for each in wanted]  # escapes sort otherwise than letters
            condition = rows.Condition("prediction_id", min(ids), max(ids), closed=True)
        else:
            times = [at for _, at in wanted]
            condition = rows.Condition("at", min(times), max(times), closed=True)
        with closing(self._merged.read(reading.Query(model, condition), reading.Torn())) as found:
            for label in found:
                if name(label) in wanted:
                    yield name(label), label

    def close(self) -> None:
        """Sync and close the segments."""
        self._writer.close()
        self._merged.close()


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
