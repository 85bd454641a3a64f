"""Follows the registry for all servers of one machine, in a process of its own.

It alone imports MLflow, which costs more memory than all models together. It fetches what should
serve into a private folder and writes down what and where it is; servers read that file, verify
the files themselves, and go on without the follower if need be.
"""

import json
import logging
import logging.config
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from pydantic import TypeAdapter

from mlops_assets.lifecycle.registry import (
    CANARY,
    CHAMPION,
    NAMES_TAG,
    PREVIOUS,
    SHADOW,
    SHARE_TAG,
    Registry,
)
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving import feed as feeds
from mlops_assets.serving.errors import brief
from mlops_assets.serving.feed import Feed, Fetched, Target, Wanted
from mlops_assets.serving.retired import Retired, from_journal

FILES = "files"
RETRY_SECONDS = 10.0
# A server that has just read of a folder has so long to map it.
KEPT_SECONDS = 60.0
FETCHES_AT_ONCE = 4

log = logging.getLogger(__name__)


class Follower:
    """Writes into a folder what should serve, and fetches it.

    Parameters
    ----------
    settings : Settings
    folder : Path
        Of its own, exists. One that another follower left is taken over.
    poll_seconds : float
    """

    def __init__(self, settings: Settings, folder: Path, poll_seconds: float):
        self._registry = Registry(settings)
        self._folder = folder
        self._poll_seconds = poll_seconds
        self._feed = feeds.read(folder)
        known = self._feed.fetched if self._feed else []
        self._fetched = {fetched.wanted: fetched for fetched in known}
        self._unwanted: dict[Path, float] = {}
        self._telling = threading.Lock()
        # A store that is slow, or never answers, must not keep a rollback waiting.
        self._pool = ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="fetch")
        self._fetching: dict[Wanted, tuple[Future[Fetched], Path]] = {}

    def run(self, stopping: threading.Event) -> None:
        """Follow until told to stop."""
        # MLflow tries for a minute to reach a registry that is away, and so may a database driver.
        threading.Thread(target=self._read_journal, name="read-journal", daemon=True).start()
        while not stopping.is_set():
            self._poll()
            if self._fetching:
                wait([fetch for fetch, _ in self._fetching.values()], self._poll_seconds)
            else:
                stopping.wait(self._poll_seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _poll(self) -> None:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        self._take_fetched()
        try:
            targets, retired = self._read_registry()
        except (MlflowException, SQLAlchemyError, OSError) as error:
            if self._feed is None or self._feed.away is None:
                log.warning("the registry can't be read, models serve on: %s", error)
            before = self._feed or Feed()
            away = f"the registry can't be read: {brief(error)}"
            self._tell(before.targets, before.retired, away)
            return
        if self._feed is not None and self._feed.away is not None:
            log.info("the registry can be read again")
        wanted = [(name, target) for name, target in targets.items() if target is not None]
        kept = {place for name, target in wanted for place in target.kept(name)}
        self._fetched = {w: known for w, known in self._fetched.items() if w in kept}
        self._tell(targets, retired)
        self._begin_to_fetch([place for name, target in wanted for place in target.needed(name)])
        self._sweep()

    def _take_fetched(self) -> None:
        for place in [place for place, (fetch, _) in self._fetching.items() if fetch.done()]:
            self._fetched[place] = self._fetching.pop(place)[0].result()

    def _begin_to_fetch(self, needed: list[Wanted]) -> None:
        for place in needed:
            if place not in self._fetching and self._due(place):
                # A name of its own each time: a server may still read the former copy.
                target = self._folder / FILES / f"{os.getpid()}-{time.time_ns()}"
                self._fetching[place] = self._pool.submit(self._fetch, place, target), target

    def _tell(
        self,
        targets: dict[str, Target | None],
        retired: dict[str, Retired],
        away: str | None = None,
    ) -> None:
        feed = Feed(targets, list(self._fetched.values()), retired, away)
        with self._telling:
            if feed != self._feed:
                feeds.write(self._folder, feed)
                self._feed = feed

    def _read_journal(self) -> None:
        """Until the registry has been read, the rollout journal tells what was retired."""
        retired = from_journal(self._registry.settings.database_url)
        with self._telling:
            if self._feed is None or (self._feed.away is not None and not self._feed.targets):
                away = self._feed.away if self._feed else "the registry has not been read yet"
                self._feed = Feed(retired=retired, away=away)
                feeds.write(self._folder, self._feed)

    def _read_registry(self) -> tuple[dict[str, Target | None], dict[str, Retired]]:
        # One query for all models: asking model by model would take longer than the poll allows.
        found = self._registry.registered()
        said = {model.name: Retired.of(model.tags) for model in found}
        retired = {name: since for name, since in said.items() if since is not None}
        targets = {m.name: None if m.name in retired else self._target(m) for m in found}
        return targets, retired

    def _target(self, model) -> Target | None:
        aliases = {alias: int(number) for alias, number in model.aliases.items()}
        if CHAMPION not in aliases:
            return None
        canary = aliases.get(CANARY)
        share, names = 0.0, None
        if canary is not None:
            version = self._registry.client.get_model_version(model.name, str(canary))
            share = float(version.tags.get(f"mlops.{SHARE_TAG}", 0))
            names = _pair(version.tags.get(f"mlops.{NAMES_TAG}"))
        return Target(
            registered_at=model.creation_timestamp,
            champion=aliases[CHAMPION],
            canary=canary,
            share=share,
            names=names,
            shadow=aliases.get(SHADOW),
            previous=aliases.get(PREVIOUS),
        )

    def _due(self, place: Wanted) -> bool:
        known = self._fetched.get(place)
        if known is None:
            return True
        if known.folder is None:
            return time.time() >= known.tried_at + RETRY_SECONDS
        # Whoever cleans up temporary folders must not keep a restarted server from loading.
        return not Path(known.folder).is_dir()

    def _fetch(self, place: Wanted, target: Path) -> Fetched:
        now = time.time()
        try:
            version = self._registry.version(place.model, place.number)
            folder = self._registry.files.take(version, target)
        except Exception as error:  # noqa: BLE001 - a store's client may raise anything
            log.warning("%s v%s can't be fetched: %s", place.model, place.number, brief(error))
            return Fetched(place, now, problem=brief(error))
        return Fetched(place, now, version, str(folder))

    def _sweep(self) -> None:
        """Remove what nobody has wanted for a while; arrays that are mapped stay readable."""
        used = {Path(f.folder).parent for f in self._fetched.values() if f.folder}
        used |= {target for _, target in self._fetching.values()}
        now = time.monotonic()
        files = self._folder / FILES
        present = set(files.iterdir()) if files.is_dir() else set()
        self._unwanted = {
            path: self._unwanted.get(path, now) for path in present if path not in used
        }
        for path, since in self._unwanted.items():
            if now - since > KEPT_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _pair(tag: str | None) -> tuple[str, str] | None:
    match (tag or "").split(","):
        case [champion, canary] if champion and canary:
            return champion, canary
        case _:
            return None


def main() -> None:
    """Follow until standard input ends, as it does when the process that started this one ends.

    Its first line says what to follow: ``{"settings": ..., "folder": ..., "poll_seconds": ...}``.
    """
    from mlops_assets.serving.logs import LOGGING

    # The terminal's Ctrl-C reaches everybody; who started this one decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.config.dictConfig(LOGGING)
    asked = json.loads(sys.stdin.readline())
    folder = Path(asked["folder"])
    settings = TypeAdapter(Settings).validate_python(asked["settings"])
    folder.mkdir(mode=0o700, exist_ok=True)
    for work in (_beat, _end_with_input):
        threading.Thread(target=work, args=(folder,), daemon=True).start()
    Follower(settings, folder, asked["poll_seconds"]).run(threading.Event())


def _beat(folder: Path) -> None:
    try:
        while True:
            feeds.beat(folder)
            time.sleep(feeds.BEAT_SECONDS)
    except OSError as error:
        log.error("the folder of what is served is gone: %s", error)
        # Whoever started this one starts another, which makes the folder anew.
        os._exit(1)


def _end_with_input(folder: Path) -> None:
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    # Not through the interpreter's end: a registry that does not answer is not waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
