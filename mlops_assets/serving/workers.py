"""Several processes that answer at one address, and one that follows the registry for them."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.app import build_app
from mlops_assets.serving.following import Followed, FollowerProcess
from mlops_assets.serving.models import POLL_SECONDS
from mlops_assets.serving.options import Options
from mlops_assets.serving.server import run

COUNTS = "counts"
START_SECONDS, FIRST_PING_SECONDS = 120.0, 0.1
# A worker that has been silent for so long is replaced.
SILENT_SECONDS = 30

log = logging.getLogger(__name__)


def serve_with_workers(settings: Settings, config: uvicorn.Config, workers: int) -> None:
    """Serve until SIGTERM or SIGINT, which every worker drains for.

    Parameters
    ----------
    settings : Settings
    config : uvicorn.Config
    workers : int
    """
    config.workers = workers
    config.timeout_worker_healthcheck = SILENT_SECONDS
    following = FollowerProcess(settings, POLL_SECONDS)
    with bound(config, shared=False):
        pass  # who has the address already would not be noticed by those who share it
    with bound(config, shared=True):
        following.start()
        try:
            (following.folder / COUNTS).mkdir()
            Supervisor(config, [], settings, following.folder).run()
        finally:
            following.stop()


def bound(config: uvicorn.Config, shared: bool) -> socket.socket:
    """A socket at the server's address that does not listen yet.

    Parameters
    ----------
    config : uvicorn.Config
    shared : bool
        With others at the same address; the kernel spreads connections evenly over those that
        listen. One socket for all would leave most of a burst to the worker that wakes first.

    Raises
    ------
    DeclarationError
        When the address can't be had.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((config.host, config.port))
    except OSError as error:
        made.close()
        place = f"{config.host}:{config.port}"
        raise DeclarationError(f"the server can't listen at {place}: {error}") from error
    return made


class Worker(Process):
    """One process that answers.

    Parameters
    ----------
    config : uvicorn.Config
    sockets : list of socket
        None: it makes one of its own.
    settings : Settings
    folder : Path
        Where the follower says what should serve.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        settings: Settings,
        folder: Path,
    ):
        self._settings, self._folder = settings, folder
        self._born, self._spoke = time.monotonic(), False
        super().__init__(config, sockets)

    def is_alive(self, timeout: float = 5) -> bool:
        """Whether the process lives and answers; while it imports it can't, and may take long."""
        if not self.process.is_alive():
            return False
        if self._spoke:
            return self.ping(timeout)
        self._spoke = self.ping(FIRST_PING_SECONDS)
        return self._spoke or time.monotonic() - self._born < START_SECONDS

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer; runs in the worker's process."""
        for work in (_end_with_parent, self.always_pong):
            threading.Thread(target=work, daemon=True).start()
        options = Options.from_environment()
        following = Followed(self._folder)
        application = build_app(
            self._settings, options=options, following=following, counts=self._folder / COUNTS
        )
        self.config.app = application
        run(self.config, application, options, [bound(self.config, shared=True)])

    def pong(self) -> None:
        """Say that the process lives."""
        self.child_conn.recv()
        self.child_conn.send(True)


class Supervisor(Multiprocess):
    """Starts workers, replaces those that die, ends all of them.

    Parameters
    ----------
    config : uvicorn.Config
    sockets : list of socket
    settings : Settings
    folder : Path
        Where the follower says what should serve.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        settings: Settings,
        folder: Path,
    ):
        super().__init__(config, sockets)
        self._settings, self._folder = settings, folder

    def init_processes(self) -> None:
        """Start the workers."""
        self.processes = [self._start() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that died or hang."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if not process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                process.kill()
                process.join()
                log.error("worker %s ended (%s) and is replaced", process.pid, process.exitcode)
                self.processes[place] = self._start()

    def handle_hup(self) -> None:
        """Nothing is read anew at SIGHUP: a server is stopped and started."""

    handle_ttin = handle_ttou = handle_hup

    def _start(self) -> Worker:
        worker = Worker(self.config, self.sockets, self._settings, self._folder)
        worker.start()
        return worker


def _end_with_parent() -> None:
    """A worker that nobody replaces or stops would answer for ever from what was last known."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
