"""What a backtest says."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from mlops_assets.lifecycle.report_base import MetricEstimate, Report

AlarmKind = Literal["drift", "decay"]
TruthFrom = Literal["declared", "never", "unknown"]


class Retrain(Report):
    """A run of the lifecycle that somebody asked for.

    ``report_window`` is of the report that asked. ``came_to`` is ``nothing_new`` where exactly
    these inputs had been trained on before.
    """

    at: datetime
    trigger: str
    report_window: str | None
    window: str
    version: int | None
    verdict: str | None
    came_to: Literal["promoted", "refused", "nothing_new", "failed"]
    words: str = ""


class Said(Report):
    """Why a schedule or a sensor asked for nothing."""

    at: datetime
    by: str
    words: str


class Alarm(Report):
    """A report of a window that found something, the first of its kind.

    ``reference`` is the window that the version was judged on. ``true`` when the world changed
    after that window and not after the alarm's; None where it is not known when it changed.
    """

    window: str
    kind: AlarmKind
    at: datetime
    version: int
    reference: str
    columns: list[str] = Field(default_factory=list)
    true: bool | None = None


class Detection(Report):
    """How long a change of the world stayed unseen; ``window`` is None where it did for ever.

    ``days`` count from the change's beginning to the moment of the alarm, ``windows`` from its
    window to the alarm's.
    """

    change: str
    window: str | None = None
    kind: AlarmKind | None = None
    at: datetime | None = None
    days: float | None = None
    windows: int | None = None


class WindowOutcome(Report):
    """What became of a window under a policy.

    ``versions`` are those that answered, with their rows. ``metric`` is over all answers with a
    label, whichever version gave them. ``drift`` and ``performance`` are the verdicts of the last
    reports.
    """

    window: str
    rows: int
    versions: dict[str, int]
    labelled: int
    metric: MetricEstimate | None
    reason: str = ""
    kpis: dict[str, float] = Field(default_factory=dict)
    drift: str | None = None
    drifted: list[str] = Field(default_factory=list)
    performance: str | None = None
    advice: str | None = None
    advice_reasons: list[str] = Field(default_factory=list)
    retrains: list[Retrain] = Field(default_factory=list)
    said: list[Said] = Field(default_factory=list)


class PolicyOutcome(Report):
    """What became of all windows under a policy.

    ``trained`` counts versions after the first; ``mean_metric`` and ``mean_kpis`` are means over
    the windows that have them, each window counting the same.
    """

    policy: str
    words: str
    windows: list[WindowOutcome]
    asked: int
    trained: int
    promoted: int
    refused: int
    failed: int
    alerts: int
    mean_metric: float | None
    mean_kpis: dict[str, float]
    alarms: list[Alarm]
    detections: list[Detection] = Field(default_factory=list)
    false_alarms: int | None = None
    quiet_windows: int | None = None


class Difference(Report):
    """One policy against another, window by window on the same rows; positive is better.

    ``low`` and ``high`` are of ``mean`` by the chance of the rows in these windows (None for a
    KPI); ``windows_low`` and ``windows_high`` by how windows differ from each other, which is
    only right where windows are alike and independent (None below 3 windows).
    """

    figure: str
    ours: str
    theirs: str
    by_window: dict[str, float]
    mean: float | None
    low: float | None = None
    high: float | None = None
    windows_low: float | None = None
    windows_high: float | None = None
    better: int
    same: int
    worse: int
    words: str


class BacktestReport(Report):
    """The whole loop over history, under the declared policy and two others.

    ``changes`` are windows from which the world was another one: named by whoever asked
    (``declared``), or read from ``never``, whose metric went below, or came back above, what its
    hold-out promised less ``drop``. ``hold_out`` is the first champion's.
    """

    model: str
    first: str
    last: str
    trained_for: str
    metric: str
    hold_out: MetricEstimate
    drop: float
    level: float
    changes: list[str]
    changes_from: TruthFrom
    changes_words: str
    policies: list[PolicyOutcome]
    differences: list[Difference]
    assumptions: list[str]
    data: dict[str, int]
    home: str
    html: str
    plot: str
    created_at: datetime
