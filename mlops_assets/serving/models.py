"""The models that are served: they follow the aliases of the registry."""

import logging
import threading
from dataclasses import dataclass

from mlops_assets.lifecycle.registry import CANARY, CHAMPION, PREVIOUS, SHADOW, SHARE_TAG, Registry
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.errors import RequestError, brief
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.retired import Gone, Retired, from_journal
from mlops_assets.serving.routing import Routed, Routes
from mlops_assets.serving.versions import Versions, Wanted

POLL_SECONDS = 0.5
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What should serve of one model, as the registry says.

    ``registered_at`` is that of :class:`Wanted`.
    """

    registered_at: int
    champion: int
    canary: int | None = None
    share: float = 0.0
    shadow: int | None = None
    previous: int | None = None

    def versions(self, model: str) -> set[Wanted]:
        """What is kept loaded; the former champion, too, for a rollback."""
        numbers = (self.champion, self.canary, self.shadow, self.previous)
        return {Wanted(model, self.registered_at, n) for n in numbers if n is not None}


class Models:
    """Serves the champion of every registered model, and its canary and shadow, as they change.

    Requests read one dictionary, of which the following thread replaces single entries: a request
    sees either the old routes of a model or the new ones, whole.

    Parameters
    ----------
    settings : Settings
    poll_seconds : float
    """

    def __init__(self, settings: Settings, poll_seconds: float = POLL_SECONDS):
        self._registry = Registry(settings)
        self._versions = Versions(self._registry)
        self._poll_seconds = poll_seconds
        self._routes: dict[str, Routes] = {}
        self._targets: dict[str, Target] = {}
        self._problems: dict[str, str] = {}
        self._retired: dict[str, Retired] = {}
        self._vanished: frozenset[str] = frozenset()
        self._away: str | None = None
        self.loads, self.load_failures = self._versions.loads, self._versions.failures
        self._polled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow-registry", daemon=True)

    def start(self) -> None:
        """Begin to follow the registry."""
        # MLflow tries for a minute to reach a registry that is away, and so may a database driver.
        threading.Thread(target=self._read_journal, name="read-journal", daemon=True).start()
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
        """The champions, by the name of their model."""
        return [routes.champion for _, routes in sorted(self._routes.copy().items())]

    def routes(self, name: str) -> Routes:
        """Who answers for a model.

        Raises
        ------
        RequestError
            404 for a model without a champion, 503 for one whose champion can't be loaded, 410
            for one that was retired.
        """
        retired = self._retired.get(name)
        if retired is not None:
            raise Gone(name, retired)
        found = self._routes.get(name)
        if found is not None:
            return found
        problem = self._problems.get(name)
        if problem is not None:
            raise RequestError(503, f"no version of {name} can serve: {problem}")
        if not self.ready:
            raise RequestError(503, "the registry has not been read yet")
        raise RequestError(404, f"no model {name!r} is served")

    def get(self, name: str) -> ServedModel:
        """The champion of a model; raises as :meth:`routes` does."""
        return self.routes(name).champion

    def shadow(self, name: str) -> ServedModel | None:
        """The version that is asked about everything beside the champion, if there is one."""
        routes = self._routes.get(name)
        return routes.shadow if routes else None

    def loaded(self) -> set[int]:
        """The identities of the versions that may still be asked."""
        return {id(model) for model in self._versions.loaded()}

    def route(self, name: str, unit: str | None) -> Routed:
        """Who answers a unit; raises as :meth:`routes` does."""
        return self.routes(name).route(unit)

    def version(self, name: str, number: str) -> Routed:
        """A version by its number, where it is loaded: champion, canary, shadow or previous.

        Raises
        ------
        RequestError
            404 naming what is served; else as :meth:`routes` does.
        """
        roles = self.routes(name).roles()
        for variant, model in roles.items():
            if number == str(model.version.number):
                return Routed(model, variant)
        target = self._targets.get(name)
        if target is not None and number.isdecimal():
            former = self._versions.known(Wanted(name, target.registered_at, int(number)))
            if former is not None:
                return Routed(former, PREVIOUS)
        served = ", ".join(str(model.version.number) for model in roles.values())
        raise RequestError(404, f"version {number[:20]!r} of {name} is not served; {served} is")

    def problems(self) -> dict[str, str]:
        """Why models can't serve what the registry says now, by name."""
        return self._problems.copy()

    def retired(self) -> dict[str, Retired]:
        """The models that were taken out of service, by name."""
        return self._retired.copy()

    def problem(self, name: str) -> str | None:
        """Why a model may not serve what the registry says now, or None when all is well."""
        problem = self._problems.get(name)
        if problem is not None:
            return problem
        if name in self._vanished:
            return "the model is no longer in the registry; its last champion serves on"
        return self._away

    def _read_journal(self) -> None:
        """Until the registry has been read, the rollout journal tells what was retired."""
        found = from_journal(self._registry.settings.database_url)
        if not self.ready:
            self._retired |= found

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._poll()
            self._stopping.wait(self._poll_seconds)

    def _poll(self) -> None:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            targets = self._read_targets()
        except (MlflowException, SQLAlchemyError, OSError) as error:
            if self._away is None:
                log.warning("the registry can't be read, models serve on: %s", error)
            self._away = f"the registry can't be read: {brief(error)}"
            return
        if self._away is not None:
            log.info("the registry can be read again")
        self._away = None
        for name, target in targets.items():
            self._follow(name, target)
        self._keep_vanished(targets.keys())
        self._polled.set()

    def _read_targets(self) -> dict[str, Target | Retired | None]:
        # One query for all models: asking model by model would take longer than the poll allows.
        found = self._registry.client.search_registered_models(max_results=1000)
        return {model.name: Retired.of(model.tags) or self._target(model) for model in found}

    def _target(self, model) -> Target | None:
        aliases = {alias: int(number) for alias, number in model.aliases.items()}
        if CHAMPION not in aliases:
            return None
        canary = aliases.get(CANARY)
        share = 0.0
        if canary is not None:
            version = self._registry.client.get_model_version(model.name, str(canary))
            share = float(version.tags.get(f"mlops.{SHARE_TAG}", 0))
        return Target(
            registered_at=model.creation_timestamp,
            champion=aliases[CHAMPION],
            canary=canary,
            share=share,
            shadow=aliases.get(SHADOW),
            previous=aliases.get(PREVIOUS),
        )

    def _follow(self, name: str, target: Target | Retired | None) -> None:
        if isinstance(target, Retired):
            if self._retired.get(name) != target:
                log.info("%s is %s", name, target)
            self._retired[name] = target
            target = None
        elif target is None:
            self._retired.pop(name, None)
        if target is None:
            self._problems.pop(name, None)
            self._targets.pop(name, None)
            if self._routes.pop(name, None) is not None:
                log.info("%s has no champion any more and is not served", name)
            self._versions.keep(name, set())
            return
        if self._targets.get(name) == target and name not in self._problems:
            self._retired.pop(name, None)
            return
        problems: list[str] = []
        champion = self._version(name, target, target.champion, problems)
        canary = self._version(name, target, target.canary, problems)
        shadow = self._version(name, target, target.shadow, problems)
        if champion is not None:
            routes = Routes(champion, canary, target.share, shadow)
            if routes != self._routes.get(name):
                log.info("%s: %s", name, routes)
            self._routes[name] = routes
        self._retired.pop(name, None)  # a reinstated model answers 410 until it can answer
        if problems:
            self._problems[name] = problems[0]
            return
        self._problems.pop(name, None)
        self._targets[name] = target
        self._versions.keep(name, target.versions(name))

    def _version(
        self, name: str, target: Target, number: int | None, problems: list[str]
    ) -> ServedModel | None:
        """A version that is loaded or can be; else None, with the reason among the problems."""
        if number is None:
            return None
        serves = self._routes.get(name)
        found, problem = self._versions.get(
            Wanted(name, target.registered_at, number),
            serves.champion.version.number if serves else None,
        )
        if problem is not None:
            problems.append(problem)
        return found

    def _keep_vanished(self, registered) -> None:
        # Retiring a model drops its alias. A model that is gone altogether is more likely a
        # registry that was lost or replaced, and that must not take production down.
        vanished = frozenset(self._routes.keys() - registered)
        for name in sorted(vanished - self._vanished):
            log.warning("%s is no longer in the registry; its last champion serves on", name)
        self._vanished = vanished
        for name in self._problems.keys() - registered:
            del self._problems[name]
        for name in self._targets.keys() - registered:
            del self._targets[name]
