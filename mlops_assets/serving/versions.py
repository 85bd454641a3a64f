"""The versions that are loaded, and those that could not be."""

import logging
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from mlops_assets.lifecycle.registry import Registry
from mlops_assets.serving.errors import brief
from mlops_assets.serving.loading import ServedModel, load

RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)


class Wanted(NamedTuple):
    """A version that should serve.

    ``registered_at`` tells a model from one that was deleted and registered anew: its versions
    count from 1 again.
    """

    model: str
    registered_at: int
    number: int


@dataclass(frozen=True)
class _Failure:
    problem: str
    retry_at: float


class Versions:
    """Loads versions, keeps them, and tries those again that could not be loaded.

    Parameters
    ----------
    registry : Registry
    """

    def __init__(self, registry: Registry):
        self._registry = registry
        self._loaded: dict[Wanted, ServedModel] = {}
        self._failures: dict[Wanted, _Failure] = {}
        self.loads: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def loaded(self) -> list[ServedModel]:
        """What may be asked."""
        return list(self._loaded.copy().values())

    def known(self, wanted: Wanted) -> ServedModel | None:
        """A version, if it is loaded."""
        return self._loaded.get(wanted)

    def get(self, wanted: Wanted, serving: int | None) -> tuple[ServedModel | None, str | None]:
        """A version, loaded now if need be, or None and why it can't be.

        Parameters
        ----------
        serving : int or None
            What serves in its stead, for the journal.
        """
        found = self._loaded.get(wanted)
        if found is not None:
            return found, None
        failure = self._failures.get(wanted)
        if failure is None or time.monotonic() >= failure.retry_at:
            failure = self._load(wanted, failure, serving)
        return self._loaded.get(wanted), failure.problem if failure else None

    def keep(self, model: str, wanted: set[Wanted]) -> None:
        """Let go of a model's other versions."""
        for place in [p for p in self._loaded if p.model == model and p not in wanted]:
            del self._loaded[place]
        for place in [p for p in self._failures if p.model == model and p not in wanted]:
            del self._failures[place]

    def _load(
        self, wanted: Wanted, before: _Failure | None, serving: int | None
    ) -> _Failure | None:
        try:
            version = self._registry.version(wanted.model, wanted.number)
            self._loaded[wanted] = load(self._registry, version)
        except Exception as error:
            # skops and the estimator are not our code and may raise anything; whatever it is,
            # the version that serves must go on.
            problem = f"version {wanted.number} can't be served: {brief(error)}"
            if before is None or problem != before.problem:
                log.error("%s: %s", wanted.model, problem, exc_info=error)
                self._tell_journal(wanted, serving, problem)
            self.failures[wanted.model] += 1
            self._failures[wanted] = _Failure(problem, time.monotonic() + RETRY_SECONDS)
            return self._failures[wanted]
        self._failures.pop(wanted, None)
        self.loads[wanted.model] += 1
        return None

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
