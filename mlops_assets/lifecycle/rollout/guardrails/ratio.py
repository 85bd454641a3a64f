"""From counts, block by block, to the evidence of a guardrail that tolerates a ratio."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np

from mlops_assets.lifecycle.rollout.guardrails.base import (
    MAX_POINTS,
    Budget,
    GuardrailEvidence,
    Point,
)
from mlops_assets.lifecycle.rollout.guardrails.eprocess import (
    Counts,
    Prior,
    alarmed,
    bound,
    bound_path,
    log_e,
    log_e_rate,
    mantel_haenszel,
    prior_around,
    prior_beyond,
)

LARGEST = 690.0  # of a log whose exponential is still a float


def judge_ratio(
    name: str,
    counts: Counts,
    ends: Sequence[datetime],
    tolerated: float,
    budget: Budget,
    *,
    what: str,
    harm: np.ndarray | None = None,
    negligible: float = 0.0,
) -> GuardrailEvidence:
    """Judge a canary by one kind of event.

    Parameters
    ----------
    name : str
        The guardrail's.
    counts : Counts
        Of shape (n_blocks,), at least one block.
    ends : sequence of datetime
        When each block ended.
    tolerated : float
    budget : Budget
    what : str
        What an event is, in words.
    harm : ndarray of shape (n_blocks,), optional
        Log e-process against "the canary is no worse", where it covers more than ``counts``.
    negligible : float
        A canary whose rate is below this is safe whatever the ratio.
    """
    prior = prior_around(tolerated)
    if harm is None:
        harm = log_e(counts, 0.0, prior_beyond(tolerated), 1)
    evidence = np.maximum.accumulate(harm)
    estimates = mantel_haenszel(counts)
    estimate = _number(estimates[-1])
    low = bound(counts, budget.alpha, prior, 1)
    high = bound(counts, budget.beta, prior, -1)
    tiny = _is_negligible(counts, negligible, budget.beta)
    verdict: Literal["ok", "violated", "not_enough"] = "not_enough"
    if alarmed(harm, estimates, tolerated, budget.alpha)[-1]:
        verdict = "violated"
    elif (high is not None and high < tolerated) or tiny:
        verdict = "ok"
    totals = {key: int(values.sum()) for key, values in vars(counts).items()}
    needed = canary_needed(counts, tolerated, budget, negligible)
    facts = {
        "name": name,
        "what": what,
        "totals": totals,
        "estimate": estimate,
        "low": low,
        "high": high,
        "budget": budget,
        "tolerated": tolerated,
        "verdict": verdict,
        "tiny": tiny,
        "needed": needed,
        "negligible": negligible,
    }
    return GuardrailEvidence(
        guardrail=name,
        verdict=verdict,
        tolerated=tolerated,
        estimate=estimate,
        low=low,
        low_level=1 - budget.alpha,
        high=high,
        high_level=1 - budget.beta,
        e_value=_exp(evidence[-1]),
        threshold=1 / budget.alpha,
        **totals,
        needed=needed,
        trajectory=_trajectory(counts, ends, evidence, estimates, budget, prior),
        words=_words(**facts),
    )


def canary_needed(
    counts: Counts, tolerated: float, budget: Budget, negligible: float
) -> int | None:
    """About how many canary requests an equal canary needs until it is shown to be safe.

    The information that a request adds is the Kullback-Leibler divergence of an event's side
    under equal rates from that under ``tolerated``; needed are ``log(1 / beta)`` and what the
    mixture costs. None when no event was seen and no rate is negligible.
    """
    canary, champion = counts.canary_seen.sum(), counts.champion_seen.sum()
    events = float(counts.events.sum())
    clean = _clean_needed(negligible, budget.beta) if negligible else None
    if not events or not canary or not champion:
        return clean
    share = canary / (canary + champion)
    against = share * tolerated / (share * tolerated + 1 - share)
    information = share * math.log(share / against)
    information += (1 - share) * math.log((1 - share) / (1 - against))
    mixture_costs = 2.0
    needed_events = (-math.log(budget.beta) + mixture_costs) / information
    needed = math.ceil(needed_events * canary / events)
    # With a rate close to the negligible one, neither way is short: only a clean one counts here.
    return min(needed, clean) if clean and not counts.canary_events.sum() else needed


def _clean_needed(negligible: float, beta: float) -> int:
    """Requests without an event after which a rate is shown to be below ``negligible``.

    The beta mixture of n such requests is ``(exp(x) - 1) / x`` with ``x = n * negligible``; the
    larger root of that being ``1 / beta`` is Lambert's W on its lower branch.
    """
    from scipy.special import lambertw

    x = -beta - lambertw(-beta * math.exp(-beta), -1).real
    return math.ceil(x / negligible)


def _is_negligible(counts: Counts, negligible: float, beta: float) -> bool:
    if not negligible:
        return False
    events, seen = np.cumsum(counts.canary_events), np.cumsum(counts.canary_seen)
    below = log_e_rate(events, seen, negligible, -1) >= -math.log(beta)
    # It was below once, and still looks so.
    return bool(below.any() and events[-1] < negligible * seen[-1])


def _trajectory(counts, ends, evidence, estimates, budget: Budget, prior: Prior) -> list[Point]:
    shown = np.unique(np.linspace(0, len(ends) - 1, min(MAX_POINTS, len(ends))).astype(int))
    low = bound_path(counts, budget.alpha, prior, 1)
    high = bound_path(counts, budget.beta, prior, -1)
    return [
        Point(
            at=ends[i],
            estimate=_number(estimates[i]),
            low=_number(low[i]),
            high=_number(high[i]),
            e_value=_exp(evidence[i]),
        )
        for i in shown
    ]


def _words(*, name, what, totals, estimate, low, high, budget, tolerated, **rest: Any) -> str:
    def side(of: str) -> str:
        return f"{of} {totals[f'{of}_events']:,} of {totals[f'{of}_seen']:,}"

    ratio = "ratio unknown" if estimate is None else f"ratio {estimate:.3g}"
    bounds = [
        f"at least {low:.3g} ({1 - budget.alpha:.4g})" if low is not None else "",
        f"at most {high:.3g} ({1 - budget.beta:.4g})" if high is not None else "",
    ]
    known = ", ".join(filter(None, bounds)) or "no bound yet"
    words = f"{name}: {what}: {side('canary')}, {side('champion')}; {ratio}, {known}; "
    words += f"tolerated {tolerated:g}: "
    if rest["verdict"] == "violated":
        return words + "worse than the champion beyond chance, and by more than the tolerated"
    if rest["verdict"] == "ok" and not (high is not None and high < tolerated):
        return words + f"within limits, its rate is below {rest['negligible']:g}"
    if rest["verdict"] == "ok":
        return words + "within limits"
    if low is not None and low > 1:
        return words + "worse than the champion beyond chance, but not by more than the tolerated"
    if rest["needed"] is None:
        return words + "no such event on either side yet, so nothing can be compared"
    return words + (
        f"not enough evidence, an equal canary needs about {rest['needed']:,} canary requests"
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _exp(log: float) -> float:
    return math.exp(min(float(log), LARGEST))
