"""The real processes: Dagster with its daemon, the REST server, MLflow's page."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".mlops" / "demo"
ENVIRONMENT = "environment.json"


class DemoError(Exception):
    """The demo can't go on; the message says where to look."""


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of every process, kept in the home so that ``make ui`` finds it again."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster").mkdir(exist_ok=True)
    (home / "logs").mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", home / "dagster" / "dagster.yaml")
    kept = home / ENVIRONMENT
    if extra or not kept.exists():
        kept.write_text(json.dumps(dict(extra)), "utf-8")
    own = {
        "MLOPS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        # Two threads each in several processes on a few cores cost more than they bring.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return dict(os.environ) | own | json.loads(kept.read_text("utf-8"))


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Processes:
    """Processes that are started together and stopped together.

    Parameters
    ----------
    home : Path
        Their logs go to ``<home>/logs``.
    env : dict of str to str
    """

    home: Path
    env: dict[str, str]
    running: dict[str, subprocess.Popen] = field(default_factory=dict)
    _passing: set[subprocess.Popen] = field(default_factory=set)
    _stopped: bool = False

    def prepare(self) -> None:
        """Make Dagster's tables before several processes would make them at once."""
        touch = "i = dagster.DagsterInstance.get(); i.get_runs(limit=1); i.all_instigator_state()"
        command = [sys.executable, "-c", f"import dagster; {touch}; i.get_asset_keys()"]
        subprocess.run(command, env=self.env, check=True, capture_output=True)

    def start(self, name: str, command: list[str]) -> None:
        """Start one in a process group of its own."""
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, command: list[str], log: Path) -> int:
        """Wait for a command that ends by itself; its exit code.

        Raises
        ------
        DemoError
            When all is being stopped.
        """
        self._go_on()
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, env=self.env, stdout=out, stderr=out, start_new_session=True
            )
        self._passing.add(process)
        code = process.wait()
        self._passing.discard(process)
        self._go_on()
        return code

    def _go_on(self) -> None:
        if self._stopped:
            raise DemoError("stopped")

    def start_dagster(self, port: int) -> str:
        """Dagster's webserver, daemon and code server; returns the address."""
        url = f"http://127.0.0.1:{port}"
        self.env["MLOPS_DAGSTER_URL"] = url
        self.start(
            "dagster",
            [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml",
             "--host", "127.0.0.1", "--port", str(port)],
        )  # fmt: skip
        return url

    def start_server(self, port: int) -> str:
        """The REST server; returns the address."""
        url = f"http://127.0.0.1:{port}"
        self.env["MLOPS_ENDPOINT"] = url
        self.start(
            "serve", [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", str(port)]
        )
        return url

    def start_mlflow(self, port: int) -> str:
        """MLflow's page on the embedded store; returns the address."""
        url = f"http://127.0.0.1:{port}"
        self.env["MLOPS_MLFLOW_URL"] = url
        store = f"sqlite:///{self.home / 'mlflow.db'}"
        self.start(
            "mlflow",
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store,
             "--default-artifact-root", (self.home / "mlartifacts").as_uri(),
             "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        )  # fmt: skip
        return url

    def wait_for(self, name: str, url: str, seconds: float = 120) -> None:
        """Wait until an address answers.

        Raises
        ------
        DemoError
            When the process ended or did not answer in time, naming its log.
        """
        self.wait(f"{name} at {url}", lambda: answers(url), seconds, name)

    def wait(
        self,
        what: str,
        done: Callable[[], object],
        seconds: float,
        name: str | None = None,
        pause: float = 0.25,
    ) -> object:
        """Wait until ``done()`` says something true, asked every ``pause`` s, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._go_on()
            found = done()
            if found:
                return found
            for each, process in self.running.items():
                if process.poll() is not None:
                    raise DemoError(f"{each} ended: see {self.home / 'logs' / f'{each}.log'}")
            time.sleep(pause)
        log = f": see {self.home / 'logs' / f'{name}.log'}" if name else ""
        raise DemoError(f"waited {seconds:g} s for {what}{log}")

    def stop(self) -> None:
        """Stop all, gently first; whoever waits for something gets a DemoError."""
        self._stopped = True
        processes = [*self.running.values(), *self._passing]
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()


def answers(url: str) -> bool:
    """Whether an address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def post(url: str, body: object) -> dict:
    """POST JSON, get JSON."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())


def get(url: str) -> dict:
    """GET JSON."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.loads(reply.read())
