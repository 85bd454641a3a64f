"""Scenarios in a row, each on a copy of its own."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.lifecycle.declaration import did_you_mean
from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError
from mlops_assets.lifecycle.report_html.page import render
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.rehearsal.drill.bad_canary import BadCanary
from mlops_assets.rehearsal.drill.base import Scenario
from mlops_assets.rehearsal.drill.crash import Crash
from mlops_assets.rehearsal.drill.drift import Drift
from mlops_assets.rehearsal.drill.ground import ASSUMPTIONS, lay
from mlops_assets.rehearsal.drill.label_delay import LabelDelay
from mlops_assets.rehearsal.drill.poisoned_batch import PoisonedBatch
from mlops_assets.rehearsal.drill.report import DrillReport, detected_after
from mlops_assets.rehearsal.drill.slow_canary import SlowCanary
from mlops_assets.rehearsal.home import alone, is_empty, made
from mlops_assets.resources import FrameIOManager

REPORT_FILE, PAGE_FILE = "report.json", "report.html"
SCENARIOS: dict[str, Scenario] = {
    cls.name: cls() for cls in (Drift, LabelDelay, BadCanary, SlowCanary, PoisonedBatch, Crash)
}


def chosen(names: Sequence[str]) -> list[Scenario]:
    """The scenarios of some names; all where none is named.

    Raises
    ------
    DeclarationError
        For a name that no scenario has.
    """
    for name in names:
        if name not in SCENARIOS:
            near = did_you_mean(name, SCENARIOS)
            raise DeclarationError(f"unknown scenario {name!r}{near} Known: {', '.join(SCENARIOS)}")
    return [SCENARIOS[name] for name in dict.fromkeys(names or SCENARIOS)]


def drill(
    spec: ModelSpec,
    folder: Path,
    home: Path,
    names: Sequence[str],
    production: FrameIOManager | None,
    tell: Callable[[str], None],
) -> DrillReport:
    """Play scenarios on copies below ``home``.

    Raises
    ------
    LifecycleError
        When the drill can't be played, as in a home that something else is in. A defence that
        failed is told in the report.
    """
    scenarios, now = chosen(names), datetime.now(UTC)
    if not is_empty(home):
        raise EvidenceError(f"{home} is not empty: choose another --home")
    with alone(made(home)):
        report = _play(spec, folder, home, scenarios, production, now, tell)
        page = render("drill.html", report=report, after=detected_after)
        (home / PAGE_FILE).write_text(page, "utf-8")
        (home / REPORT_FILE).write_text(report.model_dump_json(indent=1), "utf-8")
    return report


def _play(
    spec: ModelSpec,
    folder: Path,
    home: Path,
    scenarios: Sequence[Scenario],
    production: FrameIOManager | None,
    now: datetime,
    tell: Callable[[str], None],
) -> DrillReport:
    ground = lay(spec, folder, home, production, now, tell)
    outcomes = []
    for scenario in scenarios:
        tell(f"scenario {scenario.name}")
        outcomes.append(scenario.play(ground))
    return DrillReport(
        model=spec.name,
        control=ground.calm.key,
        window=ground.hit.key,
        outcomes=outcomes,
        passed=all(outcome.passed for outcome in outcomes),
        assumptions=list(ASSUMPTIONS),
        home=str(home),
        html=str(home / PAGE_FILE),
        created_at=now,
    )
