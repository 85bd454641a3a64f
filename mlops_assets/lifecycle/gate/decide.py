"""From an interval to a verdict."""

import math
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.reports import Comparison, VerdictName

if TYPE_CHECKING:
    from mlops_assets.lifecycle.reports import MetricEstimate
    from mlops_assets.lifecycle.spec import GatePolicy

POWER = 0.8


def compare(policy: "GatePolicy", test: str, rival: str, gain: Interval) -> Comparison:
    """State a gain with the sample size at which the declared margin could be decided.

    Raises
    ------
    EvidenceError
        When the gain is not a number: nothing is decided on NaN.
    """
    if not math.isfinite(gain.estimate):
        raise EvidenceError(f"the gain in {policy.metric} against {rival} is {gain.estimate}")
    return Comparison(
        test=test,
        rival=rival,
        metric=policy.metric,
        gain=gain.estimate,
        low=gain.low,
        high=gain.high,
        alpha=policy.alpha,
        margin=policy.margin,
        units=gain.units,
        units_needed=units_needed(gain.spread, policy.margin or abs(gain.estimate), policy.alpha),
        p_value=gain.p_value,
    )


def units_needed(spread: float, difference: float, alpha: float) -> int:
    """Units for which a one-sided z-test finds ``difference`` with a power of 80 %.

    ``((z_{1-alpha} + z_{power}) * spread / difference)^2``, Chow, Shao and Wang, "Sample Size
    Calculations in Clinical Research" (2008), section 3.2. 0 when it can't be told.
    """
    from scipy.stats import norm

    if not math.isfinite(spread) or difference <= 0:
        return 0
    return math.ceil(((norm.ppf(1 - alpha) + norm.ppf(POWER)) * spread / difference) ** 2)


def against(comparison: Comparison) -> tuple[VerdictName, str]:
    """The verdict that a comparison with the champion supports, and why."""
    c = comparison
    words = (
        f"gain in {c.metric} {c.gain:+.4g} ({_level(c)} bounds {c.low:+.4g}, {c.high:+.4g}) "
        f"on {c.units} units, margin {c.margin:g}"
    )
    if c.low > 0:
        return "better", words
    if c.low > -c.margin:
        return "non_inferior", words
    if c.high < 0:
        return "worse", words
    need = f"about {c.units_needed} units" if c.units_needed > c.units else "more units"
    return "not_enough_evidence", f"{words}; {need} would decide (power {POWER:.0%})"


def first(policy: "GatePolicy", baseline: Comparison | None) -> tuple[VerdictName, str]:
    """The verdict on a model without a champion: the floors, and the baseline where declared.

    Raises
    ------
    EvidenceError
        When a baseline is declared and was not compared with.
    """
    if policy.baseline is not None and baseline is None:
        raise EvidenceError("gate.baseline is declared, and the model was not compared with it")
    if baseline is not None and not baseline.low > 0:
        verdict, words = against(baseline)
        if verdict == "non_inferior":
            words += "; a first model must be better than the baseline"
        return ("not_enough_evidence" if baseline.high > 0 else "below_floor"), words
    if not policy.floor and baseline is None:
        return "below_floor", "a first model needs gate.floor or gate.baseline to be judged by"
    return "first_model", "no champion yet; every floor reached"


def missed_floors(challenger: list["MetricEstimate"], policy: "GatePolicy") -> list[str]:
    """The floors that a model does not reach, in words; NaN reaches none."""
    from mlops_assets.lifecycle.metrics import METRICS

    values = {estimate.metric: estimate.value for estimate in challenger}
    missed = []
    for metric, floor in policy.floor.items():
        sign = METRICS[metric].sign
        if not sign * values[metric] >= sign * floor:
            missed.append(f"{metric} {values[metric]:.4g} misses its floor {floor:g}")
    return missed


def _level(comparison: Comparison) -> str:
    return f"{1 - comparison.alpha:.0%}"
