"""What a drill says."""

from datetime import datetime
from typing import Literal, Self

from pydantic import model_validator

from mlops_assets.lifecycle.report_base import Report

Rollback = Literal["worked", "failed", "not needed"]
UNITS = {"d": 86_400, "h": 3_600, "min": 60}  # in seconds


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
    passed: bool

    @model_validator(mode="after")
    def _failed_where_something_is_wrong(self) -> Self:
        if self.passed == bool(self.wrong):
            raise ValueError(f"{self.scenario}: passed is {self.passed}, and wrong: {self.wrong}")
        return self


class DrillReport(Report):
    """All scenarios of a drill; ``control`` is the window that nothing was done to."""

    model: str
    control: str
    window: str
    outcomes: list[ScenarioOutcome]
    passed: bool
    assumptions: list[str]
    home: str
    html: str
    created_at: datetime


def detected_after(outcome: ScenarioOutcome, *, clock: bool = False) -> str:
    """The time to detection in words; with or without the clock that its seconds are of."""
    if not outcome.detected:
        return "not detected"
    parts = []
    if outcome.windows is not None:
        several = "" if outcome.windows == 1 else "s"
        parts.append(f"{outcome.windows or 'no'} further window{several}")
    if outcome.predictions is not None:
        parts.append(f"{outcome.predictions:,} predictions")
    if outcome.seconds is not None:
        parts.append(_spelled(outcome.seconds) + (f" ({outcome.clock})" if clock else ""))
    return ", ".join(parts)


def _spelled(seconds: float) -> str:
    for unit, size in UNITS.items():
        if seconds >= size:
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds:.1f}s"
