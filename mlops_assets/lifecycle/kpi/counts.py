"""KPIs of models that expect counts or amounts (insurance)."""

from typing import Self

from pydantic import Field, model_validator

from mlops_assets.lifecycle.gate.band import Band, Decide
from mlops_assets.lifecycle.gate.resampling import sums_over_units
from mlops_assets.lifecycle.kpi.base import Kpi


class ActualOverExpected(Kpi):
    """Actual over expected totals, the actuary's A/E: 1 where the level is right."""

    name = "a_over_e"
    tasks = ("count_regression", "regression")
    relative = False

    limits: tuple[float, float] = Field(description="The least and the most that is allowed.")
    decide: Decide = Field("point", description="What is held against the limits.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.limits
        if not 0 <= low < high:
            raise ValueError(f"limits are [least, most], both positive, not [{low:g}, {high:g}]")
        return self

    @property
    def band(self) -> Band:
        return Band(*self.limits)

    def resampled(self, evidence, scores):
        import numpy as np

        cases = evidence.cases
        parts = np.column_stack([cases.truth, scores]) * cases.weights[:, None]
        sums = sums_over_units(parts, evidence.cluster, evidence.count)

        def ratio(counts):
            actual, expected = sums(counts).T
            return actual / expected

        return ratio
