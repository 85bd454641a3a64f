"""The Wilcoxon signed-rank test on units."""

import math

from mlops_assets.lifecycle.gate.base import Interval, PairedTest, only_rows, too_few, unit_gains

STEPS = 50


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
        sums, weights = unit_gains(metric, paired)
        gains = sums / weights
        count = len(gains)
        mean = float(gains.mean())
        if too_few(count, alpha) or not math.isfinite(mean):
            return Interval.unknown(mean, count)
        low, high = _bound(gains, alpha), -_bound(-gains, alpha)
        estimate = (_bound(gains, 0.5) - _bound(-gains, 0.5)) / 2
        from scipy.stats import norm

        spread = (high - low) / (2 * norm.ppf(1 - alpha)) * math.sqrt(count)
        return Interval(estimate, low, high, spread, count, _p_value(gains))


def _p_value(gains) -> float:
    """One-sided, of "no gain"."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(gains, zero_method="zsplit", alternative="greater").pvalue)


def _bound(gains, level: float) -> float:
    """The largest shift that the test rejects at ``level``, by bisection."""
    inside, outside = float(gains.max()), float(gains.min())
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        if _p_value(gains - middle) <= level:
            outside = middle
        else:
            inside = middle
    return outside
