"""Metrics, each one object found by its name in YAML.

A *row metric* is a mean over rows (for rankings: over units), so that two models can be compared
row by row. The others are functions of the whole sample and are compared by a paired bootstrap.
"""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np


class Metric(ABC):
    """A score of predictions against the truth.

    ``weighted`` is the metric under several weightings of the rows at once, which is what a
    bootstrap needs.
    """

    name: ClassVar[str]
    greater_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def sign(self) -> int:
        """+1 where greater is better, else -1."""
        return 1 if self.greater_is_better else -1

    def value(self, truth, predicted) -> float:
        """The metric on these rows."""
        import numpy as np

        return float(self.weighted(truth, predicted, np.ones((1, len(truth))))[0])

    @abstractmethod
    def weighted(self, truth, predicted, weights: "np.ndarray") -> "np.ndarray":
        """The metric for each of ``weights``, shape (n_draws, n_rows), as shape (n_draws,)."""


class RowMetric(Metric):
    """A metric that is the mean of a score per row."""

    @abstractmethod
    def rows(self, truth, predicted) -> "np.ndarray":
        """The score of each row, shape (n_rows,)."""

    def weighted(self, truth, predicted, weights):
        scores = self.rows(truth, predicted)
        return weights @ scores / weights.sum(axis=1)


class Accuracy(RowMetric):
    """Share of rows whose most probable class is the true one."""

    name = "accuracy"

    def rows(self, truth, predicted):
        return (_most_probable(predicted) == truth).astype(float)


class LogLoss(RowMetric):
    """Negative log-likelihood of the true class, in nats."""

    name = "log_loss"
    bounds = (0.0, math.inf)
    greater_is_better = False

    def rows(self, truth, predicted):
        import numpy as np

        # As an index, a truth of booleans would be a mask, and one of floats an error.
        classes = np.asarray(truth).astype(int)
        probability = _class_probabilities(predicted)[np.arange(len(classes)), classes]
        return -np.log(np.clip(probability, np.finfo(float).eps, 1))


class BrierScore(RowMetric):
    """Squared distance between the probabilities and the outcome (Brier, 1950), binary form."""

    name = "brier_score"
    greater_is_better = False

    def rows(self, truth, predicted):
        return (predicted - truth) ** 2


class MeanAbsoluteError(RowMetric):
    """Mean of absolute errors, in units of the target."""

    name = "mean_absolute_error"
    bounds = (0.0, math.inf)
    greater_is_better = False

    def rows(self, truth, predicted):
        return abs(predicted - truth)


class MeanSquaredError(RowMetric):
    """Mean of squared errors, in squared units of the target."""

    name = "mean_squared_error"
    bounds = (0.0, math.inf)
    greater_is_better = False

    def rows(self, truth, predicted):
        return (predicted - truth) ** 2


class PoissonDeviance(RowMetric):
    """Mean unit Poisson deviance; NaN unless every prediction is positive."""

    name = "mean_poisson_deviance"
    bounds = (0.0, math.inf)
    greater_is_better = False

    def rows(self, truth, predicted):
        import numpy as np
        from scipy.special import xlogy

        # The formula would reward a negative prediction where the truth is 0.
        mean = np.where(predicted > 0, predicted, np.nan)
        return 2 * (xlogy(truth, truth / mean) - truth + mean)


class AveragePrecision(Metric):
    """Area under the precision-recall curve as a step function, as scikit-learn defines it."""

    name = "average_precision"

    def weighted(self, truth, predicted, weights):
        import numpy as np

        hits, totals, last = _ranked(truth, predicted, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(totals > 0, hits / totals, 0.0)[:, last]
            recall = (hits / hits[:, -1:])[:, last]
        return (precision * np.diff(recall, axis=1, prepend=0)).sum(axis=1)


class RocAuc(Metric):
    """Area under the ROC curve; ties count half."""

    name = "roc_auc"

    def weighted(self, truth, predicted, weights):
        import numpy as np

        hits, totals, last = _ranked(truth, predicted, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            tpr = (hits / hits[:, -1:])[:, last]
            fpr = ((totals - hits) / (totals - hits)[:, -1:])[:, last]
        zero = np.zeros((len(weights), 1))
        return np.trapezoid(np.hstack([zero, tpr]), np.hstack([zero, fpr]), axis=1)


class NdcgAtTen(RowMetric):
    """Normalized discounted cumulative gain of the first ten items (Jarvelin and Kekalainen, 2002).

    ``truth`` holds each unit's relevant items, ``predicted`` its ranked items.
    """

    name = "ndcg_at_10"

    def rows(self, truth, predicted):
        import numpy as np

        discounts = 1 / np.log2(np.arange(2, 12))
        ideal = np.cumsum(discounts)
        found = _relevant(truth, predicted, 10)
        return found @ discounts / ideal[np.clip([len(t) for t in truth], 1, 10) - 1]


class HitRateAtTen(RowMetric):
    """Share of units with a relevant item among the first ten."""

    name = "hit_rate_at_10"

    def rows(self, truth, predicted):
        return _relevant(truth, predicted, 10).any(axis=1).astype(float)


METRICS: dict[str, Metric] = {
    cls.name: cls()
    for cls in (
        Accuracy,
        LogLoss,
        BrierScore,
        MeanAbsoluteError,
        MeanSquaredError,
        PoissonDeviance,
        AveragePrecision,
        RocAuc,
        NdcgAtTen,
        HitRateAtTen,
    )
}


def _class_probabilities(predicted) -> "np.ndarray":
    import numpy as np

    return np.column_stack([1 - predicted, predicted]) if predicted.ndim == 1 else predicted


def _most_probable(predicted) -> "np.ndarray":
    return (predicted > 0.5).astype(int) if predicted.ndim == 1 else predicted.argmax(axis=1)


def _ranked(truth, predicted, weights):
    """Cumulated weight of positives and of all rows by falling score, and where scores change."""
    import numpy as np

    order = np.argsort(-predicted, kind="stable")
    ordered = weights[:, order]
    hits = np.cumsum(ordered * truth[order], axis=1)
    last = np.flatnonzero(np.append(np.diff(predicted[order]) != 0, True))
    return hits, np.cumsum(ordered, axis=1), last


def _relevant(truth, predicted, k) -> "np.ndarray":
    import numpy as np

    found = np.zeros((len(truth), k))
    for row, (relevant, ranked) in enumerate(zip(truth, predicted, strict=True)):
        items = set(relevant)
        for place, item in enumerate(ranked[:k]):
            found[row, place] = item in items
            items.discard(item)  # the same item again is not another hit
    return found
