"""The models that are served: they follow the champion aliases of the registry."""

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass

from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.loading import ServedModel, load

POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """What should serve.

    ``registered_at`` tells a model from one that was deleted and registered anew: its versions
    count from 1 again.
    """

    registered_at: int
    number: int


@dataclass(frozen=True)
class Routed:
    """Which version answers a request, and in which role."""

    model: ServedModel
    variant: str


@dataclass(frozen=True)
class _Failure:
    champion: Champion
    problem: str
    retry_at: float


class Models:
    """Serves the champion of every registered model and follows when it changes.

    Requests read two dictionaries, of which the following thread replaces single entries: a
    request sees either the old version or the new one, whole.

    Parameters
    ----------
    settings : Settings
    poll_seconds : float
    """

    def __init__(self, settings: Settings, poll_seconds: float = POLL_SECONDS):
        self._registry = Registry(settings)
        self._poll_seconds = poll_seconds
        self._served: dict[str, tuple[Champion, ServedModel]] = {}
        self._failures: dict[str, _Failure] = {}
        self._vanished: frozenset[str] = frozenset()
        self._away: str | None = None
        self.loads: Counter[str] = Counter()
        self.load_failures: Counter[str] = Counter()
        self._polled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-registry", daemon=True)

    def start(self) -> None:
        """Begin to follow the registry."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; a registry that does not answer is not waited for."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    @property
    def live(self) -> bool:
        """Whether the registry is still followed."""
        return self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether the registry has been read once and its champions loaded."""
        return self._polled.is_set()

    def served(self) -> list[ServedModel]:
        """The versions that serve, by the name of their model."""
        return [model for _, (_, model) in sorted(self._served.copy().items())]

    def get(self, name: str) -> ServedModel:
        """The version of a model that serves.

        Raises
        ------
        RequestError
            404 for a model without a champion, 503 for one whose champion can't be loaded.
        """
        found = self._served.get(name)
        if found is not None:
            return found[1]
        failure = self._failures.get(name)
        if failure is not None:
            raise RequestError(503, f"no version of {name} can serve: {failure.problem}")
        if not self.ready:
            raise RequestError(503, "the registry has not been read yet")
        raise RequestError(404, f"no model {name!r} is served")

    def route(self, name: str, unit: str | None) -> Routed:
        """Which version answers a unit's request.

        Raises
        ------
        RequestError
            As `get` does.
        """
        return Routed(self.get(name), CHAMPION)

    def version(self, name: str, number: str) -> Routed:
        """A version by its number, where it is one of those that serve.

        Raises
        ------
        RequestError
            404 naming what serves; else as `get` does.
        """
        found = self.get(name)
        if number != str(found.version.number):
            raise RequestError(
                404, f"version {number[:20]!r} of {name} is not served; {found.version.number} is"
            )
        return Routed(found, CHAMPION)

    def problems(self) -> dict[str, str]:
        """Why models can't serve their champion of now, by name."""
        return {name: failure.problem for name, failure in self._failures.copy().items()}

    def problem(self, name: str) -> str | None:
        """Why a model may not be the champion of now, or None when all is well."""
        failure = self._failures.get(name)
        if failure is not None:
            return failure.problem
        if name in self._vanished:
            return "the model is no longer in the registry; its last champion serves on"
        return self._away

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._poll()
            self._stopping.wait(self._poll_seconds)

    def _poll(self) -> None:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            champions = self._champions()
        except (MlflowException, SQLAlchemyError, OSError) as error:
            if self._away is None:
                log.warning("the registry can't be read, models serve on: %s", error)
            self._away = f"the registry can't be read: {_brief(error)}"
            return
        if self._away is not None:
            log.info("the registry can be read again")
        self._away = None
        for name, champion in champions.items():
            self._follow(name, champion)
        self._keep_vanished(champions.keys())
        self._polled.set()

    def _champions(self) -> dict[str, Champion | None]:
        # One query for all models: asking model by model would take longer than the poll allows.
        found = self._registry.client.search_registered_models(max_results=1000)
        return {
            model.name: Champion(model.creation_timestamp, int(model.aliases[CHAMPION]))
            if CHAMPION in model.aliases
            else None
            for model in found
        }

    def _follow(self, name: str, champion: Champion | None) -> None:
        if champion is None:
            self._failures.pop(name, None)
            if self._served.pop(name, None) is not None:
                log.info("%s has no champion any more and is not served", name)
            return
        serves = self._served.get(name)
        if serves is not None and serves[0] == champion:
            self._failures.pop(name, None)
            return
        failure = self._failures.get(name)
        if failure is None or failure.champion != champion:
            self._swap(name, champion, said=None)
        elif time.monotonic() >= failure.retry_at:
            self._swap(name, champion, said=failure.problem)

    def _swap(self, name: str, champion: Champion, said: str | None) -> None:
        try:
            model = load(self._registry, self._registry.version(name, champion.number))
        except Exception as error:
            # skops and the estimator are not our code and may raise anything; whatever it is,
            # the version that serves must go on.
            problem = f"version {champion.number} can't be served: {_brief(error)}"
            if problem != said:
                log.error("%s: %s", name, problem, exc_info=error)
            retry_at = time.monotonic() + RETRY_SECONDS
            self._failures[name] = _Failure(champion, problem, retry_at)
            self.load_failures[name] += 1
            return
        self._served[name] = (champion, model)
        self._failures.pop(name, None)
        self.loads[name] += 1
        log.info("%s serves", model.version)

    def _keep_vanished(self, registered) -> None:
        # Retiring a model drops its alias. A model that is gone altogether is more likely a
        # registry that was lost or replaced, and that must not take production down.
        vanished = frozenset(self._served.keys() - registered)
        for name in sorted(vanished - self._vanished):
            log.warning("%s is no longer in the registry; its last champion serves on", name)
        self._vanished = vanished
        for name in self._failures.keys() - registered:
            del self._failures[name]


def _brief(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]
