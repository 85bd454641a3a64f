"""The versions that are loaded, and those that could not be."""

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.errors import brief
from mlops_assets.serving.feed import Fetched, Wanted
from mlops_assets.serving.loading import ServedModel, load

RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failure:
    problem: str
    fetched: Fetched
    retry_at: float


@dataclass(frozen=True)
class _Try:
    fetched: Fetched
    before: _Failure | None
    serving: int | None


class Versions:
    """Loads versions, keeps them, and tries those again that could not be loaded.

    A thread of its own loads them, one at a time: one that takes long, or never ends, keeps nobody
    waiting who is to go back to a version that is loaded.

    Parameters
    ----------
    settings : Settings
    tried : callable
        Called by that thread after each try.
    """

    def __init__(self, settings: Settings, tried: Callable[[], None]):
        self._registry = Registry(settings)
        self._tried = tried
        self._loaded: dict[Wanted, ServedModel] = {}
        self._failures: dict[Wanted, _Failure] = {}
        self._loading: dict[Wanted, Future[ServedModel | _Failure]] = {}
        self._queue: SimpleQueue[tuple[Future[ServedModel | _Failure], _Try]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.loads: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def loaded(self) -> list[ServedModel]:
        """What may be asked."""
        return list(self._loaded.copy().values())

    def known(self, wanted: Wanted) -> ServedModel | None:
        """A version, if it is loaded."""
        return self._loaded.get(wanted)

    def get(
        self, wanted: Wanted, fetched: Fetched | None, serving: int | None
    ) -> tuple[ServedModel | None, str | None]:
        """A version, or why it can't be loaded; neither, while that is not known yet.

        Parameters
        ----------
        fetched : Fetched or None
            None where it is not fetched yet, or not any more.
        serving : int or None
            What serves in its stead, for the journal.
        """
        self._take(wanted)
        found = self._loaded.get(wanted)
        if found is not None:
            return found, None
        failure = self._failures.get(wanted)
        if fetched is not None and wanted not in self._loading and _due(failure, fetched):
            self._begin(_Try(fetched, failure, serving))
        return None, failure.problem if failure else None

    def keep(self, model: str, wanted: set[Wanted]) -> None:
        """Let go of a model's other versions."""
        for places in (self._loaded, self._failures):
            for place in [p for p in places if p.model == model and p not in wanted]:
                del places[place]
        for place in [p for p in self._loading if p.model == model and p not in wanted]:
            self._loading.pop(place).cancel()

    def _begin(self, asked: _Try) -> None:
        outcome: Future[ServedModel | _Failure] = Future()
        outcome.add_done_callback(lambda _: self._tried())
        self._loading[asked.fetched.wanted] = outcome
        self._queue.put((outcome, asked))
        if self._thread is None:
            # A daemon: what never ends must not keep a server from stopping.
            self._thread = threading.Thread(target=self._run, name="load-versions", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            outcome, asked = self._queue.get()
            if outcome.set_running_or_notify_cancel():
                outcome.set_result(self._load(asked))

    def _take(self, wanted: Wanted) -> None:
        loading = self._loading.get(wanted)
        if loading is None or not loading.done():
            return
        del self._loading[wanted]
        outcome = loading.result()
        if isinstance(outcome, _Failure):
            self.failures[wanted.model] += 1
            self._failures[wanted] = outcome
        else:
            self.loads[wanted.model] += 1
            self._loaded[wanted] = outcome
            self._failures.pop(wanted, None)

    def _load(self, asked: _Try) -> ServedModel | _Failure:
        fetched, wanted = asked.fetched, asked.fetched.wanted
        try:
            if fetched.version is None or fetched.folder is None:
                raise ArtifactError(fetched.problem or "its files were not fetched")
            return load(self._registry, fetched.version, Path(fetched.folder))
        except Exception as error:
            # skops and the estimator are not our code and may raise anything; whatever it is,
            # the version that serves must go on.
            problem = f"version {wanted.number} can't be served: {brief(error)}"
            if asked.before is None or problem != asked.before.problem:
                log.error("%s: %s", wanted.model, problem, exc_info=error)
                self._tell_journal(wanted, asked.serving, problem)
            return _Failure(problem, fetched, time.monotonic() + RETRY_SECONDS)

    def _tell_journal(self, wanted: Wanted, serving: int | None, problem: str) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from mlops_assets.lifecycle.rollout.history import LOAD_FAILED
        from mlops_assets.lifecycle.rollout.journal import Entry, Journal

        entry = Entry(
            model=wanted.model,
            action=LOAD_FAILED,
            version=wanted.number,
            champion_before=serving,
            previous_after=None,
            who=f"server {os.getpid()} on {socket.gethostname()}",
            why=problem,
        )
        try:
            Journal(self._registry.settings.database_url).note(entry)
        except (SQLAlchemyError, OSError) as error:
            log.error("%s: the rollout journal can't be written: %s", wanted.model, brief(error))


def _due(failure: _Failure | None, fetched: Fetched) -> bool:
    if failure is None or fetched != failure.fetched:
        return True
    # What could not be fetched is tried again by who fetches.
    return fetched.problem is None and time.monotonic() >= failure.retry_at
