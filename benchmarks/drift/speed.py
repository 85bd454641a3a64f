"""What a tick costs: reading a new window from Parquet, comparing it, and the verdicts."""

import math
from dataclasses import dataclass
from pathlib import Path

from common import Line

from drift.data import Shift, write
from drift.peers import EVIDENTLY, PEERS, PeerError, Peers, run_ours

TICK = Path(__file__).parent / "tick.py"
MOVED = Shift({"n0": 0.15, "n1": 0.2, "n2": 0.3}, {"n4": 1.3}, {"c1": 0.3})
LARGE_FILES = 100


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    rows : int
    rounds : int
        Ticks of ours, and scans beside them, of which the least counts; peers are asked once.
    peers : tuple of str
    """

    rows: int
    rounds: int
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """CPU seconds without imports, of the whole process, and its peak memory in MB."""

    cpu: float
    process: float
    peak: float


NOT_MEASURED = Cost(math.nan, math.nan, math.nan)


def lines_of(peers: Peers, folder: Path, plan: Plan) -> list[Line]:
    """Ours against the peers, a bare scan, and the goals on memory."""
    reference = write(folder / "reference.parquet", plan.rows, 1)
    live = write(folder / "live.parquet", plan.rows, 2, MOVED)
    profile = folder / "profile.json"
    run_ours(TICK, "profile", reference, profile)
    ours, floor = _least(plan.rounds, ["tick", profile, live], ["scan", live])
    lines = [
        _ratio(f"tick, {plan.rows:,} rows x 20, CPU s", ours.cpu, "bare scan", floor.cpu, 5),
        _below(f"tick, {plan.rows:,} rows x 20, peak MB", ours.peak, 500),
    ]
    for name in plan.peers:
        lines += _against(name, ours, _peer(peers, name, reference, live), plan)
    return lines


def _against(name: str, ours: Cost, theirs: Cost, plan: Plan) -> list[Line]:
    goal = 150 if name == EVIDENTLY else 8
    what = f"tick, {plan.rows:,} rows x 20"
    ratio = theirs.cpu / ours.cpu
    whole = theirs.process / ours.process
    memory = theirs.peak / ours.peak
    return [
        Line(f"{what}, CPU s", ours.cpu, name, theirs.cpu, ratio, f">= {goal}", ratio >= goal),
        Line(f"{what}, CPU s with imports and preparation", ours.process, name, theirs.process,
             whole, "none", True),
        Line(f"{what}, peak MB", ours.peak, name, theirs.peak, memory, "none", True),
    ]  # fmt: skip


def _peer(peers: Peers, name: str, reference: Path, live: Path) -> Cost:
    if not peers.has(name):
        print(f"{name} is not installed: benchmarks/drift.py --make-peers", flush=True)
        return NOT_MEASURED
    try:
        found = peers.ask(PEERS[name][0], "tick", reference, live)
    except PeerError as error:
        print(error, flush=True)
        return NOT_MEASURED
    return Cost(found["cpu"], found["process"], found["peak"])


def _least(rounds: int, *works: list) -> list[Cost]:
    """The least that each work cost, both asked in turn: what neighbours cost only adds."""
    found: list[list[dict]] = [[] for _ in works]
    for _ in range(rounds):
        for place, work in enumerate(works):
            found[place].append(run_ours(TICK, *work))
    return [
        Cost(*(min(f[what] for f in each) for what in ("cpu", "process", "peak"))) for each in found
    ]


def large_lines(folder: Path, rows: int) -> list[Line]:
    """A window of a hundred files, each the same million rows under a name of its own."""
    live = folder / "live.parquet"
    for n in range(LARGE_FILES):
        (folder / f"part-{n:03d}.parquet").hardlink_to(live)
    parts = sorted(folder.glob("part-*.parquet"))
    ours, floor = _least(1, ["tick", folder / "profile.json", *parts], ["scan", *parts])
    what = f"tick, {rows * LARGE_FILES:,} rows x 20"
    return [
        _ratio(f"{what}, CPU s", ours.cpu, "bare scan", floor.cpu, 5),
        _below(f"{what}, peak MB", ours.peak, 2000),
    ]


def _ratio(what: str, ours: float, peer: str, theirs: float, most: float) -> Line:
    return Line(what, ours, peer, theirs, ours / theirs, f"<= {most}", ours / theirs <= most)


def _below(what: str, ours: float, most: float) -> Line:
    return Line(what, ours, "limit", most, ours / most, f"< {most}", ours < most)
