"""Metrics of classes and their probabilities.

``predicted`` holds the probability of class 1, shape (n_rows,), or of all classes, shape
(n_rows, n_classes).
"""

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.metrics.base import RowMetric, SumMetric, divide

if TYPE_CHECKING:
    import numpy as np


class Accuracy(RowMetric):
    """Share of rows whose most probable class is the true one."""

    name = "accuracy"
    continuous = False

    def rows(self, truth, predicted):
        return (most_probable(predicted) == truth).astype(float)


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


class _ByClass(SumMetric):
    """A function of how often each class is right, true, and found (the most probable one)."""

    def parts(self, truth, predicted):
        """Indicators of right, true and found, each of n_classes columns."""
        import numpy as np

        found, true = most_probable(predicted), np.asarray(truth).astype(int)
        classes = 1 + max(int(found.max()), int(true.max()), 1)
        is_true = true[:, None] == np.arange(classes)
        is_found = found[:, None] == np.arange(classes)
        return np.hstack([is_true & is_found, is_true, is_found]).astype(float)

    def of_sums(self, sums):
        import numpy as np

        return self.of_classes(*np.split(sums, 3, axis=1))

    @abstractmethod
    def of_classes(self, right, true, found) -> "np.ndarray":
        """From three arrays of shape (n_draws, n_classes) to (n_draws,)."""


class BalancedAccuracy(_ByClass):
    """Mean of the recalls of the classes that are there (Brodersen et al., 2010)."""

    name = "balanced_accuracy"

    def of_classes(self, right, true, found):
        import numpy as np

        return divide(np.nansum(divide(right, true), axis=1), (true > 0).sum(axis=1))


class MacroF1(_ByClass):
    """Mean of the F1 scores of the classes that are there, in truth or predicted."""

    name = "macro_f1"

    def of_classes(self, right, true, found):
        import numpy as np

        either = true + found
        return divide(np.nansum(divide(2 * right, either), axis=1), (either > 0).sum(axis=1))


class F1(_ByClass):
    """Harmonic mean of precision and recall of class 1, at a probability above one half."""

    name = "f1"

    def of_classes(self, right, true, found):
        return divide(2 * right[:, 1], true[:, 1] + found[:, 1])


class Recall(_ByClass):
    """Share of class 1 that is found, at a probability above one half."""

    name = "recall"

    def of_classes(self, right, true, found):
        return divide(right[:, 1], true[:, 1])


def most_probable(predicted) -> "np.ndarray":
    """The class with the largest probability, shape (n_rows,)."""
    return (predicted > 0.5).astype(int) if predicted.ndim == 1 else predicted.argmax(axis=1)


def _class_probabilities(predicted) -> "np.ndarray":
    import numpy as np

    return np.column_stack([1 - predicted, predicted]) if predicted.ndim == 1 else predicted
