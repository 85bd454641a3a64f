"""A version that is asked about everything and answers nobody, off the path of the answer."""

import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime

from mlops_assets.lifecycle.registry import SHADOW
from mlops_assets.serving.answers import Answered, Columns, first_not_finite
from mlops_assets.serving.errors import brief
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import Models
from mlops_assets.serving.records import Recorder
from mlops_assets.serving.routing import Routed
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.scoring import Writer

MOST_WAITING = 1000

log = logging.getLogger(__name__)


class Shadow:
    """Scores and logs what the champion was asked, in one thread, for the shadow beside it.

    It must not slow the answers down, so that it may fall behind: requests beyond ``MOST_WAITING``
    are dropped, counted, and told in the server's log.

    Parameters
    ----------
    models : Models
    writer : Writer
    metrics : Metrics
    """

    def __init__(self, models: Models, writer: Writer, metrics: Metrics):
        self._models, self._writer, self._metrics = models, writer, metrics
        self._waiting: deque[tuple[ServedModel, Rows]] = deque()
        self._something = threading.Event()
        self._stopping = False
        self._told = 0.0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin to score."""
        self._thread.start()

    def stop(self) -> None:
        """Score what waits, then end."""
        self._stopping = True
        self._something.set()
        if self._thread.is_alive():
            self._thread.join()

    def after_answer(self, routed: Routed, rows: Rows, answered: Answered) -> None:
        """Remember what was asked, where a shadow should see it; called on the event loop."""
        name = routed.model.version.model
        shadow = self._models.shadow_of(routed)
        if shadow is None:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._metrics.shadow_dropped.labels(name).inc()
            if time.monotonic() - self._told > 60:
                self._told = time.monotonic()
                log.warning("%s: its shadow falls behind; requests are dropped", name)
            return
        self._waiting.append((shadow, rows))
        self._something.set()

    def _run(self) -> None:
        while True:
            self._something.wait()
            self._something.clear()
            while self._waiting:
                self._score(*self._waiting.popleft())
            if self._stopping:
                return

    def _score(self, model: ServedModel, rows: Rows) -> None:
        started = time.perf_counter()
        try:
            answers = model.answers(rows.flat)
            status = 200 if first_not_finite(answers) is None else 422
            document = self._document(
                model, rows, answers if status == 200 else {}, status, started
            )
        except Exception as error:  # noqa: BLE001 - an estimator raises, and answers, what it likes
            log.error("%s, a shadow, failed: %s", model.version, brief(error))
            document = self._document(model, rows, {}, 500, started)
        try:
            self._writer.append(model.version.model, [document], rows.count)
        except OSError as error:
            log.error("%s: the prediction log can't be written: %s", model.version, error)

    def _document(
        self, model: ServedModel, rows: Rows, answers: Columns, status: int, started: float
    ) -> bytes:
        latency = (time.perf_counter() - started) * 1000
        recorder = Recorder(model.version, SHADOW, model.reader.numbers)
        now = datetime.now(UTC)
        return recorder.recorded(rows, [rows.count], answers, now, [latency], status)[1]
