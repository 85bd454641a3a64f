"""What a drill says."""

from datetime import datetime
from typing import Literal

from mlops_assets.lifecycle.report_base import Report

Rollback = Literal["worked", "failed", "not needed"]


class ScenarioOutcome(Report):
    """One fault that was put in, and what became of it.

    ``windows``, ``predictions`` and ``seconds`` are the time to detection, None where it does not
    apply or nothing was detected: windows that closed after the one with the fault, predictions
    that the fault touched, and seconds of ``clock``. ``happened`` tells the evidence in order.
    ``wrong`` is why the scenario failed; it passed where there is nothing wrong.
    """

    scenario: str
    injected: str
    expected: str
    happened: list[str]
    detected: bool
    windows: int | None = None
    predictions: int | None = None
    seconds: float | None = None
    clock: str = ""
    rollback: Rollback = "not needed"
    wrong: list[str]

    @property
    def passed(self) -> bool:
        """Whether the defence held."""
        return not self.wrong


class DrillReport(Report):
    """All scenarios of a drill; ``control`` is the window that nothing was done to."""

    model: str
    control: str
    window: str
    outcomes: list[ScenarioOutcome]
    assumptions: list[str]
    home: str
    created_at: datetime

    @property
    def passed(self) -> bool:
        """Whether every defence held."""
        return all(outcome.passed for outcome in self.outcomes)
