"""The models that are served: they follow the aliases of the registry."""

import logging
import re
import threading
import time
from pathlib import Path

import msgspec

from mlops_assets.lifecycle.registry import CANARY, CHAMPION
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving import feed as feeds
from mlops_assets.serving.errors import RequestError, brief
from mlops_assets.serving.feed import Feed, Fetched, Target, Wanted
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.retired import Gone, Retired
from mlops_assets.serving.routing import PINNED, Routed, Routes
from mlops_assets.serving.versions import Versions

POLL_SECONDS = 0.5
STOP_SECONDS = 5.0
SETTLE_SECONDS = 30.0
# Until it has started.
FIRST_BEAT_SECONDS = 60.0

# As MLflow counts; Python refuses to read a number of thousands of digits.
_NUMBER = re.compile("[1-9][0-9]{0,9}")

log = logging.getLogger(__name__)


class Models:
    """Serves the champion of every registered model, and its canary and shadow, as they change.

    Requests read one dictionary, of which the following thread replaces single entries: a request
    sees either the old routes of a model or the new ones, whole.

    Parameters
    ----------
    settings : Settings
    folder : Path
        Where the follower of the registry says what should serve.
    poll_seconds : float
        How often that is looked at.
    """

    def __init__(self, settings: Settings, folder: Path, poll_seconds: float = POLL_SECONDS):
        self._folder = folder
        self._written_at: tuple[int, int] | None = None
        self._feed: Feed | None = None
        self._started = time.monotonic()
        self._news = threading.Event()
        self._versions = Versions(settings, self._news.set)
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
        self._started = time.monotonic()
        self._thread.start()

    def settle(self) -> None:
        """Wait until what is known to serve is loaded, where a follower runs already.

        Nothing is waited for where it has just been started: a server of which the registry is
        away has to say so.
        """
        if feeds.written_at(self._folder) is not None:
            self._polled.wait(SETTLE_SECONDS)

    def stop(self) -> None:
        """Stop following; a registry that does not answer is not waited for."""
        self._stopping.set()
        self._news.set()
        self._thread.join(STOP_SECONDS)

    @property
    def live(self) -> bool:
        """Whether the registry is still followed, even if it does not answer."""
        silent = feeds.silent_seconds(self._folder)
        if silent is None:
            followed = time.monotonic() - self._started < FIRST_BEAT_SECONDS
        else:
            followed = silent < feeds.STALE_SECONDS
        return followed and self._thread.is_alive()

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

    def shadow_of(self, routed: Routed) -> ServedModel | None:
        """The version that is asked what the champion was asked, if there is one.

        The platform's own questions are not traffic, and who asks a version by its number would
        not be answered by another one.
        """
        routes = self._routes.get(routed.model.version.model)
        return routes.shadow if routes and routed.variant == routes.names[0] else None

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
        for model in roles.values():
            if number == str(model.version.number):
                return Routed(model, PINNED)
        target = self._targets.get(name)
        if target is not None and _NUMBER.fullmatch(number):
            former = self._versions.known(Wanted(name, target.registered_at, int(number)))
            if former is not None:
                return Routed(former, PINNED)
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
        if not self.live:
            return "the registry is not followed; what served last serves on"
        return self._away

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._poll()
            self._news.wait(self._poll_seconds)
            self._news.clear()

    def _poll(self) -> None:
        self._read()
        if self._feed is None:
            return
        self._away = self._feed.away
        self._retire(self._feed.retired)
        # A feed that began with a registry which can't be read says nothing about what serves.
        if self._away is not None and not self._feed.targets:
            return
        fetched = {found.wanted: found for found in self._feed.fetched}
        complete = True
        for name, target in self._feed.targets.items():
            complete = self._follow(name, target, fetched) and complete
        self._keep_vanished(self._feed.targets.keys())
        if complete:
            self._polled.set()

    def _retire(self, retired: dict[str, Retired]) -> None:
        for name, said in retired.items():
            if self._retired.get(name) != said:
                log.info("%s is %s", name, said)
            self._retired[name] = said

    def _reinstate(self, name: str) -> None:
        assert self._feed is not None
        if name not in self._feed.retired:
            self._retired.pop(name, None)

    def _read(self) -> None:
        try:
            written_at = feeds.written_at(self._folder)
            if written_at not in (None, self._written_at):
                self._feed, self._written_at = feeds.read(self._folder), written_at
        except (OSError, msgspec.MsgspecError) as error:
            log.error("what the follower says can't be read: %s", brief(error))
            self._written_at = None

    def _follow(self, name: str, target: Target | None, fetched: dict[Wanted, Fetched]) -> bool:
        """Serve what should be served of a model; whether all that it needs has been tried."""
        if target is None:
            self._reinstate(name)
            self._problems.pop(name, None)
            self._targets.pop(name, None)
            if self._routes.pop(name, None) is not None:
                log.info("%s has no champion any more and is not served", name)
            self._versions.keep(name, set())
            return True
        if self._targets.get(name) == target and name not in self._problems:
            self._reinstate(name)
            return True
        problems: list[str | None] = []
        champion, canary, shadow = (
            self._version(name, target, number, fetched, problems)
            for number in (target.champion, target.canary, target.shadow)
        )
        # The others may join later: a rollback is not to wait for them.
        if champion is not None:
            names = target.names or (CHAMPION, CANARY)
            routes = Routes(champion, canary, target.share, shadow, names)
            if routes != self._routes.get(name):
                log.info("%s: %s", name, routes)
            self._routes[name] = routes
        if champion is not None or None not in problems:
            self._reinstate(name)  # only now: a model answers 410 until it can answer
        if None in problems:
            return False
        said = next(iter(problems), None)
        if said is not None:
            self._problems[name] = said
            return True
        self._problems.pop(name, None)
        self._targets[name] = target
        self._versions.keep(name, set(target.kept(name)))
        return True

    def _version(
        self,
        name: str,
        target: Target,
        number: int | None,
        fetched: dict[Wanted, Fetched],
        problems: list[str | None],
    ) -> ServedModel | None:
        """A version that is loaded; else None, with the reason, where it is known, in problems."""
        if number is None:
            return None
        serves = self._routes.get(name)
        wanted = Wanted(name, target.registered_at, number)
        found, problem = self._versions.get(
            wanted,
            fetched.get(wanted),
            serves.champion.version.number if serves else None,
        )
        if found is None:
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
