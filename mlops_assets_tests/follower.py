"""The follower of the registry in a thread: tests that start many servers need no further process.

It is the one that runs beside a server, with the same file in between.
"""

import tempfile
import threading
from pathlib import Path

from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving import feed
from mlops_assets.serving.follower import Follower


class FollowerThread:
    """Follows until it is stopped; see ``mlops_assets.serving.following.Following``."""

    def __init__(self, settings: Settings, poll_seconds: float):
        self._kept = tempfile.TemporaryDirectory(prefix="mlops-follower-")
        self.folder = Path(self._kept.name)
        self._stopping = threading.Event()
        self._follower = Follower(settings, self.folder, poll_seconds)
        self._threads = [
            threading.Thread(target=self._follower.run, args=(self._stopping,), daemon=True),
            threading.Thread(target=self._beat, daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
        self._kept.cleanup()

    def _beat(self) -> None:
        while not self._stopping.is_set():
            feed.beat(self.folder)
            self._stopping.wait(feed.BEAT_SECONDS)
