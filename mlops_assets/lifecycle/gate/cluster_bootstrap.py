"""The paired bootstrap over units, for any metric."""

import math

from mlops_assets.lifecycle.gate.base import Interval, LevelTest, numbered, too_few

DRAWS = 2000
CELLS_AT_ONCE = 4_000_000


class ClusterBootstrap(LevelTest):
    """Resample units with all their rows, score both models on each draw, compare percentiles.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13; units are
    drawn rather than rows because rows of one unit are dependent (Davison and Hinkley,
    "Bootstrap Methods and their Application" (1997), section 3.8). A draw is a vector of counts,
    so nothing is copied. The seed is fixed: the same rows give the same interval.

    Percentiles of few units are too narrow; they are widened as Student's t is against the normal
    (Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69,
    2015, section 5.3).
    """

    name = "cluster_bootstrap"

    def supports(self, metric):
        return None

    def gain(self, metric, paired, alpha):
        import numpy as np

        cluster, count = numbered(paired.units)
        truth, weights = paired.truth, paired.weights
        ours = metric.resampled(truth, paired.challenger, weights, cluster, count)
        theirs = metric.resampled(truth, paired.rival, weights, cluster, count)

        def difference(counts):
            return metric.sign * (ours(counts) - theirs(counts))

        estimate = float(difference(np.ones((1, count), np.uint8))[0])
        return self.interval(estimate, difference, len(truth), count, alpha)

    def level(self, metric, truth, predicted, units, alpha, weights=None):
        import numpy as np

        cluster, count = numbered(units)
        rows = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
        statistic = metric.resampled(truth, predicted, rows, cluster, count)
        return self.interval(
            metric.value(truth, predicted, rows), statistic, len(truth), count, alpha
        )

    def interval(self, estimate, statistic, rows, count, alpha) -> Interval:
        """The bounds of any statistic of how often each unit was drawn."""
        import numpy as np
        from scipy import stats

        if too_few(count, alpha):
            return Interval.unknown(estimate, count)
        draws = np.concatenate([statistic(counts) for counts in _draws(count, rows)])
        known = np.isfinite(draws)
        if known.sum() < DRAWS // 2:
            return Interval.unknown(estimate, count)
        # A draw without a single positive has no precision or recall: it could be anything, so
        # that it counts against either bound.
        tail = stats.norm.sf(math.sqrt(count / (count - 1)) * stats.t.ppf(1 - alpha, count - 1))
        low = np.quantile(np.where(known, draws, -math.inf), tail, method="lower")
        high = np.quantile(np.where(known, draws, math.inf), 1 - tail, method="higher")
        p_value = (1 + int((~(known & (draws > 0))).sum())) / (1 + len(draws))
        spread = float(draws[known].std(ddof=1)) * math.sqrt(count)
        return Interval(estimate, float(low), float(high), spread, count, p_value)


def _draws(count, rows):
    """How often each unit is drawn, in blocks of shape (n_draws, count) that fit in memory."""
    import numpy as np

    from mlops_assets.lifecycle.metrics.resampling import counted

    rng = np.random.default_rng(0)
    block = max(1, min(DRAWS, CELLS_AT_ONCE // max(rows, 1)))
    for first in range(0, DRAWS, block):
        size = min(block, DRAWS - first)
        yield counted(rng.integers(0, count, (size, count)))
