"""Every server on the same model and payload, in turn: CPU a request and requests a second.

All servers of a model run at once. In each round each of them is asked for a while, one after the
other, so that whatever else the machine does meets all of them; ratios are those of one round, and
the median over the rounds is told. One of the servers is ours a second time: its ratio says what
the method can't tell apart.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from common import Line

from serving import clients
from serving.processes import ROOT, cpu, environment, free_port, running
from serving.servers import CONTROL, OURS, SERVERS, UNLOGGED, Server
from serving.worlds import World

# Above this rate what is under way when wrk stops is nothing, and a client in Python is too slow.
FAST = 2000.0
JUDGED_CONNECTIONS = 32

# At 1 row and 32 connections, and at 100 rows; a goal is how many times less than the peer.
GOALS = {
    (1, "constant"): 1 / 1.5,
    (1, "plain ASGI"): 10.0,
    (1, "mlflow models serve"): 100.0,
    (1, "MLServer"): 20.0,
    (1, "BentoML"): 40.0,
    (1, "BentoML, batching"): 40.0,
    (1, "LitServe"): 40.0,
    (100, "plain ASGI"): 3.0,
}
LOG_COST = 1.15


@dataclass(frozen=True)
class Plan:
    """How long is measured, and what.

    Parameters
    ----------
    rounds : int
    seconds : int
        Of each server in each round.
    rows, connections : tuple of int
    peers : tuple of str
        Of `SERVERS`, beside ours.
    venvs : Path or None
    """

    rounds: int
    seconds: int
    rows: tuple[int, ...]
    connections: tuple[int, ...]
    peers: tuple[str, ...]
    venvs: Path | None


@dataclass(frozen=True)
class Sample:
    """One server in one round."""

    microseconds: float  # of CPU, a request
    rate: float  # requests a second


@dataclass(frozen=True)
class Running:
    """A started server."""

    server: Server
    port: int
    pid: int

    def sample(
        self, world: World, form: str, rows: int, connections: int, seconds: int, work: Path
    ) -> Sample:
        """Ask it for a while."""
        path = self.server.paths[form].format(name=world.name)
        body = world.body(form, rows)
        probe = clients.with_asyncio(self.port, path, body, connections, 0.3)
        before = cpu(self.pid)
        if clients.WRK and probe.rate > FAST / 2:
            asked = clients.with_wrk(self.port, path, body, connections, seconds, work)
        else:
            asked = clients.with_asyncio(self.port, path, body, connections, seconds)
        used = cpu(self.pid) - before
        return Sample(used / asked.answered * 1e6, asked.rate)


def lines_of(world: World, home: Path, plan: Plan, workers: int = 1) -> list[Line]:
    """Ours against the peers on one model."""
    found = []
    with ExitStack() as stack:
        names = (OURS, CONTROL, *([UNLOGGED] if workers == 1 else []), *plan.peers)
        up = dict(_started(stack, names, world, home, plan, workers))
        found += [_missing(world, name) for name in plan.peers if name not in up]
        for rows in plan.rows:
            for connections in plan.connections:
                found += _cell(world, up, home, plan, rows, connections, workers)
                _tidy(home)
    return found


def lines_of_two_workers(world: World, home: Path, plan: Plan) -> list[Line]:
    """The same at 1 row and 32 connections, two workers each."""
    if not _takes_workers():
        nan = float("nan")
        what = f"{world.title}, 2 workers: `mlops-assets serve` has no --workers"
        return [Line(what, nan, "all", nan, nan, "not measured", False)]
    few = replace(plan, rows=(1,), connections=(JUDGED_CONNECTIONS,))
    return lines_of(world, home, few, workers=2)


def _takes_workers() -> bool:
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return "--workers" in shown.stdout


def _started(
    stack: ExitStack, names: tuple[str, ...], world: World, home: Path, plan: Plan, workers: int
) -> Iterator[tuple[str, Running]]:
    for name in names:
        server = SERVERS[name]
        python = server.python(plan.venvs)
        if python is None:
            continue
        port = free_port()
        command = server.command(python, world, port, workers)
        if workers > 1 and server.name in (OURS, CONTROL):
            command += ["--workers", str(workers)]
        log = home / f"{name.replace(' ', '-')}.log"
        pid = stack.enter_context(running(command, environment(home), port, server.ready, log))
        yield name, Running(server, port, pid)


def _cell(
    world: World,
    up: dict[str, Running],
    home: Path,
    plan: Plan,
    rows: int,
    connections: int,
    workers: int,
) -> list[Line]:
    """Some rounds of all servers at one size of request and number of connections."""
    pairs = [(name, form) for name, one in up.items() for form in one.server.paths]
    pairs = [(name, form) for name, form in pairs if _wanted(name, form, up)]
    samples: dict[tuple[str, str], list[Sample]] = {pair: [] for pair in pairs}
    for _ in range(plan.rounds):
        for name, form in pairs:
            samples[name, form].append(
                up[name].sample(world, form, rows, connections, plan.seconds, home)
            )
    what = f"{world.title}, {rows} row{'s' * (rows > 1)}, {connections} conn, {workers} w"
    judged = connections == JUDGED_CONNECTIONS and workers == 1
    lines = []
    for (name, form), theirs in samples.items():
        if name == OURS:
            continue
        our_form = "records" if form == "arrays" else form
        where = SERVERS[OURS].paths[our_form].rsplit("/", 1)[1]
        where = "predict" if our_form == "records" else where
        ours = samples[OURS, our_form]
        lines += compared(f"{what}, {where}", ours, name, theirs, rows if judged else 0)
    print(f"measured {what}", file=sys.stderr, flush=True)
    return lines


def _wanted(name: str, form: str, up: dict[str, Running]) -> bool:
    """Whether somebody is compared in this form; control and log in one form only."""
    if name in (CONTROL, UNLOGGED):
        return form == "records"
    if name != OURS or form == "records":
        return True
    others = (one.server for other, one in up.items() if other not in (OURS, CONTROL, UNLOGGED))
    return any(form in server.paths for server in others)


def compared(
    what: str, ours: list[Sample], peer: str, theirs: list[Sample], judged_rows: int
) -> list[Line]:
    """Ours against one peer, round by round; ``judged_rows`` 0 where no goal was set."""
    cpus = [their.microseconds / our.microseconds for our, their in zip(ours, theirs, strict=True)]
    rates = [our.rate / their.rate for our, their in zip(ours, theirs, strict=True)]
    lines = []
    for unit, ratio, values in (
        ("CPU us", median(cpus), [[s.microseconds for s in side] for side in (ours, theirs)]),
        ("req/s", median(rates), [[s.rate for s in side] for side in (ours, theirs)]),
    ):
        goal, holds = _judged(peer, ratio, judged_rows, unit)
        mine, other = (median(side) for side in values)
        lines.append(Line(f"{what} ({unit})", mine, peer, other, ratio, goal, holds))
    return lines


def _judged(peer: str, ratio: float, rows: int, unit: str) -> tuple[str, bool]:
    """Goal and verdict; ``ratio`` is how many times better ours is."""
    if peer == UNLOGGED and rows == 1 and unit == "CPU us":
        return f">= {1 / LOG_COST:.3f} (log <= 15 %)", ratio >= 1 / LOG_COST
    least = GOALS.get((rows, peer))
    if least is None:
        return "reported", True
    if least < 1:
        return f">= {least:.2f} (<= 1.5x the floor)", ratio >= least
    return f">= {least:g}x better", ratio >= least


def _missing(world: World, name: str) -> Line:
    nan = float("nan")
    return Line(f"{world.title}", nan, f"{name}: not installed", nan, nan, "not measured", False)


def _tidy(home: Path) -> None:
    """Let go of the log's closed segments: a benchmark writes gigabytes."""
    for folder in (home / "prediction_log").glob("*"):
        segments = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)
        for segment in segments[:-4]:
            segment.unlink()
