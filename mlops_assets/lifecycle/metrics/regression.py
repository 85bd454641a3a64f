"""Metrics of numbers."""

import math

from mlops_assets.lifecycle.metrics.base import RowMetric, SumMetric, divide


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


class RootMeanSquaredError(SumMetric):
    """Root of the mean of squared errors, in units of the target."""

    name = "root_mean_squared_error"
    bounds = (0.0, math.inf)
    greater_is_better = False

    def parts(self, truth, predicted):
        import numpy as np

        return np.column_stack([(predicted - truth) ** 2, np.ones(len(truth))])

    def of_sums(self, sums):
        import numpy as np

        return np.sqrt(divide(sums[:, 0], sums[:, 1]))


class R2(SumMetric):
    """Share of the variance that is explained; NaN where the target does not vary."""

    name = "r2"
    bounds = (-math.inf, 1.0)

    def parts(self, truth, predicted):
        import numpy as np

        # Centred, so that the variance is not the difference of two large numbers.
        centred = truth - truth.mean()
        return np.column_stack([(predicted - truth) ** 2, centred**2, centred, np.ones(len(truth))])

    def of_sums(self, sums):
        total = sums[:, 1] - divide(sums[:, 2] ** 2, sums[:, 3])
        return 1 - divide(sums[:, 0], total)
