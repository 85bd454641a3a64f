"""What a version answered, as the prediction log keeps it."""

from datetime import datetime

import msgspec

from mlops_assets.lifecycle.prediction_log import Record, new_prediction_id
from mlops_assets.lifecycle.prediction_log.batch import Batch, encode_batch
from mlops_assets.lifecycle.prediction_log.record import encode, refuse_not_finite
from mlops_assets.lifecycle.registry import Version
from mlops_assets.serving.answers import Columns
from mlops_assets.serving.rows import Rows

_encode = msgspec.json.Encoder().encode


class Recorder:
    """Makes the documents of one version in one role.

    Parameters
    ----------
    version : Version
    variant : str
    """

    def __init__(self, version: Version, variant: str):
        self._version, self._variant = version, variant

    def recorded(
        self,
        rows: Rows,
        answers: Columns,
        now: datetime,
        latency_ms: float,
        status: int = 200,
    ) -> tuple[str, bytes]:
        """The id of a request's predictions, and its document.

        Parameters
        ----------
        rows : Rows
        answers : dict of str to list
            Field by field; empty where the version could not answer.
        now : datetime
            Aware, UTC.
        latency_ms : float
        status : int

        Raises
        ------
        ValueError
            When an answer is not finite.
        """
        prediction_id = new_prediction_id()
        # To the microsecond; `round` takes four times as long.
        latency = int(latency_ms * 1000) / 1000
        if rows.count == 1:
            record = self._record(prediction_id, rows, answers, now, latency, status)
            return prediction_id, encode(record)
        encoded = _encode(answers)
        # msgspec makes null of NaN, and looks a hundred times faster than we do.
        if b"null" in encoded:
            refuse_not_finite(answers)
        version = self._version
        batch = Batch(
            rows.count,
            prediction_id,
            version.model,
            version.number,
            version.run_id,
            self._variant,
            status,
            latency,
            now,
            list(rows.names),
            rows.flat,
            answers,
            rows.units,
            rows.at,
            rows.keys,
        )
        return prediction_id, encode_batch(batch, encoded)

    def _record(
        self,
        prediction_id: str,
        rows: Rows,
        answers: Columns,
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
            dict(zip(rows.names, rows.flat, strict=True)),
            {} if rows.keys is None else rows.keys[0],
            {name: values[0] for name, values in answers.items()},
            latency,
            self._variant,
            status,
        )
