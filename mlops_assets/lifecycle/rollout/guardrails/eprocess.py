"""E-processes on the ratio of two rates, and on one rate: tests that stay valid at every look.

Given a bad event, it is the canary's with probability ``q = a r / (a r + b)``, where a and b are
the requests at risk of canary and champion and r is the ratio of their rates. The likelihood ratio
of r against r0, averaged over a prior on r, has an expectation of at most 1 under r0, at every
stopping time; by Ville's inequality it ever reaches ``1 / alpha`` with probability alpha at most
(Ramdas, Gruenwald, Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference",
Statistical Science 38, 2023). It is the exact safe logrank test (ter Schure, Perez-Ortiz, Ly and
Gruenwald, "The anytime-valid logrank test", 2020) with requests for patients.

The conditional binomial is exact for Poisson events. For requests that fail or not, the count is
hypergeometric under r = 1, which is smaller in convex order (Hoeffding, "Probability inequalities
for sums of bounded random variables", JASA 58, 1963, theorem 4), so that the test is conservative.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln

WIDEST = 40.0  # log ratios beyond are unbounded
SPREAD = 0.7
OUTAGE = 0.2  # share of the prior that is ready for a breakdown
STEPS = 28

# What harm is looked for, in multiples of the tolerated log ratio: see `prior_beyond`.
HARM_CENTRE, HARM_SPREAD, HARM_WIDEST = 1.5, 0.2, 3.0
HARM_OUTAGE, HARM_STEPS = 0.05, 12


@dataclass(frozen=True)
class Counts:
    """Bad events and requests at risk, block by block; arrays of shape (..., n_blocks)."""

    canary_events: np.ndarray
    canary_seen: np.ndarray
    champion_events: np.ndarray
    champion_seen: np.ndarray

    @property
    def events(self) -> np.ndarray:
        """Bad events of both sides."""
        return self.canary_events + self.champion_events

    def row(self, place: int) -> "Counts":
        """One of several rows of counts."""
        return Counts(*(values[place] for values in vars(self).values()))


@dataclass(frozen=True)
class Prior:
    """Distances ``|log r - log r0|`` and their log weights, each of shape (n_points,).

    Any prior keeps the test valid; it says where the power is. A bound comes no closer to the
    estimate than half the smallest distance, 3.5 % for a tolerated ratio of 1.5.
    """

    distances: np.ndarray
    log_weights: np.ndarray


def prior_around(ratio: float) -> Prior:
    """Four fifths log-normal around the declared ratio, one fifth log-uniform up to 1,000-fold."""
    near = np.exp(np.log(np.log(ratio)) + SPREAD * np.linspace(-2.5, 2.5, STEPS))
    density = np.exp(-0.5 * np.linspace(-2.5, 2.5, STEPS) ** 2)
    far = np.linspace(np.log(2), np.log(1000), STEPS // 2)
    weights = np.concatenate(
        [(1 - OUTAGE) * density / density.sum(), np.full(len(far), OUTAGE / len(far))]
    )
    return Prior(np.concatenate([near, far]), np.log(weights))


def prior_beyond(ratio: float) -> Prior:
    """For the test of "no worse": on ratios beyond the tolerated one only, ready for an outage.

    `alarmed` needs an estimate beyond the tolerated ratio, so that weight on smaller ratios buys
    nothing. Log-normal around 1.5 times its log (a ratio of 1.84 for a tolerated 1.5), from once
    to three times of it; a twentieth log-uniform up to 1,000-fold.

    A likelihood ratio of m events against r has the drift m d and the variance m v, with
    ``d = q log(q/w) + (1-q) log((1-q)/(1-w))`` under r, w being the canary's part of the requests
    and q its part of the events. As a Brownian motion it reaches ``b = log(1/alpha)`` with
    probability ``Phi((md-b)/s) + exp(2 md b/s^2) Phi(-(md+b)/s)``, ``s^2 = m v`` (Siegmund,
    "Sequential Analysis" (1985), chapter 3). With w = 1/2, r = 2, m = 150 (5,000 requests a
    side, of which 1 % and 2 % fail) and alpha = 0.005 that is 0.86 for who knows r beforehand:
    more is left to tests that look less often. This prior comes within 0.02 of it.
    """
    near = np.geomspace(1, HARM_WIDEST, HARM_STEPS)
    density = np.exp(-0.5 * (np.log(near / HARM_CENTRE) / HARM_SPREAD) ** 2)
    nearest = max(np.log(2), HARM_WIDEST * np.log(ratio))
    far = np.linspace(nearest, max(np.log(1000), 2 * nearest), STEPS // 2)
    weights = np.concatenate(
        [(1 - HARM_OUTAGE) * density / density.sum(), np.full(len(far), HARM_OUTAGE / len(far))]
    )
    return Prior(np.concatenate([near * np.log(ratio), far]), np.log(weights))


def log_e(counts: Counts, null: float, prior: Prior, side: int) -> np.ndarray:
    """Log of the e-process against a ratio, after each block.

    Parameters
    ----------
    counts : Counts
    null : float
        Log of the ratio r0.
    prior : Prior
    side : {1, -1}
        1 for the null hypothesis r <= r0, -1 for r >= r0: the likelihood ratio is monotone in r0,
        so that the boundary is its worst case.

    Returns
    -------
    ndarray of shape (..., n_blocks)
    """
    at_risk = _log_at_risk(counts, null)
    total = np.full(counts.events.shape, -np.inf)
    for distance, weight in zip(prior.distances, prior.log_weights, strict=True):
        moved = _log_at_risk(counts, null + side * distance)
        step = side * distance * counts.canary_events - counts.events * (moved - at_risk)
        path = weight + np.cumsum(step, axis=-1)
        total = np.logaddexp(total, path)
    return total


def _log_at_risk(counts: Counts, log_ratio: float) -> np.ndarray:
    total = counts.canary_seen * np.exp(log_ratio) + counts.champion_seen
    return np.log(np.where(total > 0, total, 1.0))


def bound(counts: Counts, level: float, prior: Prior, side: int) -> float | None:
    """The bound of the ratio that held at all looks so far; None when there is none.

    Parameters
    ----------
    counts : Counts
        Of shape (n_blocks,).
    level : float
        Probability that the bound is ever wrong.
    prior : Prior
    side : {1, -1}
        1 for the lower bound, -1 for the upper one.
    """
    telling = Counts(*(values[counts.events > 0] for values in vars(counts).values()))

    def excluded(null: float) -> bool:
        return bool(log_e(telling, null, prior, side).max(initial=-np.inf) >= -np.log(level))

    outside, inside = -side * WIDEST, side * WIDEST
    if not excluded(outside):
        return None
    while abs(inside - outside) > 1e-4:
        middle = (inside + outside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return float(np.exp(outside))


def bound_path(counts: Counts, level: float, prior: Prior, side: int) -> np.ndarray:
    """`bound` after each block, on a grid from 1/20 to 20; NaN where it is wider."""
    grid = side * np.linspace(-np.log(20), np.log(20), 81)
    path = np.full(counts.events.shape, np.nan)
    for null in grid:
        crossed = np.maximum.accumulate(log_e(counts, null, prior, side)) >= -np.log(level)
        if not crossed.any():
            break
        path = np.where(crossed, np.exp(null), path)
    return path


def mantel_haenszel(counts: Counts) -> np.ndarray:
    """Ratio of the rates after each block, comparing within blocks only; NaN where unknown.

    Mantel and Haenszel's estimator for person-time (Rothman, Greenland and Lash, "Modern
    Epidemiology" (2008), chapter 15), here with requests for time.
    """
    seen = np.maximum(counts.canary_seen + counts.champion_seen, 1)
    ours = np.cumsum(counts.canary_events * counts.champion_seen / seen, axis=-1)
    theirs = np.cumsum(counts.champion_events * counts.canary_seen / seen, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ours / theirs


def alarmed(harm: np.ndarray, estimates: np.ndarray, tolerated: float, alpha: float) -> np.ndarray:
    """After which blocks a canary is worse beyond chance, and by more than is tolerated.

    The first holds for an equal canary at any look with probability alpha at most, so both do. The
    test is against equality because against the tolerated ratio itself it would come late: to tell
    a doubled rate of 1 % from a 1.5-fold one, even a test at one fixed look and with the
    champion's rate known finds but two thirds in 5,000 requests.
    """
    return (np.maximum.accumulate(harm, axis=-1) >= -np.log(alpha)) & (estimates > tolerated)


def log_e_rate(events, seen, null: float, side: int) -> np.ndarray:
    """Log of the beta-mixture e-process of one rate, uniform on the far side of ``null``.

    ``E = int q^k (1-q)^(n-k) dq / [width * null^k (1-null)^(n-k)]`` over (null, 1) for side 1,
    (0, null) for side -1 (Robbins, "Statistical methods related to the law of the iterated
    logarithm", Annals of Mathematical Statistics 41, 1970). In logs, for millions of events.

    Parameters
    ----------
    events, seen : array_like of shape (...)
        k of n.
    null : float
        The rate at the border of the null hypothesis: rate <= null for side 1, >= for side -1.
    """
    k, n = np.broadcast_arrays(np.asarray(events, float), np.asarray(seen, float))
    if side > 0:
        tail, width = betainc(n - k + 1, k + 1, 1 - null), 1 - null
    else:
        tail, width = betainc(k + 1, n - k + 1, null), null
    at_null = k * np.log(null) + (n - k) * np.log1p(-null)
    with np.errstate(divide="ignore"):
        exact = betaln(k + 1, n - k + 1) + np.log(tail) - np.log(width) - at_null
        # A tail below 1e-280 loses its digits: the peak lies deep in the null hypothesis, and the
        # integral is that of an exponential with the likelihood's slope at the border.
        slope = np.abs(k / null - (n - k) / (1 - null))
        far = -np.log(np.maximum(slope * width, 1.0))
    return np.where(tail > 1e-280, exact, far)
