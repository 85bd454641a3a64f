"""What a version answered, as the prediction log keeps it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from mlops_assets.lifecycle.prediction_log import Record, new_prediction_id
from mlops_assets.lifecycle.prediction_log.batch import Batch, encode_batch, row_ids
from mlops_assets.lifecycle.prediction_log.record import encode, refuse_not_finite
from mlops_assets.lifecycle.registry import Version
from mlops_assets.serving.rows import Rows

_encode = msgspec.json.Encoder().encode


class Recorded(NamedTuple):
    """A request as the log has it, and its answers as the client gets them."""

    document: bytes
    ids: list[str]
    answers: bytes


class Recorder:
    """Makes the documents of one version in one role.

    Parameters
    ----------
    version : Version
    variant : str
    """

    def __init__(self, version: Version, variant: str):
        self._version, self._variant = version, variant

    def document(
        self,
        rows: Rows,
        answers: Sequence[dict[str, Any]],
        now: datetime,
        latency_ms: float,
        status: int = 200,
    ) -> "Recorded":
        """A request's document, ids, and answers as JSON.

        Parameters
        ----------
        answers : sequence of dict
            One a row; empty where the version could not answer.
        now : datetime
            Aware, UTC.

        Raises
        ------
        ValueError
            When an answer is not finite.
        """
        prediction_id, latency = new_prediction_id(), round(latency_ms, 3)
        ids, version = row_ids(prediction_id, len(rows)), self._version
        if len(rows) == 1:
            record = self._record(prediction_id, rows, answers[0], now, latency, status)
            document = encode(record)
            return Recorded(document, ids, _with_ids(answers, ids))
        encoded = _with_ids(answers, ids)
        # msgspec makes null of NaN, and looks a hundred times faster than we do.
        if b"null" in encoded:
            refuse_not_finite(answers)
        batch = Batch(
            len(rows),
            prediction_id,
            version.model,
            version.number,
            version.run_id,
            self._variant,
            status,
            latency,
            now,
            list(rows.names),
            rows.values,
            list(answers),
            rows.units,
            rows.at,
            rows.keys,
        )
        return Recorded(encode_batch(batch, encoded), ids, encoded)

    def _record(
        self,
        prediction_id: str,
        rows: Rows,
        answer: dict[str, Any],
        now: datetime,
        latency: float,
        status: int,
    ) -> Record:
        version = self._version
        at = rows.at[0] if rows.at is not None else None
        return Record(
            prediction_id,
            version.model,
            version.number,
            version.run_id,
            rows.unit,
            now if at is None else at,
            now,
            rows.features(0),
            {} if rows.keys is None else rows.keys[0],
            answer,
            latency,
            self._variant,
            status,
        )


def _with_ids(answers: Sequence[dict[str, Any]], ids: list[str]) -> bytes:
    """Answers as JSON; from now on each has its prediction's id."""
    for answer, prediction_id in zip(answers, ids, strict=True):
        answer["prediction_id"] = prediction_id
    return _encode(answers)
