"""One request, from its body to its reply: read, score, log."""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.payload import Row, parse_records

log = logging.getLogger(__name__)


def answer(
    model: ServedModel,
    body: bytes,
    prediction_log: PredictionLog,
    arrived: float,
    variant: str = CHAMPION,
) -> dict[str, Any]:
    """The reply to a request; every prediction in it is in the log when this returns.

    Parameters
    ----------
    model : ServedModel
    body : bytes
    prediction_log : PredictionLog
    arrived : float
        When the request arrived, by ``time.perf_counter``.
    variant : str
        In which role the version answers, for the log.

    Raises
    ------
    RequestError
        4xx for a request that is wrong; 503 when the log can't be written.
    """
    rows = model.reader.rows(parse_records(body))
    answers = model.task.answers(model.estimator, model.reader.frame(rows))
    _refuse_not_finite(model, answers)
    records = _records(model, rows, answers, arrived, variant)
    try:
        prediction_log.append(records)
    except OSError as error:
        log.error("%s: the prediction log can't be written: %s", model.version, error)
        raise RequestError(503, "the predictions could not be logged, so none is given") from error
    return {
        "model": model.version.model,
        "version": model.version.number,
        "predictions": [{"prediction_id": r.prediction_id, **r.answer} for r in records],
    }


def _records(
    model: ServedModel,
    rows: list[Row],
    answers: list[dict[str, Any]],
    arrived: float,
    variant: str,
) -> list[Record]:
    now = datetime.now(UTC)
    latency_ms = round((time.perf_counter() - arrived) * 1000, 3)
    return [
        Record(
            prediction_id=new_prediction_id(),
            model=model.version.model,
            version=model.version.number,
            run_id=model.version.run_id,
            unit=row.unit,
            at=now if row.at is None else row.at,
            logged_at=now,
            features=row.features,
            key=row.key,
            answer=given,
            latency_ms=latency_ms,
            variant=variant,
        )
        for row, given in zip(rows, answers, strict=True)
    ]


def _refuse_not_finite(model: ServedModel, answers: list[dict[str, Any]]) -> None:
    try:
        json.dumps(answers, allow_nan=False)
    except ValueError:
        log.error("%s answered NaN or Infinity", model.version)
        raise RequestError(500, "the model answered a number that is not finite") from None
