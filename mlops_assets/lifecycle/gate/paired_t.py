"""The paired t-test on per-row losses, clustered by unit."""

import math

from mlops_assets.lifecycle.gate.base import Interval, PairedTest, too_few


class PairedT(PairedTest):
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
    rows_only = True

    def gain(self, metric, paired, alpha):
        challenger = metric.rows(paired.truth, paired.challenger)
        rival = metric.rows(paired.truth, paired.rival)
        return self._mean(metric.sign * (challenger - rival), paired.weights, paired.units, alpha)

    def level(self, metric, truth, predicted, units, alpha, weights=None):
        import numpy as np

        rows = metric.rows(truth, predicted)
        return self._mean(rows, np.ones(len(rows)) if weights is None else weights, units, alpha)

    def _mean(self, rows, weights, units, alpha) -> Interval:
        import numpy as np
        from scipy import stats

        _, cluster = np.unique(units, return_inverse=True)
        count = int(cluster.max()) + 1
        mean = float(np.average(rows, weights=weights))
        residual = np.bincount(cluster, weights=weights * (rows - mean))
        if too_few(count, alpha):
            return Interval(mean, -math.inf, math.inf, math.inf, count, 1.0)
        error = math.sqrt(count / (count - 1) * float(residual @ residual)) / float(weights.sum())
        reach = stats.t.ppf(1 - alpha, count - 1) * error
        if error > 0:
            p_value = float(stats.t.sf(mean / error, count - 1))
        else:
            p_value = 0.0 if mean > 0 else 1.0
        return Interval(mean, mean - reach, mean + reach, error * math.sqrt(count), count, p_value)
