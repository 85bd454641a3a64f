"""What a performance report says."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from mlops_assets.lifecycle.report_base import MetricEstimate, Report


class Calibration(Report):
    """Answers against labels, in the mean: whether the level is right.

    ``ratio`` is observed over expected, with its interval; ``slope`` that of the labels on the
    answers (1 is right), where the task has one. ``off`` is by the intervals, not by the values.
    """

    rows: int
    expected: float
    observed: float
    ratio: float
    low: float
    high: float
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    off: bool


class Discrimination(Report):
    """Whether the order of the answers still tells one row from another.

    ``lost`` when it is worse than on the hold-out by more than chance explains.
    """

    realised: MetricEstimate
    hold_out: MetricEstimate | None
    lost: bool


class LabelMaturity(Report):
    """How complete labels are by the age of their prediction, from earlier windows.

    ``complete[i]`` is the share of the labels that ever come which are there ``days[i]`` days after
    the prediction. ``of_window`` is what that says of this window now.
    """

    days: list[float]
    complete: list[float]
    of_window: float | None
    words: str


class Assumption(Report):
    """What an estimate without labels rests on, and whether it held when it was checked."""

    name: str
    holds: bool | None
    words: str


class EstimatedPerformance(Report):
    """A metric estimated without labels. ``trusted`` only where every assumption held."""

    method: str
    estimate: MetricEstimate
    rows: int
    assumptions: list[Assumption]
    trusted: bool


class PerformanceReport(Report):
    """The realised metric of a window on labels that have matured."""

    model: str
    window: str
    version: int
    metric: str
    predictions: int
    labelled: int
    realised: MetricEstimate | None
    hold_out: MetricEstimate | None
    drop: float
    verdict: Literal["healthy", "decayed", "insufficient_data"]
    reason: str = ""
    p_value: float | None = None
    kpis: list[MetricEstimate] = Field(default_factory=list)
    calibration: Calibration | None = None
    discrimination: Discrimination | None = None
    maturity: LabelMaturity | None = None
    estimated: EstimatedPerformance | None = None
    html: str | None = None
    created_at: datetime
