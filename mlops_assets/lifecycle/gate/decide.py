"""From an interval to a verdict."""

import math
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.reports import Comparison, VerdictName

if TYPE_CHECKING:
    from mlops_assets.lifecycle.gate.policy import GatePolicy
    from mlops_assets.lifecycle.reports import MetricEstimate, Rule

POWER = 0.8


def compare(
    policy: "GatePolicy", test: str, rival: str, gain: Interval, alpha: float | None = None
) -> Comparison:
    """State a gain with the sample size at which the declared margin could be decided.

    ``alpha`` is the level that ``gain`` has its bounds at, where it is not the declared one.

    Raises
    ------
    EvidenceError
        When the gain is not a number: nothing is decided on NaN.
    """
    alpha = policy.alpha if alpha is None else alpha
    if not math.isfinite(gain.estimate):
        raise EvidenceError(f"the gain in {policy.metric} against {rival} is {gain.estimate}")
    return Comparison(
        test=test,
        rival=rival,
        metric=policy.metric,
        gain=gain.estimate,
        low=gain.low,
        high=gain.high,
        alpha=alpha,
        margin=policy.margin,
        units=gain.units,
        units_needed=units_needed(gain.spread, policy.margin or abs(gain.estimate), alpha),
        p_value=gain.p_value,
        power=power_at(gain.units, gain.spread, policy.margin or abs(gain.estimate), alpha),
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


def power_at(units: int, spread: float, difference: float, alpha: float) -> float | None:
    """The chance that a one-sided z-test on so many units finds ``difference``; None if unknown.

    With the margin as the difference: that an equal challenger is found to be no worse.
    """
    from statsmodels.stats.power import zt_ind_solve_power

    if not math.isfinite(spread) or spread <= 0 or difference <= 0:
        return None
    found = zt_ind_solve_power(difference / spread, units, alpha, ratio=0, alternative="larger")
    return float(found)


def primary(
    policy: "GatePolicy", rival: Comparison | None, baseline: Comparison | None
) -> tuple[VerdictName, str]:
    """The verdict in the gate's metric: against the champion, or on a first model."""
    return first(policy, baseline) if rival is None else against(rival)


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
    now = "" if c.power is None else f", with these it is {c.power:.0%}"
    return "not_enough_evidence", f"{words}; {need} would decide (power {POWER:.0%}){now}"


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


def missed_floor(found: "MetricEstimate", floor: float) -> str | None:
    """In words that a model does not reach a floor, or None; NaN reaches none."""
    from mlops_assets.lifecycle.metrics import METRICS

    sign = METRICS[found.metric].sign
    if sign * found.value >= sign * floor:
        return None
    return f"{found.metric} {found.value:.4g} misses its floor {floor:g}"


def verdict(
    policy: "GatePolicy", named: VerdictName, rules: list["Rule"]
) -> tuple[VerdictName, bool, list[str]]:
    """What all rules together say: the verdict, whether it is accepted, and why.

    Parameters
    ----------
    named : str
        What the metric alone says.
    rules : list of Rule
        The metric's among them.

    Returns
    -------
    tuple
        The verdict is that of the metric where every other rule passed; a floor comes first, then
        the metric, then whatever else blocks, then what is left open.
    """
    missed = [rule for rule in rules if rule.status != "passed"]
    floors = [rule for rule in missed if rule.name.startswith("floor.")]
    reasons = [_reason(rule) for rule in floors + [r for r in missed if r not in floors]]
    if not missed:
        return named, True, [_reason(rule) for rule in rules if rule.name == "metric"]
    if floors:
        return "below_floor", False, reasons
    if named not in policy.accept:  # not even the metric accepts
        return named, False, reasons
    failed = any(rule.status == "failed" for rule in missed)
    return ("blocked" if failed else "not_enough_evidence"), False, reasons


def _reason(rule: "Rule") -> str:
    own = rule.name == "metric" or rule.name.startswith("floor.")
    return rule.words if own else f"{rule.name}: {rule.words}"


def _level(comparison: Comparison) -> str:
    return f"{100 * (1 - comparison.alpha):g}%"
