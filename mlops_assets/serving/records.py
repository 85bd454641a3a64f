"""What a version answered, as the prediction log keeps it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mlops_assets.lifecycle.prediction_log import Record, new_prediction_id
from mlops_assets.lifecycle.prediction_log.batch import Batch, encode_batch, packed
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
    numbers : bool
        Whether all features are float64.
    """

    def __init__(self, version: Version, variant: str, numbers: bool = False):
        self._version, self._variant, self._numbers = version, variant, numbers

    def recorded(
        self,
        rows: Rows,
        counts: Sequence[int],
        answers: Columns,
        now: datetime,
        latencies_ms: Sequence[float],
        status: int = 200,
    ) -> tuple[list[str], bytes]:
        """The ids of the requests that were answered together, and their document.

        Parameters
        ----------
        rows : Rows
            Of all requests, one after the other.
        counts : sequence of int
            The rows of each request.
        answers : dict of str to list
            Field by field; empty where the version could not answer.
        now : datetime
            Aware, UTC.
        latencies_ms : sequence of float
            Of each request.
        status : int

        Raises
        ------
        ValueError
            When an answer is not finite.
        """
        ids = [new_prediction_id() for _ in counts]
        # To the microsecond; `round` takes four times as long.
        latencies = [int(latency * 1000) / 1000 for latency in latencies_ms]
        if rows.count == 1:
            record = self._record(ids[0], rows, answers, now, latencies[0], status)
            return ids, encode(record)
        encoded = _encode(answers)
        # msgspec makes null of NaN, and looks a hundred times faster than we do.
        if b"null" in encoded:
            refuse_not_finite(answers)
        version, alone = self._version, len(ids) == 1
        batch = Batch(
            rows.count,
            ids[0] if alone else ids,
            version.model,
            version.number,
            version.run_id,
            self._variant,
            status,
            latencies[0] if alone else latencies,
            now,
            list(rows.names),
            [] if self._numbers else rows.flat,
            answers,
            rows.units,
            rows.at,
            rows.keys,
            None if alone else list(counts),
            packed(rows.flat) if self._numbers else None,
        )
        return ids, encode_batch(batch, encoded)

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
