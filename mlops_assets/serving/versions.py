"""The versions that are loaded, and those that could not be."""

import logging
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

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


class Versions:
    """Loads versions, keeps them, and tries those again that could not be loaded.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings):
        self._registry = Registry(settings)
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

    def get(
        self, wanted: Wanted, fetched: Fetched | None, serving: int | None
    ) -> tuple[ServedModel | None, str | None]:
        """A version, loaded now if need be, or None and why it can't be.

        Parameters
        ----------
        fetched : Fetched or None
            None only for a version that is loaded.
        serving : int or None
            What serves in its stead, for the journal.
        """
        found = self._loaded.get(wanted)
        if found is not None:
            return found, None
        failure = self._failures.get(wanted)
        if fetched is not None and _due(failure, fetched):
            failure = self._load(fetched, failure, serving)
        return self._loaded.get(wanted), failure.problem if failure else None

    def keep(self, model: str, wanted: set[Wanted]) -> None:
        """Let go of a model's other versions."""
        for place in [p for p in self._loaded if p.model == model and p not in wanted]:
            del self._loaded[place]
        for place in [p for p in self._failures if p.model == model and p not in wanted]:
            del self._failures[place]

    def _load(
        self, fetched: Fetched, before: _Failure | None, serving: int | None
    ) -> _Failure | None:
        wanted = fetched.wanted
        try:
            if fetched.version is None or fetched.folder is None:
                raise ArtifactError(fetched.problem or "its files were not fetched")
            self._loaded[wanted] = load(self._registry, fetched.version, Path(fetched.folder))
        except Exception as error:
            # skops and the estimator are not our code and may raise anything; whatever it is,
            # the version that serves must go on.
            problem = f"version {wanted.number} can't be served: {brief(error)}"
            if before is None or problem != before.problem:
                log.error("%s: %s", wanted.model, problem, exc_info=error)
                self._tell_journal(wanted, serving, problem)
            self.failures[wanted.model] += 1
            self._failures[wanted] = _Failure(problem, fetched, time.monotonic() + RETRY_SECONDS)
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


def _due(failure: _Failure | None, fetched: Fetched) -> bool:
    if failure is None or fetched != failure.fetched:
        return True
    # What could not be fetched is tried again by who fetches.
    return fetched.problem is None and time.monotonic() >= failure.retry_at
