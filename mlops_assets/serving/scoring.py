"""Rows to logged answers: requests of one tick of the event loop are scored together."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from mlops_assets.serving.answers import Answered, Columns, first_not_finite
from mlops_assets.serving.errors import RequestError, brief
from mlops_assets.serving.metrics import VersionMetrics
from mlops_assets.serving.models import Routed
from mlops_assets.serving.pace import Pace
from mlops_assets.serving.payload import MAX_ROWS
from mlops_assets.serving.records import Recorder
from mlops_assets.serving.rows import Rows, Values

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
        self._recorder = Recorder(routed.model.version, routed.variant, routed.model.reader.numbers)
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
            if len(asked) > 1:
                # One request must not spoil the others of its tick.
                return [outcome for request in asked for outcome in self._outcomes([request])]
            outcome = self._refusal(error) if isinstance(error, _Refused) else error
            self._log_failure(asked[0], getattr(outcome, "status", 500))
            return [outcome]

    def _answered(self, asked: list[_Asked]) -> list[Answered]:
        together = [asked] if self._model.batches else [[request] for request in asked]
        scored = [self._scored([request.rows for request in group]) for group in together]
        now = datetime.now(UTC)
        results: list[Answered] = []
        documents: list[bytes] = []
        for group, (rows, answers) in zip(together, scored, strict=True):
            ids, document = self._recorded(group, rows, answers, now)
            documents.append(document)
            results += _by_request(group, answers, ids)
        try:
            self._log.append(self._model.version.model, documents, _rows(asked))
        except OSError as error:
            self._metrics.log_failures.inc()
            log.error("%s: the prediction log can't be written: %s", self._model.version, error)
            raise _Unlogged(503, "the predictions could not be logged, so none is given") from error
        return results

    def _recorded(
        self, asked: list[_Asked], rows: Rows, answers: Columns, now: datetime
    ) -> tuple[list[str], bytes]:
        answered = time.perf_counter()
        latencies_ms = [(answered - request.arrived) * 1000 for request in asked]
        counts = [request.rows.count for request in asked]
        try:
            return self._recorder.recorded(rows, counts, answers, now, latencies_ms)
        except ValueError:
            row = first_not_finite(answers)
            if row is None:
                raise
            raise _Refused(f"row {row}: the model has no finite answer to it") from None

    def _scored(self, requests: list[Rows]) -> tuple[Rows, Columns]:
        # Loading has seen that the model can answer: what it can't answer now is in the values.
        rows = Rows.joined(requests)
        self._metrics.batch_rows.observe(rows.count)
        try:
            answers = self._model.answers(rows.flat)
        except ValueError as error:
            place = self._first_refused(rows.values) if len(requests) == 1 else ""
            raise _Refused(f"{place}the model can't score it: {brief(error)}") from error
        return rows, answers

    def _refusal(self, refused: "_Refused") -> RequestError:
        self._metrics.refusals.inc()
        log.warning("%s refused what had passed every check: %s", self._model.version, refused)
        return RequestError(422, str(refused))

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
            rows = asked.rows
            _, document = self._recorder.recorded(rows, [rows.count], {}, now, [latency_ms], status)
            self._log.append(version.model, [document], rows.count)
        except Exception as error:  # noqa: BLE001 - the client must hear of the first error
            self._metrics.log_failures.inc()
            log.error("%s: a failure can't be logged: %s", version, brief(error))


def _rows(asked: Sequence[_Asked]) -> int:
    return sum([request.rows.count for request in asked])


def _by_request(asked: list[_Asked], answers: Columns, ids: list[str]) -> list[Answered]:
    """The part of each request in the answers to all."""
    if len(asked) == 1:
        return [Answered(answers, ids[0], asked[0].rows.count)]
    found, start = [], 0
    for request, prediction_id in zip(asked, ids, strict=True):
        end = start + request.rows.count
        part = {name: values[start:end] for name, values in answers.items()}
        found.append(Answered(part, prediction_id, request.rows.count))
        start = end
    return found


class _Refused(Exception):
    """The model has no answer to a row of what passed every check."""


class _Unlogged(RequestError):
    """The answers are there, the log is not."""
