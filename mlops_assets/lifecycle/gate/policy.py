"""What a user declares about the gate."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from mlops_assets.lifecycle.buildable import Buildable
from mlops_assets.lifecycle.columns import Columns
from mlops_assets.lifecycle.declaration import Declaration
from mlops_assets.lifecycle.gate import TESTS, default_test
from mlops_assets.lifecycle.gate.band import Decide
from mlops_assets.lifecycle.gate.disparity import DISPARITIES
from mlops_assets.lifecycle.kpi import Kpi, KpiPolicy
from mlops_assets.lifecycle.metrics import METRICS


class FairnessPolicy(Declaration):
    """How far groups of people may be treated apart."""

    attribute: str = Field(description="The column that holds the group.")
    metric: str = Field(description="As fairlearn.metrics names it.")
    limit: float = Field(ge=0, le=1)
    threshold: float = Field(0.5, gt=0, lt=1, description="The score from which it is a yes.")
    decide: Decide = Field("point", description="What is held against the limit.")
    min_rows: PositiveInt = Field(50, description="Smaller groups are listed, not judged.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.metric not in DISPARITIES:
            raise ValueError(f"unknown metric {self.metric!r}; known: {sorted(DISPARITIES)}")
        return self


class CalibrationPolicy(Declaration):
    """How far predictions may be off on average."""

    max_error: float = Field(gt=0, lt=1)
    bins: int = Field(10, ge=2, le=100, description="Of equal size, for classifications.")
    decide: Decide = Field("point", description="What is held against the limit.")


class LimitsPolicy(Declaration):
    """What a version may cost to serve."""

    latency_ms: float | None = Field(None, gt=0, description="p95 of a prediction for one row.")
    size_mb: float | None = Field(None, gt=0, description="All files of the version, 10^6 bytes.")


class RepresentativePolicy(Declaration):
    """How well a classifier may tell the hold-out from the last live rows."""

    max_auc: float = Field(0.7, gt=0.5, le=1)
    block: bool = Field(False, description="Block the challenger, instead of a warning.")
    min_rows: PositiveInt = Field(200, description="With fewer live rows nothing can be told.")


class HoldOutPolicy(Declaration):
    """What a hold-out must be to judge on."""

    disjoint_units: bool = Field(False, description="No unit of it may have been trained on.")
    representative: RepresentativePolicy | None = None


class GatePolicy(Declaration):
    """What a challenger must show before it may serve. Declared before any data is seen."""

    metric: str
    margin: float = Field(ge=0, description="Loss against the champion that is tolerated.")
    alpha: float = Field(0.05, gt=0, lt=0.5)
    test: str | None = Field(
        None,
        description="Default: paired_t for a mean over rows, delong for roc_auc, else "
        "cluster_bootstrap.",
    )
    floor: dict[str, float] = Field(default_factory=dict, description="What any model must reach.")
    baseline: Buildable | None = Field(None, description="What a first model must beat.")
    accept: tuple[Literal["better", "non_inferior", "first_model"], ...] = (
        "better",
        "non_inferior",
        "first_model",
    )
    kpi: KpiPolicy | None = Field(None, description="What the business must not lose.")
    slices: list[str] = Field(
        default_factory=list, description="Columns: no value of them may fare worse."
    )
    min_slice_rows: PositiveInt = Field(100, description="Smaller slices are listed, not judged.")
    fairness: FairnessPolicy | None = None
    calibration: CalibrationPolicy | None = None
    limits: LimitsPolicy | None = None
    hold_out: HoldOutPolicy = HoldOutPolicy()
    retests: NonNegativeInt = Field(3, description="Further looks at the same hold-out.")

    @property
    def test_name(self) -> str:
        """The test that decides."""
        if self.test is not None:
            return self.test
        return default_test(METRICS[self.metric]).name

    def problems(self, task: str, columns: Columns) -> Iterator[str]:
        """What of this does not go with a task or with the roles of columns."""
        for kpi in self.kpis:
            if task not in kpi.tasks:
                known = ", ".join(kpi.tasks)
                yield f"gate.kpi: {kpi.name} is no KPI of task {task} (it is of: {known})"
            for role in kpi.roles:
                if getattr(columns, role) is None:
                    yield f"gate.kpi: {kpi.name} needs columns.{role}"
        if self.fairness is not None and task != "binary_classification":
            yield f"gate.fairness: compares how often groups get a yes, which {task} has not"
        if self.calibration is not None and task == "ranking":
            yield "gate.calibration: a ranking has no probabilities to calibrate"
        if self.hold_out.representative is not None and task == "ranking":
            yield "gate.hold_out.representative: a ranking has no features to compare"
        if self.hold_out.disjoint_units and columns.unit is None:
            yield "gate.hold_out.disjoint_units needs columns.unit"

    @property
    def kpis(self) -> list[Kpi]:
        """The KPIs that were declared."""
        return [] if self.kpi is None else [kpi for _, kpi in self.kpi if kpi is not None]

    @model_validator(mode="after")
    def _known(self) -> Self:
        for metric in (self.metric, *self.floor):
            if metric not in METRICS:
                raise ValueError(f"unknown metric {metric!r}; known: {sorted(METRICS)}")
        if self.test_name not in TESTS:
            raise ValueError(f"unknown test {self.test!r}; known: {sorted(TESTS)}")
        problem = TESTS[self.test_name].supports(METRICS[self.metric])
        if problem:
            raise ValueError(f"test: {self.test} {problem}")
        return self
