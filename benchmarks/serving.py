"""The REST server against its peers, and its promises under load.

Works: ``matrix`` (CPU a request and requests a second against the peers, by model, rows and
connections, with the prediction log's cost and an A/A control), ``workers`` (the same with two
workers), ``swap`` (a model is replaced under load) and ``memory`` (of each further model).
Requests a second need wrk; without it a client in Python asks, and is the limit.

Run: python benchmarks/serving.py [--quick] [--works matrix swap ...] [--models lr rf hgb]
     [--peers "plain ASGI" MLServer ...] [--peers-venv DIR] [--json FILE]
     python benchmarks/serving.py --make-peers --peers-venv DIR
"""

import argparse
import tempfile
from pathlib import Path

from common import Line, write
from serving import matrix, memory, swap
from serving.processes import ROOT
from serving.servers import CONTROL, OURS, SERVERS, UNLOGGED, make_venvs
from serving.worlds import KINDS, made, promote, register, settings_of

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
        plan = _plan(options)
        if "matrix" in options.works:
            for world in worlds.values():
                lines += matrix.lines_of(world, settings.home, plan)
        if "workers" in options.works:
            for world in worlds.values():
                lines += matrix.lines_of_two_workers(world, settings.home, plan)
        if "swap" in options.works:
            lines += swap.lines_of(next(iter(worlds.values())), registry, options.quick)
        if "memory" in options.works:
            for world in worlds.values():
                lines += memory.lines_of(world, registry)
    write(lines, options.json)


def _plan(options: argparse.Namespace) -> matrix.Plan:
    peers, venvs = tuple(options.peers), options.peers_venv
    if options.quick:
        return matrix.Plan(1, 1, (1, 100), (32,), peers, venvs)
    return matrix.Plan(3, 2, (1, 100), (1, 8, 32), peers, venvs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one short round at 32 connections")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--models", nargs="+", choices=KINDS, default=tuple(KINDS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--peers-venv", type=Path, default=ROOT / ".bench-peers",
                        help="folder of the peers' virtual environments")  # fmt: skip
    parser.add_argument("--make-peers", action="store_true",
                        help="make or update these environments, and end")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
