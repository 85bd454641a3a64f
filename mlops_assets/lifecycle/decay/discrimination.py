"""Whether the order of the answers still tells one row from another, whatever their level."""

import math
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.decay.hold_out import HoldOut, Promise
from mlops_assets.lifecycle.decay.loss import known, loss
from mlops_assets.lifecycle.decay.report import Discrimination
from mlops_assets.lifecycle.gate import default_test
from mlops_assets.lifecycle.metrics import METRICS, Metric
from mlops_assets.lifecycle.metrics.base import SumMetric, divide
from mlops_assets.lifecycle.report_base import MetricEstimate

if TYPE_CHECKING:
    from mlops_assets.lifecycle.gate.base import Interval
    from mlops_assets.lifecycle.spec import ModelSpec
    from mlops_assets.lifecycle.tasks import Answered

MOST_CLASSES = 20
MOST_ROWS = 100_000


class Correlation(SumMetric):
    """Pearson's: its square is what is left of the variance after the best linear recalibration.

    Murphy, "Skill scores based on the mean square error and their relationships to the correlation
    coefficient", Monthly Weather Review 116, 1988.
    """

    name = "correlation"
    bounds = (-1.0, 1.0)

    def parts(self, truth, predicted):
        import numpy as np

        # Centred, so that no variance is the difference of two large numbers.
        y, p = truth - truth.mean(), predicted - predicted.mean()
        return np.column_stack([np.ones(len(y)), y, p, y * y, p * p, y * p])

    def of_sums(self, sums):
        import numpy as np

        n, y, p, yy, pp, yp = sums.T
        variances = np.maximum(n * yy - y * y, 0) * np.maximum(n * pp - p * p, 0)
        return divide(n * yp - y * p, np.sqrt(variances))


class MacroRocAuc(Metric):
    """Mean over the classes that are there of the area under the ROC curve, one against the rest.

    As in Provost and Domingos, "Well-trained PETs: improving probability estimation trees", 2000,
    each class counting the same.
    """

    name = "macro_roc_auc"

    def weighted(self, truth, predicted, weights):
        return self._mean(
            METRICS["roc_auc"].weighted((truth == k).astype(int), predicted[:, k], weights)
            for k in range(predicted.shape[1])
        )

    def resampled(self, truth, predicted, weights, cluster, count):
        one = METRICS["roc_auc"]
        parts = [
            one.resampled((truth == k).astype(int), predicted[:, k], weights, cluster, count)
            for k in range(predicted.shape[1])
        ]
        return lambda counts: self._mean(part(counts) for part in parts)

    def _mean(self, areas):
        import numpy as np

        areas = np.array(list(areas))
        return divide(np.nansum(areas, axis=0), np.isfinite(areas).sum(axis=0))


def discrimination(
    spec: "ModelSpec", live: "Answered", hold_out: HoldOut
) -> tuple[Discrimination | None, str]:
    """The order of the answers, tested against the hold-out's at ``monitoring.decay.false_alarms``.

    Two classes: ``roc_auc``; several: ``macro_roc_auc``; counts: ``gini``; regression: the
    ``correlation``; rankings are an order, and their own metric tells. Of the answers at most
    100,000 are asked: it describes.

    Returns
    -------
    discrimination : Discrimination or None
    words : str
        Why there is none.
    """
    metric, live = _metric(spec), live.drawn(MOST_ROWS)
    said = spec.task_type.predicted(live.answers)
    if said.ndim > 1 and spec.task_type.tabular and said.shape[1] > MOST_CLASSES:
        return None, f"{said.shape[1]} classes are more than {MOST_CLASSES}"
    level = _level(metric, live, said, spec.gate.alpha)
    if not _finite(level):
        return None, f"no finite interval for {metric.name}"
    promised = _promised(spec, metric, hold_out)
    tested = None
    if promised is not None and known(promised):
        tested = loss(metric, level, promised, 0.0, spec.gate.alpha)
    made = Discrimination(
        realised=_estimate(metric, level),
        hold_out=promised.estimate if promised and tested else None,
        lost=tested is not None and tested.p_value < spec.decay_false_alarms,
        p_value=tested and tested.p_value,
    )
    return made, ""


def _metric(spec: "ModelSpec") -> Metric:
    match spec.task:
        case "binary_classification":
            return METRICS["roc_auc"]
        case "multiclass_classification":
            return MacroRocAuc()
        case "count_regression":
            return METRICS["gini"]
        case "regression":
            return Correlation()
        case _:
            return METRICS[spec.decay_metric]


def _level(metric: Metric, rows: "Answered", said, alpha: float) -> "Interval":
    test = default_test(metric)
    return test.level(metric, rows.truth, said, rows.clusters, alpha / 2, rows.weights)


def _finite(level: "Interval") -> bool:
    return all(math.isfinite(x) for x in (level.estimate, level.low, level.high))


def _estimate(metric: Metric, level: "Interval") -> MetricEstimate:
    low, high = max(level.low, metric.bounds[0]), min(level.high, metric.bounds[1])
    return MetricEstimate(metric=metric.name, value=level.estimate, low=low, high=high)


def _promised(spec: "ModelSpec", metric: Metric, hold_out: HoldOut) -> Promise | None:
    if metric.name in METRICS:
        return hold_out.promise(spec, metric.name)
    rows = hold_out.rows
    if rows is None or spec.task_type.check_truth(rows.truth):
        return None
    said = spec.task_type.predicted(rows.answers)
    level = _level(metric, rows, said, spec.gate.alpha)
    return Promise(_estimate(metric, level), level.units) if _finite(level) else None
