"""Several processes that answer at one address, and one that follows the registry for them."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
from pathlib import Path

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.app import build_app
from mlops_assets.serving.following import Followed, FollowerProcess
from mlops_assets.serving.models import POLL_SECONDS
from mlops_assets.serving.options import Options
from mlops_assets.serving.server import run

COUNTS = "counts"

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
    following = FollowerProcess(settings, POLL_SECONDS)
    with config.bind_socket() as listener:
        following.start()
        try:
            (following.folder / COUNTS).mkdir()
            Supervisor(config, [listener], settings, following.folder).run()
        finally:
            following.stop()


class Worker(Process):
    """One process that answers.

    Parameters
    ----------
    config : uvicorn.Config
    sockets : list of socket
        Shared by all workers: the kernel gives a connection to one of them.
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
        super().__init__(config, sockets)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer; runs in the worker's process."""
        threading.Thread(target=_end_with_parent, daemon=True).start()
        options = Options.from_environment()
        following = Followed(self._folder)
        application = build_app(
            self._settings, options=options, following=following, counts=self._folder / COUNTS
        )
        self.config.app = application
        threading.Thread(target=self.always_pong, daemon=True).start()
        run(self.config, application, options, sockets)

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
