"""Rows to logged answers: requests of one tick of the event loop are scored together."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple, Protocol

from mlops_assets.serving.answers import Answered, Columns, first_not_finite
from mlops_assets.serving.errors import RequestError, brief
from mlops_assets.serving.metrics import VersionMetrics
from mlops_assets.serving.models import Routed
from mlops_assets.serving.payload import MAX_ROWS
from mlops_assets.serving.records import Recorder
from mlops_assets.serving.rows import Rows, Values, by_row

# What would hold the event loop up for longer is scored in a thread.
LIGHT_SECONDS = 0.004
# Among so many rows the one that a model refuses is looked for, to be named.
SEARCHED_ROWS = 64

log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where records go, and whether an append waits for the disk."""

    waits: bool

    def append(self, model: str, documents: Sequence[bytes], rows: int) -> object:
        """Write what one flush answered; OSError when no answer may leave without it."""


Outcome = Answered | Exception


class _Asked(NamedTuple):
    rows: Rows
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
        self._model = routed.model
        self._recorder = Recorder(routed.model.version, routed.variant)
        self._log = writer
        self._metrics = metrics
        self._waiting: deque[_Asked] = deque()
        self._scheduled = False
        self._pace = Pace()
        # Packed versions compute in this thread alone, which others may keep waiting; estimators
        # may have threads of their own.
        self._clock = time.perf_counter if routed.model.packed is None else time.thread_time
        self._flushing: asyncio.Task | None = None

    def light(self, rows: int) -> bool:
        """Whether so many rows are answered in a fraction of a tick."""
        return not self._log.waits and self._pace.expected(rows) <= LIGHT_SECONDS

    def submit(self, rows: Rows, arrived: float, done: Callable[[Outcome], None]) -> None:
        """Answer rows soon.

        Parameters
        ----------
        rows : Rows
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
        if self.light(_rows(asked)):
            self._settle(asked, self._timed(asked))
        else:
            self._flushing = asyncio.get_running_loop().create_task(self._in_thread(asked))

    async def _in_thread(self, asked: list[_Asked]) -> None:
        try:
            outcomes = await asyncio.to_thread(self._timed, asked)
        except RuntimeError as error:
            # The system has no further thread to give: who asked must hear of it.
            outcomes = [error for _ in asked]
        self._settle(asked, outcomes)

    def _again(self) -> None:
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)

    def _take(self) -> list[_Asked]:
        taken = [self._waiting.popleft()]
        rows = taken[0].rows.count
        most = MAX_ROWS
        if self.light(rows):
            # Together they should be light, too.
            most = min(most, self._pace.within(LIGHT_SECONDS))
        while self._waiting and rows + self._waiting[0].rows.count <= most:
            taken.append(self._waiting.popleft())
            rows += taken[-1].rows.count
        return taken

    def _settle(self, asked: list[_Asked], outcomes: list[Outcome]) -> None:
        try:
            for request, outcome in zip(asked, outcomes, strict=True):
                request.done(outcome)
        finally:
            self._again()

    def _timed(self, asked: list[_Asked]) -> list[Outcome]:
        started = self._clock()
        outcomes = self._outcomes(asked)
        self._pace.saw(_rows(asked), self._clock() - started)
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
        if self._model.batches and len(asked) > 1:
            answers = self._scored_together(asked)
        else:
            answers = [self._scored(request.rows.flat, request.rows.count) for request in asked]
        now = datetime.now(UTC)
        results: list[Answered] = []
        documents: list[bytes] = []
        for request, given in zip(asked, answers, strict=True):
            prediction_id, document = self._recorded(request, given, now)
            documents.append(document)
            results.append(Answered(given, prediction_id, request.rows.count))
        try:
            self._log.append(self._model.version.model, documents, _rows(asked))
        except OSError as error:
            self._metrics.log_failures.inc()
            log.error("%s: the prediction log can't be written: %s", self._model.version, error)
            raise _Unlogged(503, "the predictions could not be logged, so none is given") from error
        return results

    def _recorded(self, asked: _Asked, answers: Columns, now: datetime) -> tuple[str, bytes]:
        latency_ms = (time.perf_counter() - asked.arrived) * 1000
        try:
            return self._recorder.recorded(asked.rows, answers, now, latency_ms)
        except ValueError:
            row = first_not_finite(answers)
            if row is None:
                raise
            message = f"row {row}: the model has no finite answer to it"
            raise self._refusal(message) from None

    def _scored_together(self, asked: list[_Asked]) -> list[Columns]:
        flat = list(chain.from_iterable([request.rows.flat for request in asked]))
        answers, start, parts = self._scored(flat, _rows(asked)), 0, []
        for request in asked:
            end = start + request.rows.count
            parts.append({name: values[start:end] for name, values in answers.items()})
            start = end
        return parts

    def _scored(self, flat: list[Any], rows: int) -> Columns:
        # Loading has seen that the model can answer: what it can't answer now is in the values.
        self._metrics.batch_rows.observe(rows)
        try:
            answers = self._model.answers(flat)
        except ValueError as error:
            place = self._first_refused(by_row(flat, len(flat) // rows))
            raise self._refusal(f"{place}the model can't score it: {brief(error)}") from error
        if any(len(values) != rows for values in answers.values()):
            raise RuntimeError(f"{self._model.version} has not one answer to each of {rows} rows")
        return answers

    def _refusal(self, message: str) -> RequestError:
        self._metrics.refusals.inc()
        log.warning("%s refused what had passed every check: %s", self._model.version, message)
        return RequestError(422, message)

    def _first_refused(self, rows: list[Values]) -> str:
        for number, row in enumerate(rows[:SEARCHED_ROWS]):
            try:
                self._model.answers(list(row))
            except ValueError:
                return f"row {number}: "
        return ""

    def _log_failure(self, asked: _Asked, status: int) -> None:
        """What a version could not answer is what a canary is judged by."""
        version, now = self._model.version, datetime.now(UTC)
        latency_ms = (time.perf_counter() - asked.arrived) * 1000
        try:
            _, document = self._recorder.recorded(asked.rows, {}, now, latency_ms, status)
            self._log.append(version.model, [document], asked.rows.count)
        except Exception as error:  # noqa: BLE001 - the client must hear of the first error
            self._metrics.log_failures.inc()
            log.error("%s: a failure can't be logged: %s", version, brief(error))


class Pace:
    """How long a model takes, as far as it has been seen; at first it may be slow.

    Quick to trust and slow to doubt: a busy machine makes any model look slow at times.
    """

    few = 8  # for which a call costs about the same as for one
    memory = 0.8
    tick = 1e-6  # no call takes less

    def __init__(self) -> None:
        self._call = self._row = math.inf

    @property
    def row(self) -> float:
        """Seconds for one of many rows."""
        return min(self._row, self._call)

    def expected(self, rows: int) -> float:
        """Seconds for so many rows at once."""
        return self._call if rows <= self.few else rows * self.row

    def within(self, seconds: float) -> int:
        """How many rows take no longer."""
        return int(seconds / self.row)

    def saw(self, rows: int, seconds: float) -> None:
        """Learn how long a call took."""
        # On a virtual machine a thread's clock may stand still for a while.
        seconds = max(seconds, self.tick)
        if rows <= self.few:
            self._call = self._blend(self._call, seconds)
        else:
            self._row = self._blend(self._row, seconds / rows)
            # Fewer would have taken no longer.
            self._call = min(self._call, seconds)

    def _blend(self, known: float, seen: float) -> float:
        return min(seen, self.memory * min(known, 1.0) + (1 - self.memory) * seen)


def _rows(asked: Sequence[_Asked]) -> int:
    return sum([request.rows.count for request in asked])


class _Unlogged(RequestError):
    """The answers are there, the log is not."""
