"""What the stages hand on: frozen, typed, stored as JSON."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from mlops_assets.lifecycle.advice.report import Advice as Advice
from mlops_assets.lifecycle.decay.report import LabelMaturity as LabelMaturity
from mlops_assets.lifecycle.decay.report import PerformanceReport as PerformanceReport
from mlops_assets.lifecycle.drift.report import ColumnDrift as ColumnDrift
from mlops_assets.lifecycle.drift.report import DriftReport as DriftReport
from mlops_assets.lifecycle.drift.report import JointDrift as JointDrift
from mlops_assets.lifecycle.explaining.results import Explanation
from mlops_assets.lifecycle.inventory_report import Inventory as Inventory
from mlops_assets.lifecycle.report_base import MetricEstimate as MetricEstimate
from mlops_assets.lifecycle.report_base import Report as Report

VerdictName = Literal[
    "better",
    "non_inferior",
    "worse",
    "not_enough_evidence",
    "first_model",
    "below_floor",
    "blocked",
]
Status = Literal["passed", "failed", "not_enough_evidence"]

ACCEPTABLE = ("better", "non_inferior", "first_model")


class TrainedModel(Report):
    """A registered model version and everything it was made from.

    ``digest`` covers every file of the version; ``fingerprint`` covers what went in (data
    version, code version, environment), so that equal fingerprints mean an equal training.
    ``window_versions`` are the data versions of the training windows.
    """

    model: str
    version: int
    run_id: str
    digest: str
    fingerprint: str
    data_version: str
    code_version: str
    environment: str
    git_commit: str
    window: str
    training_windows: list[str]
    trained_until: datetime | None
    rows: int
    features: list[str]
    params: dict[str, str]
    metrics: dict[str, float]
    dagster_run_id: str
    created_at: datetime
    packed: str = "no: not asked for"
    window_versions: dict[str, str] = Field(default_factory=dict)
    threads: dict[str, int] = Field(default_factory=dict)


class Comparison(Report):
    """A paired comparison: gain of the challenger over its rival, positive is better."""

    test: str
    rival: str
    metric: str
    gain: float
    low: float
    high: float
    alpha: float
    margin: float
    units: int
    units_needed: int
    p_value: float
    power: float | None = None


class RulePart(Report):
    """One slice, group or feature that a rule looked at, with what was found."""

    name: str
    rows: int
    observed: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    words: str = ""


class Rule(Report):
    """What one rule of the gate found; a challenger is accepted only if every rule passed.

    ``limit`` is written as it is held against ``observed`` (``>= 0.98``), empty where the rule
    only reports. ``low`` and ``high`` are the bounds of ``observed``.
    """

    name: str
    status: Status
    observed: float | None
    limit: str
    low: float | None = None
    high: float | None = None
    words: str
    parts: list[RulePart] = Field(default_factory=list)


class Verdict(Report):
    """The gate's decision, bound to what it was made on.

    ``challenger_digest``, ``champion_version``, ``data_version`` and ``policy_hash`` are verified
    again by whoever promotes.
    """

    verdict: VerdictName
    accepted: bool
    reasons: list[str]
    challenger_version: int
    challenger_digest: str
    champion_version: int | None
    data_version: str
    policy_hash: str

    @model_validator(mode="after")
    def _accepted_only_on_evidence(self) -> Self:
        if self.accepted and self.verdict not in ACCEPTABLE:
            raise ValueError(f"a verdict of {self.verdict!r} can't be accepted")
        return self


class Unseen(Report):
    """The proof that a model was not trained on the hold-out."""

    version: int
    training_rows: int
    shared_rows: int
    trained_until: datetime | None


class EvaluationReport(Report):
    """Challenger and champion on one hold-out, scored now."""

    model: str
    window: str
    task: str
    fingerprint: str
    evaluated_at: datetime
    hold_out_windows: list[str]
    hold_out_rows: int
    hold_out_units: int
    unseen: list[Unseen]
    challenger: list[MetricEstimate]
    champion: list[MetricEstimate]
    baseline: list[MetricEstimate]
    comparison: Comparison | None
    verdict: Verdict
    rules: list[Rule] = Field(default_factory=list)
    look: int = 1
    explanation: Explanation | None = None
    html: str | None = None

    @model_validator(mode="after")
    def _accepted_only_if_all_rules_passed(self) -> Self:
        missed = [rule.name for rule in self.rules if rule.status != "passed"]
        if self.verdict.accepted and missed:
            raise ValueError(f"accepted, and the gate's rules {missed} did not pass")
        return self


class Deployment(Report):
    """Which version serves at which share, since when, on whose word.

    Below a share of 1 the ``champion`` serves the others; 0 is a shadow, or a version that was
    taken back.
    """

    model: str
    version: int
    champion: int
    digest: str
    previous: int | None
    strategy: str
    share: float
    since: datetime
    who: str
    why: str
    journal_entry: str
