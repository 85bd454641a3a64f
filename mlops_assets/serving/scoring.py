"""Rows to logged answers: requests of one tick of the event loop are scored together."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from mlops_assets.lifecycle.prediction_log import Record, new_prediction_id
from mlops_assets.lifecycle.registry import Version
from mlops_assets.serving.answers import first_not_finite
from mlops_assets.serving.errors import RequestError, brief
from mlops_assets.serving.metrics import VersionMetrics
from mlops_assets.serving.models import Routed
from mlops_assets.serving.payload import MAX_ROWS, Row

# What would hold the event loop up for longer is scored in a thread.
LIGHT_SECONDS = 0.004
LIGHT_ROWS = 256
_MEMORY = 0.8
# Among so many rows the one that a model refuses is looked for, to be named.
SEARCHED_ROWS = 64

log = logging.getLogger(__name__)


class Answered(NamedTuple):
    """The answers to one request, in the order of its rows, and their ids in the log."""

    answers: list[dict[str, Any]]
    ids: list[str]


class Writer(Protocol):
    """Where records go, and whether an append waits for the disk."""

    waits: bool

    def append(self, records: Sequence[Record]) -> object:
        """Write the records of one flush; OSError when no answer may leave without them."""


Outcome = Answered | Exception


class _Asked(NamedTuple):
    rows: list[Row]
    arrived: float
    done: Callable[[Outcome], None]


class Scorer:
    """Answers and logs the requests of one version in one role.

    A flush takes every request that has arrived since the last one, scores them in one call where
    the model answers a row the same alone and among others, and logs them in one write. A model
    that answers in a fraction of a tick does so on the event loop; any other, and any large
    request, in a thread, one flush at a time, so that what arrives meanwhile makes the next batch.

    Parameters
    ----------
    routed : Routed
    writer : Writer
    metrics : VersionMetrics
    """

    def __init__(self, routed: Routed, writer: Writer, metrics: VersionMetrics):
        self._model, self._variant = routed.model, routed.variant
        self._log = writer
        self._metrics = metrics
        self._waiting: deque[_Asked] = deque()
        self._scheduled = False
        # Until it has been measured, a model may be slow.
        self._seconds = float("inf")
        self._flushing: asyncio.Task | None = None

    @property
    def light(self) -> bool:
        """Whether the model answers in a fraction of a tick."""
        return self._seconds <= LIGHT_SECONDS

    def submit(self, rows: list[Row], arrived: float, done: Callable[[Outcome], None]) -> None:
        """Answer rows soon.

        Parameters
        ----------
        rows : list of Row
        arrived : float
            When the request arrived, by ``time.perf_counter``.
        done : callable
            Called on the event loop, and must not raise. With `Answered`, every answer in it is in
            the log; else with a RequestError (503 when the log can't be written, 422 when the model
            can't score the values) or whatever else the estimator raised.
        """
        self._waiting.append(_Asked(rows, arrived, done))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        asked = self._take()
        if self.light and not self._log.waits and sum(len(a.rows) for a in asked) <= LIGHT_ROWS:
            self._settle(asked, self._timed(asked))
            self._again()
        else:
            self._flushing = asyncio.get_running_loop().create_task(self._in_thread(asked))

    async def _in_thread(self, asked: list[_Asked]) -> None:
        self._settle(asked, await asyncio.to_thread(self._timed, asked))
        self._again()

    def _again(self) -> None:
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)

    def _take(self) -> list[_Asked]:
        taken = [self._waiting.popleft()]
        rows = len(taken[0].rows)
        while self._waiting and rows + len(self._waiting[0].rows) <= MAX_ROWS:
            taken.append(self._waiting.popleft())
            rows += len(taken[-1].rows)
        return taken

    def _settle(self, asked: list[_Asked], outcomes: list[Outcome]) -> None:
        for request, outcome in zip(asked, outcomes, strict=True):
            request.done(outcome)

    def _timed(self, asked: list[_Asked]) -> list[Outcome]:
        started = time.perf_counter()
        outcomes = self._outcomes(asked)
        took = time.perf_counter() - started
        # Quick to trust and slow to doubt: a busy machine makes any model look slow at times.
        known = min(self._seconds, 1.0)
        self._seconds = min(took, _MEMORY * known + (1 - _MEMORY) * took)
        return outcomes

    def _outcomes(self, asked: list[_Asked]) -> list[Outcome]:
        try:
            return list(self._answered(asked))
        except _Unlogged as error:
            # Asked one by one, each would find the log as it is.
            return [error for _ in asked]
        except Exception as error:  # noqa: BLE001 - handed to the request that caused it
            if len(asked) == 1:
                self._log_failure(asked[0], getattr(error, "status", 500))
                return [error]
            # One request must not spoil the others of its tick.
            return [outcome for request in asked for outcome in self._outcomes([request])]

    def _answered(self, asked: list[_Asked]) -> list[Answered]:
        if self._model.batches:
            answers = self._scored([row for request in asked for row in request.rows])
        else:
            answers = [answer for request in asked for answer in self._scored(request.rows)]
        results: list[Answered] = []
        records: list[Record] = []
        for request in asked:
            given = answers[len(records) : len(records) + len(request.rows)]
            made = self._records(request, given, 200)
            results.append(Answered(given, [record.prediction_id for record in made]))
            records += made
        try:
            self._log.append(records)
        except OSError as error:
            self._metrics.log_failures.inc()
            log.error("%s: the prediction log can't be written: %s", self._model.version, error)
            raise _Unlogged(503, "the predictions could not be logged, so none is given") from error
        return results

    def _scored(self, rows: list[Row]) -> list[dict[str, Any]]:
        # Loading has seen that the model can answer: what it can't answer now is in the values.
        self._metrics.batch_rows.observe(len(rows))
        try:
            answers = self._model.answers(rows)
        except ValueError as error:
            place = self._first_refused(rows)
            raise self._refusal(f"{place}the model can't score it: {brief(error)}") from error
        row = first_not_finite(answers)
        if row is not None:
            raise self._refusal(f"row {row}: the model has no finite answer to it")
        return answers

    def _refusal(self, message: str) -> RequestError:
        self._metrics.refusals.inc()
        log.warning("%s refused what had passed every check: %s", self._model.version, message)
        return RequestError(422, message)

    def _first_refused(self, rows: list[Row]) -> str:
        for number, row in enumerate(rows[:SEARCHED_ROWS]):
            try:
                self._model.answers([row])
            except ValueError:
                return f"row {number}: "
        return ""

    def _records(self, asked: _Asked, answers: list[dict[str, Any]], status: int) -> list[Record]:
        latency_ms = (time.perf_counter() - asked.arrived) * 1000
        return made_records(
            self._model.version,
            self._variant,
            asked.rows,
            answers,
            datetime.now(UTC),
            latency_ms,
            status,
        )

    def _log_failure(self, asked: _Asked, status: int) -> None:
        """What a version could not answer is what a canary is judged by."""
        try:
            self._log.append(self._records(asked, [{} for _ in asked.rows], status))
        except Exception as error:  # noqa: BLE001 - the client must hear of the first error
            self._metrics.log_failures.inc()
            log.error("%s: a failure can't be logged: %s", self._model.version, brief(error))


class _Unlogged(RequestError):
    """The answers are there, the log is not."""


def made_records(
    version: Version,
    variant: str,
    rows: Sequence[Row],
    answers: Sequence[dict[str, Any]],
    now: datetime,
    latency_ms: float,
    status: int,
) -> list[Record]:
    """The log's records of one request.

    Parameters
    ----------
    answers : sequence of dict
        One a row; empty where the version could not answer.
    now : datetime
        Aware, UTC.
    """
    latency = round(latency_ms, 3)
    return [
        Record(
            prediction_id=new_prediction_id(),
            model=version.model,
            version=version.number,
            run_id=version.run_id,
            unit=row.unit,
            at=now if row.at is None else row.at,
            logged_at=now,
            features=row.features,
            key=row.key,
            answer=given,
            latency_ms=latency,
            variant=variant,
            status=status,
        )
        for row, given in zip(rows, answers, strict=True)
    ]
