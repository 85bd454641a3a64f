"""Keeping a follower of the registry running beside the servers."""

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from mlops_assets.lifecycle.settings import Settings

STOP_SECONDS = 5.0
RESTART_SECONDS = 1.0

log = logging.getLogger(__name__)


class Following(Protocol):
    """Somebody follows the registry, and says in ``folder`` what should serve."""

    folder: Path

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class FollowerProcess:
    """Runs a follower, and another one should it die.

    Parameters
    ----------
    settings : Settings
    poll_seconds : float
        How often the registry is read.
    """

    def __init__(self, settings: Settings, poll_seconds: float):
        self.folder = Path(tempfile.gettempdir()) / f"mlops-serving-{secrets.token_hex(8)}"
        asked = {
            "settings": TypeAdapter(Settings).dump_python(settings, mode="json"),
            "folder": str(self.folder),
            "poll_seconds": poll_seconds,
        }
        self._asked = json.dumps(asked).encode() + b"\n"
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="follower", daemon=True)

    def start(self) -> None:
        """Start it."""
        # For this user alone: what is verified here must be what is parsed.
        self.folder.mkdir(mode=0o700)
        self._child = self._run()
        self._thread.start()

    def stop(self) -> None:
        """End it, and remove its folder."""
        self._stopping.set()
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
            self._thread.join(STOP_SECONDS)
            self._child.kill()
            self._child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join(entry for entry in sys.path if entry)
        child = subprocess.Popen(
            [sys.executable, "-m", "mlops_assets.serving.follower"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert child.stdin is not None
        child.stdin.write(self._asked)
        child.stdin.flush()
        return child

    def _keep(self) -> None:
        while self._child is not None:
            code = self._child.wait()
            if self._stopping.is_set():
                return
            log.error("the follower of the registry ended with code %s and is started anew", code)
            if self._stopping.wait(RESTART_SECONDS):
                return
            try:
                self._child = self._run()
            except OSError as error:
                log.error("the follower of the registry can't be started: %s", error)


class Followed:
    """A follower that another process keeps running.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""
