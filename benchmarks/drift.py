"""The watch against its peers: what a tick costs, and what its alarms are worth.

Works: ``speed`` (CPU and memory of a tick on a million rows against Evidently, NannyML,
alibi-detect, whylogs and a bare scan), ``agreement`` (verdicts against scipy on all rows),
``alarms`` (false alarms and power, in simulation, with Evidently set to the same rate of false
alarms) and ``streams`` (decay on real streams; left out, and said so, where these are not there).

Run: python benchmarks/drift.py [--quick] [--works speed streams ...] [--large]
     [--rows 1000000] [--peers Evidently NannyML ...] [--peers-venv DIR]
     [--streams DIR] [--table FILE] [--json FILE]
     python benchmarks/drift.py --make-peers --peers-venv DIR
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import Line, save, write
from drift import agreement, alarms, speed, table
from drift.peers import EVIDENTLY, NANNYML, ONE_THREAD, PEERS, ROOT, Peers

WORKS = ("speed", "agreement", "alarms", "streams")
STREAMS = os.environ.get("MLOPS_TEST_STREAMS", str(ROOT.parent / "shared" / "data" / "drift"))
QUICK_STREAMS = ("sea", "noaa")


def main() -> None:
    """Measure what the command line asks for."""
    options = _options()
    peers = Peers(options.peers_venv)
    if options.make_peers:
        peers.make()
        return
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-drift-") as name:
        works = _works(options, peers, Path(name))
        for work in options.works:
            lines += works[work]()
            save(lines, options.json)
    write(lines, options.json)


def _works(
    options: argparse.Namespace, peers: Peers, folder: Path
) -> dict[str, Callable[[], list[Line]]]:
    quick = options.quick
    plan = speed.Plan(options.rows, 3 if quick else 7, tuple(options.peers))

    def speeds() -> list[Line]:
        lines = speed.lines_of(peers, folder, plan)
        return lines + (speed.large_lines(folder, plan.rows) if options.large else [])

    return {
        "speed": speeds,
        "agreement": lambda: agreement.lines_of(quick),
        "alarms": lambda: alarms.lines_of(peers, folder, alarms.QUICK if quick else alarms.WHOLE),
        "streams": lambda: table.lines_of(
            peers, options.streams, QUICK_STREAMS if quick else (), options.table
        ),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true",
                        help="two peers, fewer windows, two streams")  # fmt: skip
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--large", action="store_true", help="a hundred times the rows, too")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers", nargs="*", choices=tuple(PEERS), help="whose tick is measured")
    parser.add_argument("--peers-venv", type=Path, default=ROOT / ".bench-peers",
                        help="folder of the peers' virtual environments")  # fmt: skip
    parser.add_argument("--make-peers", action="store_true",
                        help="make or update their environment, and end")  # fmt: skip
    parser.add_argument("--streams", type=Path, default=Path(STREAMS))
    parser.add_argument("--table", type=Path, help="write the streams' table there, as Markdown")
    options = parser.parse_args()
    if options.peers is None:
        options.peers = (EVIDENTLY, NANNYML) if options.quick else tuple(PEERS)
    return options


if __name__ == "__main__":
    # One thread for everyone, before anything reads it.
    if ONE_THREAD.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], dict(os.environ) | ONE_THREAD)
    main()
