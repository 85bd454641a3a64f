"""Servers as processes, and the CPU and memory that they use."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 300


@contextmanager
def running(
    command: list[str], env: dict[str, str], port: int, ready: str, log: Path
) -> Iterator[int]:
    """A server in a session of its own, until it answers ``ready``; yields its process id."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True,
                                  stdout=output, stderr=output)  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}{ready}", server, log)
        yield server.pid
    finally:
        for process in family(server.pid):
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(process, signal.SIGKILL)
        server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until an address answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"{server.args} ended: {_tail(log)}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-2000:]


def family(pid: int) -> set[int]:
    """A process, all below it, and all of its session: some servers' workers leave one of both."""
    stats = _stats()
    found, size = {pid} & stats.keys(), -1
    while len(found) > size:
        size = len(found)
        found |= {p for p, s in stats.items() if int(s[1]) in found or int(s[3]) == pid}
    return found


def cpu(pid: int) -> float:
    """CPU seconds, user and system, that a server's processes have used."""
    stats = _stats()
    ticks = sum(int(stats[p][11]) + int(stats[p][12]) for p in family(pid) if p in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Resident memory of one process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def _stats() -> dict[int, list[str]]:
    """The fields of each process's ``stat`` from its state on (man 5 proc)."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found[int(stat.parent.name)] = stat.read_text().rsplit(")", 1)[1].split()
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def environment(home: Path) -> dict[str, str]:
    """The platform's home, the package of this folder, and one thread a process."""
    return dict(os.environ) | {
        # Where `mlflow models serve` looks for uvicorn.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MLOPS_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "True",
    }
