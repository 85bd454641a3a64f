"""Metrics of frequencies and of other amounts that are never negative.

For ``task: count_regression`` truth and predictions are frequencies (counts per unit of exposure)
and the weights are exposures, so that each metric here is one per unit of exposure.
"""

import math
from typing import ClassVar

from mlops_assets.lifecycle.metrics.base import Metric, RowMetric, SumMetric, divide
from mlops_assets.lifecycle.metrics.ranked import by_score


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


class _TweedieDeviance(RowMetric):
    """Mean unit deviance of a compound Poisson-gamma (Jorgensen, 1987), 1 < power < 2."""

    bounds = (0.0, math.inf)
    greater_is_better = False
    power: ClassVar[float]

    def rows(self, truth, predicted):
        import numpy as np

        p = self.power
        mean = np.where(predicted > 0, predicted, np.nan)
        return 2 * (
            np.power(truth, 2.0 - p) / ((1 - p) * (2 - p))
            - truth * np.power(mean, 1 - p) / (1 - p)
            + np.power(mean, 2 - p) / (2 - p)
        )


class Tweedie15(_TweedieDeviance):
    """Mean unit Tweedie deviance of power 1.5."""

    name = "mean_tweedie_deviance_1_5"
    power = 1.5


class Tweedie19(_TweedieDeviance):
    """Mean unit Tweedie deviance of power 1.9, usual for pure premiums."""

    name = "mean_tweedie_deviance_1_9"
    power = 1.9


class ActualOverExpected(SumMetric):
    """What happened over what was predicted: 1 is right, above 1 too little was predicted."""

    name = "a_over_e"
    bounds = (0.0, math.inf)
    comparable = False

    def parts(self, truth, predicted):
        import numpy as np

        return np.column_stack([truth, predicted])

    def of_sums(self, sums):
        return divide(sums[:, 0], sums[:, 1])


class Gini(Metric):
    """How well predictions order what happens: one minus twice the area under the Lorenz curve.

    The curve is the share of what happened against the share of exposure, by rising prediction
    (Frees, Meyers and Cummings, "Summarizing insurance scores using a Gini index", JASA 106,
    2011; as in scikit-learn's "Tweedie regression on insurance claims"). Rows of one prediction
    are one step, so that their order does not matter.
    """

    name = "gini"
    bounds = (-1.0, 1.0)

    def weighted(self, truth, predicted, weights):
        import numpy as np

        order, last = by_score(predicted, falling=False)
        ordered = weights[:, order]
        exposure = np.cumsum(ordered, axis=1)[:, last]
        happened = np.cumsum(ordered * truth[order], axis=1)[:, last]
        zero = np.zeros((len(weights), 1))
        area = np.trapezoid(np.hstack([zero, happened]), np.hstack([zero, exposure]), axis=1)
        return 1 - divide(2 * area, happened[:, -1] * exposure[:, -1])

    def resampled(self, truth, predicted, weights, cluster, count):
        from mlops_assets.lifecycle.metrics.resampling import area

        order, last = by_score(predicted, falling=False)
        rows = (cluster[order].astype("int32"), weights[order], (weights * truth)[order], last)
        return lambda counts: 1 - 2 * area(counts, *rows)
