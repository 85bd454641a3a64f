"""What an incident page says."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from mlops_assets.lifecycle.report_base import MetricEstimate, Report

Gravity = Literal["page", "warn"]


class Serving(Report):
    """What serves now: the champion, and a version on its way to its users.

    ``unfinished`` is a change that was cut off, ``journal`` what is wrong with the rollout
    journal; both are empty when all is well.
    """

    champion: int | None
    since: datetime | None
    who: str
    why: str
    challenger: int | None = None
    share: float | None = None
    strategy: str = ""
    retired: str = ""
    unfinished: str = ""
    journal: str = ""


class Rollback(Report):
    """What a rollback would do now; no ``target`` and no ``command`` where it would be refused."""

    command: str
    job: str
    job_link: str
    target: int | None
    words: str


class Alarm(Report):
    """Something that is wrong now: what a person is called for (``page``), or warned of."""

    gravity: Gravity
    words: str
    at: datetime | None = None
    window: str = ""
    link: str = ""


class AdviceNow(Report):
    """The newest advice, and why it may not count any more."""

    window: str
    version: int
    action: str
    reasons: list[str]
    columns: list[str]
    created_at: datetime
    needs_person: bool
    void: str = ""


class Candidate(Report):
    """A version that was champion, to which what serves could go back.

    ``files`` is ``verified``, or why they can't be served; ``taken_back`` tells of the change that
    took the version out of service for good.
    """

    version: int
    target: bool
    served: list[str]
    verdict: str
    hold_out: MetricEstimate | None
    realised: MetricEstimate | None
    realised_window: str
    files: str
    taken_back: str = ""
    retired: str = ""


class Event(Report):
    """A change of what serves, or an alert; then ``who`` was told, and ``why`` is its message."""

    at: datetime
    kind: Literal["deployment", "alert"]
    action: str
    version: int | None
    who: str = ""
    why: str = ""


class Span(Report):
    """A version that was champion from one moment to another."""

    version: int
    start: datetime
    end: datetime


class WindowState(Report):
    """What the stored reports say of one window; None where there is no report."""

    key: str
    start: datetime
    end: datetime
    drift: str = ""
    drift_version: int | None = None
    drift_share: float | None = None
    drifted: list[str] = Field(default_factory=list)
    prediction_drifted: bool = False
    performance: str = ""
    performance_version: int | None = None
    reason: str = ""
    labelled: int | None = None
    predictions: int | None = None
    metric: str = ""
    realised: MetricEstimate | None = None
    hold_out: MetricEstimate | None = None
    estimated: MetricEstimate | None = None
    kpis: list[MetricEstimate] = Field(default_factory=list)
    advice: str = ""


class Histogram(Report):
    """Shares of the rows of each side: in bins between ``edges``, or by ``labels``.

    The outermost bins hold what lies beyond them. Missing values count, but for ``labels``, where
    they are one of them, they are in no bin.
    """

    edges: list[float] = Field(default_factory=list)
    labels: list[str] = Field(default_factory=list)
    reference: list[float]
    live: list[float]
    left_out: int = 0


class DriftedColumn(Report):
    """A column that drifted or is broken; ``histogram`` is None where it can't be drawn."""

    column: str
    kind: str
    role: str
    verdict: str
    statistic: str
    value: float | None
    threshold: float | None
    reason: str
    reference_missing: float | None
    live_missing: float | None
    histogram: Histogram | None
    undrawn: str = ""


class Case(Report):
    """One answer that turned out wrong, with what was asked as the log has it."""

    prediction_id: str
    unit: str
    at: datetime
    version: int
    answer: str
    label: str
    wrongness: float
    features: list[tuple[str, str]]
    command: str


class Mistakes(Report):
    """The worst of the newest answers whose labels are complete.

    ``rows`` are the answers with a label, ``wrong`` those of them that were wrong.
    """

    window: str
    title: str
    rows: int
    wrong: int
    cases: list[Case]
    features_left_out: int = 0


class Outside(Report):
    """The share of live rows whose value in a column the reference has no like of."""

    column: str
    share: float
    words: str


class Resemblance(Report):
    """How far live rows resemble the hold-out.

    ``auc`` is that of a classifier that tells them apart, out of fold; ``outside`` the share of
    rows with any value outside what the reference holds, ``by_chance`` what that share is at most,
    on average, where nothing changed. ``allowed`` is the area up to which the gate lets in.
    """

    hold_out: str
    hold_out_rows: int
    live_rows: int
    auc: MetricEstimate | None
    level: float
    allowed: float | None = None
    told_by: list[tuple[str, float]] = Field(default_factory=list)
    outside: float | None = None
    by_chance: float | None = None
    reference_rows: int = 0
    columns: list[Outside] = Field(default_factory=list)


class TrafficRow(Report):
    """Requests that one version answered in one span of time; latencies in milliseconds."""

    start: datetime
    version: int
    variant: str
    answers: int
    errors: int
    p50: float
    p95: float
    p99: float


class Failure(Report):
    """An answer that failed."""

    prediction_id: str
    logged_at: datetime
    version: int
    status: int
    unit: str


class Traffic(Report):
    """What was asked of each version, by the clock of the server."""

    since: datetime
    span: str
    rows: list[TrafficRow]
    failures: list[Failure]
    failed: int


class FailedRun(Report):
    """A run of a job of the model that failed."""

    run_id: str
    job: str
    at: datetime
    words: str
    link: str


class Incident(Report):
    """Everything that is known; ``missing`` says by section what is not, and why."""

    model: str
    task: str
    description: str
    owners: list[str]
    window: str
    since: datetime
    made_at: datetime
    serving: Serving
    alarms: list[Alarm]
    advice: AdviceNow | None
    rollback: Rollback
    candidates: list[Candidate]
    spans: list[Span]
    events: list[Event]
    windows: list[WindowState]
    columns: list[DriftedColumn]
    columns_left_out: int
    mistakes: Mistakes | None
    resemblance: Resemblance | None
    traffic: Traffic | None
    failed_runs: list[FailedRun]
    missing: dict[str, list[str]]
