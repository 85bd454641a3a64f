"""The paired t-test on per-row losses, clustered by unit."""

import math

from mlops_assets.lifecycle.gate.base import (
    Interval,
    LevelTest,
    numbered,
    only_rows,
    student,
    too_few,
)


class PairedT(LevelTest):
    """Student's paired t-test on the mean score per row, with a cluster-robust variance.

    The (weighted) mean over rows is a ratio of two sums over units; its variance follows from the
    units' residual sums (Liang and Zeger, "Longitudinal data analysis using generalized linear
    models", Biometrika 73, 1986), with C - 1 degrees of freedom for C units. With one row a unit
    it is the textbook paired t-test.

    Examples
    --------
    >>> import numpy as np
    >>> from mlops_assets.lifecycle.gate.base import Paired
    >>> from mlops_assets.lifecycle.metrics import METRICS
    >>> truth = np.arange(8.0)
    >>> pair = Paired(truth, truth, truth + 1, np.arange(8))
    >>> PairedT().gain(METRICS["mean_absolute_error"], pair, 0.05).estimate
    1.0
    """

    name = "paired_t"

    def supports(self, metric):
        return only_rows(metric)

    def gain(self, metric, paired, alpha):
        challenger = metric.rows(paired.truth, paired.challenger)
        rival = metric.rows(paired.truth, paired.rival)
        return self.mean(metric.sign * (challenger - rival), paired.weights, paired.units, alpha)

    def level(self, metric, truth, predicted, units, alpha, weights=None):
        import numpy as np

        rows = metric.rows(truth, predicted)
        return self.mean(rows, np.ones(len(rows)) if weights is None else weights, units, alpha)

    def mean(self, rows, weights, units, alpha) -> Interval:
        """A weighted mean over rows with one-sided bounds at level ``1 - alpha`` each."""
        import numpy as np

        cluster, count = numbered(units)
        mean = float(np.average(rows, weights=weights))
        residual = np.bincount(cluster, weights=weights * (rows - mean))
        if too_few(count, alpha):
            return Interval.unknown(mean, count)
        error = math.sqrt(count / (count - 1) * float(residual @ residual)) / float(weights.sum())
        return student(mean, error, count, count - 1, alpha)
