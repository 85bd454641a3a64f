"""The REST server against its peers, and its promises under load.

Works: ``matrix`` (CPU a request and requests a second against the peers, by model, rows and
connections, with the prediction log's cost and an A/A control), ``workers`` (the same with two
workers), ``swap`` (a model is replaced under load) and ``memory`` (of each further model).
Requests a second need wrk; without it a client in Python asks, and is the limit.

Run: python benchmarks/serving.py [--quick] [--works matrix swap ...] [--models lr rf hgb]
     [--rows 1 100] [--connections 1 8 32] [--rounds 3] [--seconds 2]
     [--peers "plain ASGI" MLServer ...] [--peers-venv DIR] [--json FILE]
     python benchmarks/serving.py --make-peers --peers-venv DIR
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from common import Line, save, write
from serving import matrix, memory, swap
from serving.processes import ROOT
from serving.servers import CONTROL, OURS, SERVERS, UNLOGGED, make_venvs
from serving.worlds import KINDS, World, made, promote, register, settings_of

from mlops_assets.lifecycle.registry import Registry

PEERS = tuple(name for name in SERVERS if name not in (OURS, CONTROL, UNLOGGED))
WORKS = ("matrix", "workers", "swap", "memory")


def main() -> None:
    """Measure what the command line asks for."""
    options = _options()
    if options.make_peers:
        make_venvs(options.peers_venv)
        return
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        settings = settings_of(Path(name))
        registry = Registry(settings)
        worlds = {kind: made(kind, settings) for kind in options.models}
        for world in worlds.values():
            promote(registry, register(registry, world))
        for measure in _measures(options, worlds, registry):
            lines += measure()
            save(lines, options.json)
    write(lines, options.json)


def _measures(
    options: argparse.Namespace, worlds: dict[str, World], registry: Registry
) -> Iterator[Callable[[], list[Line]]]:
    plan, home = _plan(options), registry.settings.home
    by_world: dict[str, Callable[[World], list[Line]]] = {
        "matrix": lambda world: matrix.lines_of(world, home, plan),
        "workers": lambda world: matrix.lines_of_two_workers(world, home, plan),
        "memory": lambda world: memory.lines_of(world, registry),
    }
    for work in options.works:
        if work == "swap":
            yield partial(swap.lines_of, next(iter(worlds.values())), registry, options.quick)
        else:
            yield from (partial(by_world[work], world) for world in worlds.values())


def _plan(options: argparse.Namespace) -> matrix.Plan:
    rounds, seconds, connections = (1, 1, [32]) if options.quick else (3, 2, [1, 8, 32])
    return matrix.Plan(
        options.rounds or rounds,
        options.seconds or seconds,
        tuple(options.rows),
        tuple(options.connections or connections),
        tuple(options.peers),
        options.peers_venv,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one short round at 32 connections")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--models", nargs="+", choices=KINDS, default=tuple(KINDS))
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 100])
    parser.add_argument("--connections", nargs="+", type=int, help="default: 1 8 32")
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--seconds", type=int, help="of each server in each round; default: 2")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--peers-venv", type=Path, default=ROOT / ".bench-peers",
                        help="folder of the peers' virtual environments")  # fmt: skip
    parser.add_argument("--make-peers", action="store_true",
                        help="make or update these environments, and end")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
