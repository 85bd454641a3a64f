"""What a version's hold-out promised."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.evaluation import estimate
from mlops_assets.lifecycle.report_base import MetricEstimate

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Answered


@dataclass(frozen=True)
class Promise:
    """A metric on the hold-out, and over how many units its interval is."""

    estimate: MetricEstimate
    units: int


@dataclass(frozen=True)
class HoldOut:
    """The hold-out as it was judged, and the answers to it that were recorded.

    Parameters
    ----------
    judged : dict of str to MetricEstimate
        By metric, on the whole hold-out, with intervals at level ``1 - gate.alpha`` over units.
        Empty where the evaluation is not at hand, or was under another declaration.
    units : int
        Of ``judged``.
    rows : Answered or None
        Recorded answers, at most ``Task.preset_rows``.
    """

    judged: dict[str, MetricEstimate] = field(default_factory=dict)
    units: int = 0
    rows: "Answered | None" = None

    def promise(self, spec: "ModelSpec", metric: str) -> Promise | None:
        """A metric as it was judged, else on the recorded answers; None where neither is there."""
        if metric in self.judged:
            return Promise(self.judged[metric], self.units)
        rows = self.rows
        if rows is None or spec.task_type.check_truth(rows.truth):
            return None
        predicted = spec.task_type.predicted(rows.answers)
        found = estimate(
            metric, rows.truth, predicted, rows.clusters, spec.gate.alpha, rows.weights
        )
        return Promise(found, len(set(rows.clusters)))
