"""The Wilcoxon signed-rank test on units."""

import math

from mlops_assets.lifecycle.gate.base import Interval, PairedTest, only_rows, too_few, unit_gains

STEPS = 50
EXACT = 50


class Wilcoxon(PairedTest):
    """The signed-rank test on each unit's mean gain: robust to a few units with huge losses.

    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945; the
    estimate and the bounds invert the test (Hodges and Lehmann, "Estimates of location based on
    rank tests", Annals of Mathematical Statistics 34, 1963; Lehmann, "Nonparametrics", 1975,
    section 4.3). What it estimates is the median of the averages of two units' gains: that is the
    mean gain only where gains are symmetric, and every unit counts the same however many rows or
    how much weight it has. The units' gains are split between ranks at 0 (scipy's ``zsplit``).
    """

    name = "wilcoxon"

    def supports(self, metric):
        problem = only_rows(metric)
        if problem is None and not metric.continuous:
            other = "mcnemar" if metric.name == "accuracy" else "sign_flip"
            return f"ranks gains, and those in {metric.name} are mostly ties: use test: {other}"
        return problem

    def gain(self, metric, paired, alpha):
        from scipy.stats import norm

        sums, weights = unit_gains(metric, paired)
        gains = sums / weights
        count = len(gains)
        mean = float(gains.mean())
        if too_few(count, alpha) or not math.isfinite(mean):
            return Interval.unknown(mean, count)
        critical = _critical(count, alpha)
        low, high = _shift(gains, critical), -_shift(-gains, critical)
        middle = count * (count + 1) / 4
        estimate = (_shift(gains, middle) - _shift(-gains, middle)) / 2
        spread = (high - low) / (2 * norm.ppf(1 - alpha)) * math.sqrt(count)
        return Interval(estimate, low, high, spread, count, _p_value(gains))


def _p_value(gains) -> float:
    """One-sided, of "no gain"."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(gains, zero_method="zsplit", alternative="greater").pvalue)


def _critical(count: int, alpha: float) -> float:
    """The least sum of ranks of gains that is significant; exact where scipy's p-value is."""
    import numpy as np
    from scipy.stats import norm

    middle = count * (count + 1) / 4
    if count > EXACT:
        error = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
        return middle + float(norm.ppf(1 - alpha)) * error
    chances = np.ones(1)
    for rank in range(1, count + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    at_least = np.cumsum(chances[::-1])[::-1]
    return int(np.argmax(at_least <= alpha))


def _shift(gains, ranks: float) -> float:
    """The largest shift after which the gains' sum of ranks still is ``ranks``, by bisection."""
    import numpy as np
    from scipy.stats import rankdata

    low, high = float(gains.min()), float(gains.max())
    for _ in range(STEPS):
        middle = (low + high) / 2
        left = gains - middle
        of_gains = rankdata(np.abs(left)) @ ((np.sign(left) + 1) / 2)
        low, high = (middle, high) if of_gains >= ranks else (low, middle)
    return low
