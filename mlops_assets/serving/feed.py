"""What should serve, as the follower of the registry tells the servers: a file that both know."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from mlops_assets.lifecycle.registry import Version
from mlops_assets.serving.retired import Retired

DOCUMENT, HEARTBEAT = "wanted.json", "alive"
# A follower says every second that it lives, even while the registry keeps it waiting.
BEAT_SECONDS, STALE_SECONDS = 1.0, 15.0


class Wanted(NamedTuple):
    """A version that should serve.

    ``registered_at`` tells a model from one that was deleted and registered anew: its versions
    count from 1 again.
    """

    model: str
    registered_at: int
    number: int


class Target(msgspec.Struct, frozen=True):
    """What should serve of one model, as the registry says.

    ``registered_at`` is that of :class:`Wanted`; ``names`` are what champion and canary are called
    in the prediction log, where it is not by role.
    """

    registered_at: int
    champion: int
    canary: int | None = None
    share: float = 0.0
    names: tuple[str, str] | None = None
    shadow: int | None = None
    previous: int | None = None

    def needed(self, model: str) -> list[Wanted]:
        """What is asked, or scored beside."""
        return self._of(model, self.champion, self.canary, self.shadow)

    def kept(self, model: str) -> list[Wanted]:
        """What stays where it is there; the former champion, too, for a rollback."""
        return [*self.needed(model), *self._of(model, self.previous)]

    def _of(self, model: str, *numbers: int | None) -> list[Wanted]:
        found = dict.fromkeys(n for n in numbers if n is not None)
        return [Wanted(model, self.registered_at, n) for n in found]


class Fetched(msgspec.Struct, frozen=True):
    """A version as it is registered and where its files are, or why there are none.

    Parameters
    ----------
    wanted : Wanted
    tried_at : float
        Unix time; another try makes another record.
    version : Version or None
    folder : str or None
        A copy that nobody changes. Whoever parses it verifies it first.
    problem : str or None
    """

    wanted: Wanted
    tried_at: float
    version: Version | None = None
    folder: str | None = None
    problem: str | None = None


class Feed(msgspec.Struct, frozen=True):
    """All of it.

    Parameters
    ----------
    targets : dict of str to (Target or None)
        Of every registered model; None for one without a champion.
    fetched : list of Fetched
        What of the wanted versions has been fetched, or could not be.
    retired : dict of str to Retired
    away : str or None
        Why the registry can't be read; what else is said here is from before.
    """

    targets: dict[str, Target | None] = {}
    fetched: list[Fetched] = []
    retired: dict[str, Retired] = {}
    away: str | None = None


def write(folder: Path, feed: Feed) -> None:
    """Put a feed in the place of the former one, whole."""
    spare = folder / f"{DOCUMENT}.{os.getpid()}"
    spare.write_bytes(msgspec.json.encode(feed))
    os.replace(spare, folder / DOCUMENT)


def read(folder: Path) -> Feed | None:
    """The feed, or None where there is none yet."""
    try:
        content = (folder / DOCUMENT).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=Feed)


def written_at(folder: Path) -> tuple[int, int] | None:
    """Differs between any two feeds."""
    try:
        state = (folder / DOCUMENT).stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_ino


def beat(folder: Path) -> None:
    """Say that the follower lives."""
    (folder / HEARTBEAT).touch()


def silent_seconds(folder: Path) -> float | None:
    """How long the follower has said nothing, or None where it never has."""
    try:
        return time.time() - (folder / HEARTBEAT).stat().st_mtime
    except FileNotFoundError:
        return None
