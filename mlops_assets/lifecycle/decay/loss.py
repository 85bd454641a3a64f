"""A test of live answers against the hold-out: two independent samples, both with their chance."""

import math
from dataclasses import dataclass

from mlops_assets.lifecycle.decay.hold_out import Promise
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.metrics import Metric


@dataclass(frozen=True)
class Loss:
    """How much worse live answers are than the hold-out's.

    Parameters
    ----------
    value : float
        In the metric's units, positive where live is worse.
    p_value : float
        Of "not worse by more than what is allowed".
    """

    value: float
    p_value: float


def loss(metric: Metric, live: Interval, promised: Promise, drop: float, alpha: float) -> Loss:
    """Test that live answers are not worse than the hold-out's by more than ``drop``.

    The metric has an estimate and a standard error over units on either side; the sides are
    independent, so that the errors' squares add up, and Student's t has the freedom of Welch, "The
    generalization of Student's problem when several different population variances are involved",
    Biometrika 34, 1947. For a metric that is a mean over rows of their own it is Welch's t-test.

    The hold-out's error is read off its interval, from the half that lies towards "worse" (Zou and
    Donner, "Construction of confidence limits about effect measures: a general approach",
    Statistics in Medicine 27, 2008): so much less may truly have been promised.

    Parameters
    ----------
    metric : Metric
    live : Interval
    promised : Promise
        Its interval is two-sided at level ``1 - alpha``.
    drop : float
        In the metric's units, 0 or more.
    alpha : float
    """
    from scipy import stats

    sign = metric.sign
    value = sign * (promised.estimate.value - live.estimate)
    errors = (live.spread / math.sqrt(live.units), _error(metric, promised, alpha))
    freedoms = (live.units - 1, promised.units - 1)
    total = sum(error**2 for error in errors)
    if total == 0:
        return Loss(value, 0.0 if value > drop else 1.0)
    freedom = total**2 / sum(e**4 / f for e, f in zip(errors, freedoms, strict=True))
    return Loss(value, float(stats.t.sf((value - drop) / math.sqrt(total), freedom)))


def known(promised: Promise) -> bool:
    """Whether the hold-out's value and interval are finite, over more than one unit."""
    e = promised.estimate
    return promised.units > 1 and all(math.isfinite(x) for x in (e.value, e.low, e.high))


def _error(metric: Metric, promised: Promise, alpha: float) -> float:
    """The hold-out's standard error."""
    from scipy import stats

    e = promised.estimate
    halves = {"low": e.value - e.low, "high": e.high - e.value}
    worse = "low" if metric.sign > 0 else "high"
    cut = getattr(e, worse) in metric.bounds  # where the interval was cut, it tells too little
    half = max(halves.values()) if cut else halves[worse]
    return half / float(stats.t.ppf(1 - alpha / 2, promised.units - 1))
