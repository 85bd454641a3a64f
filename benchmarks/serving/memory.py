"""What a further model in the same server process costs in resident memory.

Copies of a model are promoted one after the other beside it. A peer: the same files, read with
scikit-learn into one Python process.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from common import Line

from mlops_assets.lifecycle.packed.worker import PACKED_FOLDER
from mlops_assets.lifecycle.registry import Registry
from serving import clients
from serving.processes import environment, free_port, resident, running
from serving.servers import OURS, PEERS, SERVERS
from serving.worlds import World, promote, register, renamed

COPIES = 10
ALLOWED_MB = 5.0
PATIENCE = 300.0


def lines_of(world: World, registry: Registry) -> list[Line]:
    """Add copies of a model to a server that serves it, each asked until it is warm."""
    home, port, server = registry.settings.home, free_port(), SERVERS[OURS]
    copies = [renamed(world, f"{world.name}-{number}") for number in range(COPIES)]
    command = server.command(Path(sys.executable), world, port, 1)
    with running(command, environment(home), port, server.ready, home / "memory.log") as pid:
        _ask(port, world)
        before = resident(pid)
        for copy in copies:
            promote(registry, register(registry, copy))
        for copy in copies:
            _wait(port, copy.name)
            _ask(port, copy)
        each = (resident(pid) - before) / COPIES
    arrays = (world.folder / PACKED_FOLDER).iterdir()
    size = sum(file.stat().st_size for file in arrays) / 2**20
    theirs = _with_sklearn(world, copies)
    return [
        Line(f"{world.title}: a further model (MB), its arrays {size:.2f}", each,
             "scikit-learn in a process", theirs, theirs / each if each > 0 else float("nan"),
             f"<= arrays + {ALLOWED_MB:g} MB", each <= size + ALLOWED_MB)
    ]  # fmt: skip


def _with_sklearn(world: World, copies: list[World]) -> float:
    folders = [str(one.folder) for one in (world, *copies)]
    command = [sys.executable, str(PEERS / "resident.py"), *folders]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def _ask(port: int, world: World) -> None:
    path = SERVERS[OURS].paths["records"].format(name=world.name)
    clients.with_asyncio(port, path, world.body("records", 1), 1, 1.0)


def _wait(port: int, name: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/{name}", timeout=5):
                return
        except urllib.error.HTTPError:
            time.sleep(0.2)
    raise TimeoutError(f"{name} is not served")
