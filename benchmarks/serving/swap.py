"""A model is replaced under load: no request fails, no answer is missing in the log."""

import json
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Line

from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.registry import Registry, Version
from serving import clients
from serving.processes import environment, free_port, running
from serving.servers import OURS, SERVERS
from serving.worlds import World, promote, register, renamed

CONNECTIONS, SWAPS, APART = 32, 10, 2.0
SLOWER = 3.0
PATIENCE = 20.0


@dataclass(frozen=True)
class Swap:
    """When the alias was about to move, and when the new version was seen to serve."""

    begun: float
    done: float


def lines_of(world: World, registry: Registry, quick: bool) -> list[Line]:
    """Swap between two versions while 32 connections ask."""
    world = renamed(world, f"{world.name}-swapped")
    versions = [register(registry, world) for _ in range(2)]
    promote(registry, versions[0])
    swaps = 3 if quick else SWAPS
    seconds = (swaps + 1) * (APART + 1.0)
    home, port = registry.settings.home, free_port()
    server = SERVERS[OURS]
    command = server.command(Path(sys.executable), world, port, 1)
    with running(command, environment(home), port, server.ready, home / "swap.log"):
        made: list[Swap] = []
        changer = threading.Thread(target=_change, args=(registry, versions, swaps, port, made))
        path = server.paths["records"].format(name=world.name)
        clients.with_asyncio(port, path, world.body("records", 1), CONNECTIONS, 1.0)
        changer.start()
        asked = clients.with_asyncio(
            port, path, world.body("records", 1), CONNECTIONS, seconds, keep=True
        )
        changer.join()
    if len(made) != swaps:
        raise RuntimeError(f"{len(made)} of {swaps} swaps were seen to be done")
    return _judged(world, asked, made, _logged(registry, world.name))


def _change(
    registry: Registry, versions: list[Version], swaps: int, port: int, made: list[Swap]
) -> None:
    for number in range(1, swaps + 1):
        time.sleep(APART)
        version = versions[number % 2]
        begun = time.monotonic()
        promote(registry, version)
        if _served(port, version, begun + PATIENCE):
            made.append(Swap(begun, time.monotonic()))


def _served(port: int, version: Version, end: float) -> bool:
    """Wait until a version serves."""
    url = f"http://127.0.0.1:{port}/v2/models/{version.model}"
    while time.monotonic() < end:
        with urllib.request.urlopen(url, timeout=10) as reply:
            if json.load(reply)["version"] == version.number:
                return True
        time.sleep(0.02)
    return False


def _logged(registry: Registry, model: str) -> list[str]:
    log = PredictionLog(registry.settings.prediction_log)
    found = [record.prediction_id for record in log.stream(model)]
    log.close()
    return found


def _judged(world: World, asked: clients.Asked, swaps: list[Swap], logged: list[str]) -> list[Line]:
    starts, ends = np.array(asked.spans).T
    took = (ends - starts) * 1000
    during = np.zeros(len(took), dtype=bool)
    for swap in swaps:
        during |= (ends >= swap.begun) & (starts <= swap.done)
    steady, meanwhile = (float(np.quantile(took[part], 0.99)) for part in (~during, during))
    failed = len(asked.failures)
    lost = len(set(asked.ids) - set(logged)) + abs(len(asked.ids) - asked.answered)
    twice = len(logged) - len(set(logged))
    what = f"{world.title}, {len(swaps)} swaps under {CONNECTIONS} connections"
    answered = float(asked.answered)
    seconds = max(swap.done - swap.begun for swap in swaps)
    return [
        Line(f"{what}: failed", failed, "answered", answered, failed / answered, "0", not failed),
        Line(f"{what}: not logged", lost, "answered", answered, lost / answered, "0", not lost),
        Line(f"{what}: logged twice", twice, "answered", answered, twice / answered, "0",
             not twice),
        Line(f"{what}: p99 (ms)", meanwhile, "steady p99 (ms)", steady, meanwhile / steady,
             f"<= {SLOWER:g}x", meanwhile <= SLOWER * steady),
        Line(f"{what}: slowest (ms)", float(took[during].max()), "steady slowest (ms)",
             float(took[~during].max()), float(took[during].max() / took[~during].max()),
             "reported", True),
        Line(f"{what}: longest until it serves (s)", seconds, "allowed (s)", 2.0, seconds / 2,
             "<= 2 s", seconds <= 2),
    ]  # fmt: skip
