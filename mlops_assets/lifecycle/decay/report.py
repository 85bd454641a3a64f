"""What a performance report says."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from mlops_assets.lifecycle.report_base import MetricEstimate, Report


class Calibration(Report):
    """Answers against labels, in the mean: whether the level is right.

    ``ratio`` is observed over expected, with its interval; ``slope`` that of the labels on the
    answers (1 is right), where the task has one. ``off`` is by the intervals, not by the values.
    ``hold_out_ratio`` is what the ratio was on the hold-out, and ``moved`` whether it is another by
    more than chance explains, ``hold_out_slope`` and ``slope_moved`` the same of the slope; None
    where the hold-out's answers are not at hand.
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
    hold_out_ratio: float | None = None
    moved: bool | None = None
    hold_out_slope: float | None = None
    slope_moved: bool | None = None


class Discrimination(Report):
    """Whether the order of the answers still tells one row from another.

    ``lost`` when it is worse than on the hold-out by more than chance explains.
    """

    realised: MetricEstimate
    hold_out: MetricEstimate | None
    lost: bool
    p_value: float | None = None


class LabelMaturity(Report):
    """How complete labels are by the age of their prediction, from earlier windows.

    ``complete[i]`` is the share of the labels that ever come which are there ``days[i]`` days after
    the prediction. ``of_window`` is what that says of this window now. ``ever`` is the share of
    predictions that get a label, and ``oldest`` the greatest age seen, in days.
    """

    days: list[float]
    complete: list[float]
    of_window: float | None
    words: str
    ever: float | None = None
    oldest: float | None = None


class Assumption(Report):
    """What an estimate without labels rests on, and whether it held when it was checked.

    ``window`` is the one whose labels it was checked on, where that is not the hold-out.
    """

    name: str
    holds: bool | None
    words: str
    window: str | None = None


class EstimatedPerformance(Report):
    """A metric estimated without labels. ``trusted`` only where every assumption held."""

    method: str
    estimate: MetricEstimate
    rows: int
    assumptions: list[Assumption]
    trusted: bool


class PerformanceReport(Report):
    """The realised metric of a window on labels that have matured.

    ``due`` answers are old enough to have a complete label and ``known`` of them have one;
    ``labelled`` are judged on. ``p_value`` is of "not worse than the hold-out by more than
    ``drop``", and below ``false_alarms`` the verdict is ``decayed``. ``one_label`` says why labels
    that are all alike are no chance. ``missing`` says of each part that is not there, why.
    """

    model: str
    window: str
    version: int
    metric: str
    predictions: int
    labelled: int
    due: int | None = None
    known: int | None = None
    realised: MetricEstimate | None
    hold_out: MetricEstimate | None
    drop: float
    false_alarms: float | None = None
    verdict: Literal["healthy", "decayed", "insufficient_data"]
    reason: str = ""
    p_value: float | None = None
    one_label: str = ""
    kpis: list[MetricEstimate] = Field(default_factory=list)
    calibration: Calibration | None = None
    discrimination: Discrimination | None = None
    maturity: LabelMaturity | None = None
    estimated: EstimatedPerformance | None = None
    missing: dict[str, str] = Field(default_factory=dict)
    html: str | None = None
    created_at: datetime
