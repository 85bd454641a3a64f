"""Rollouts in simulation: false rollbacks, and how soon a worse canary is found.

Requests fail independently; each rollout is looked at 100 times. Peers decide on the same counts:

- fixed threshold: the canary's error rate of the last minute is above 1.5 % (what a metrics alarm
  on a service with 1 % of errors does);
- z-test: one-sided two-proportion z-test at 1 % on the counts so far, at each look;
- beta mixture: the e-process that is uniform above the canary's share of the events, against
  equality.

Ours spends half of the budget on errors where it is asked to find them, as it does when latency is
a guardrail too; the peers spend all of it. At 50 % the champion's rate is known no better than the
canary's: fewer rollouts can be decided in 5,000 requests, and the figure is reported as it is,
beside what half of the budget could find at best: a likelihood ratio against the true ratio, which
nobody knows beforehand, and an exact test that looks once, at the end.

Run: python benchmarks/canary.py
"""

import numpy as np
from common import Line, report
from scipy.stats import binom, norm

from mlops_assets.lifecycle.rollout.guardrails.confidence_sequence import log_e_normal, margin
from mlops_assets.lifecycle.rollout.guardrails.eprocess import (
    Counts,
    Prior,
    alarmed,
    log_e,
    log_e_rate,
    mantel_haenszel,
    prior_around,
    prior_beyond,
)

RUNS, LOOKS = 1000, 100
RATE, TOLERATED, ALPHA, BETA = 0.01, 1.5, 0.01, 0.05
CANARY = 5000
LONG = 18_000  # canary requests of half an hour at 10 % of 100 requests a second


def rollouts(rng, ratio: float, share: float, canary: int, rate: float = RATE) -> Counts:
    """Counts of shape (RUNS, LOOKS)."""
    ours = canary // LOOKS
    theirs = int(ours * (1 - share) / share)
    size = (RUNS, LOOKS)
    return Counts(
        rng.binomial(ours, min(rate * ratio, 1.0), size),
        np.full(size, ours),
        rng.binomial(theirs, rate, size),
        np.full(size, theirs),
    )


def ours(found: Counts, alpha: float = ALPHA) -> np.ndarray:
    """At which looks the guardrail rolls back, of shape (RUNS, LOOKS)."""
    harm = log_e(found, 0.0, prior_beyond(TOLERATED), 1)
    return alarmed(harm, mantel_haenszel(found), TOLERATED, alpha)


def fixed_threshold(found: Counts) -> np.ndarray:
    """The latest look's rate against a constant."""
    return found.canary_events > TOLERATED * RATE * found.canary_seen


def z_test(found: Counts) -> np.ndarray:
    """The textbook test, repeated."""
    k, a, j, b = (np.cumsum(v, axis=1) for v in vars(found).values())
    pooled = (k + j) / (a + b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / a + 1 / b))
    return (k / a - j / b > norm.ppf(1 - ALPHA) * error) & (k + j > 0)


def beta_mixture(found: Counts) -> np.ndarray:
    """Uniform on (share, 1), of the canary's part of the events."""
    share = found.canary_seen[0, 0] / (found.canary_seen + found.champion_seen)[0, 0]
    canary, both = np.cumsum(found.canary_events, axis=1), np.cumsum(found.events, axis=1)
    return log_e_rate(canary, both, share, 1) >= -np.log(ALPHA)


PEERS = {"fixed threshold": fixed_threshold, "z-test": z_test, "beta mixture": beta_mixture}


def known_ratio(found: Counts) -> np.ndarray:
    """The likelihood ratio against a doubled rate, with half of the budget."""
    harm = log_e(found, 0.0, Prior(np.log([2.0]), np.zeros(1)), 1)
    return alarmed(harm, mantel_haenszel(found), TOLERATED, ALPHA / 2)


def one_look(found: Counts) -> np.ndarray:
    """The exact conditional test at the end alone, with half of the budget; shape (RUNS, 1)."""
    share = found.canary_seen[0, 0] / (found.canary_seen + found.champion_seen)[0, 0]
    events, both = found.canary_events.sum(axis=1), found.events.sum(axis=1)
    return (binom.sf(events - 1, both, share) <= ALPHA / 2)[:, None]


def ever(alarms: np.ndarray) -> float:
    """Share of the rollouts that were rolled back."""
    return float(alarms.any(axis=1).mean())


def soon(alarms: np.ndarray, canary: int) -> float:
    """Median of the canary requests until the rollback; endless where there is none."""
    when = np.where(alarms.any(axis=1), (alarms.argmax(axis=1) + 1) * (canary // LOOKS), np.inf)
    return float(np.median(when))


def error_lines(rng) -> list[Line]:
    """False rollbacks and power, against each peer."""
    lines = []
    for share in (0.05, 0.1, 0.25, 0.5):
        equal = rollouts(rng, 1, share, LONG)
        false = ever(ours(equal))
        for name, peer in PEERS.items():
            lines.append(
                _line(f"false rollbacks, equal canary, {share:.0%}", false, name, ever(peer(equal)))
            )
    for share in (0.05, 0.1, 0.25, 0.5):
        doubled = rollouts(rng, 2, share, CANARY)
        found = ours(doubled, ALPHA / 2)  # as errors and latency share it
        what = f"1 % -> 2 % found in 5,000 canary requests, {share:.0%}"
        goal = ">= 0.9" if share < 0.5 else "reported"
        holds = ever(found) >= 0.9 or share == 0.5
        for name in ("z-test", "beta mixture"):
            other = ever(PEERS[name](doubled))
            lines.append(Line(what, ever(found), name, other, ever(found) / other, goal, holds))
        for name, best in (("known ratio", known_ratio), ("one look", one_look)):
            other = ever(best(doubled))
            lines.append(Line(what, ever(found), name, other, ever(found) / other, goal, holds))
        peer = soon(beta_mixture(doubled), CANARY)
        what = f"median canary requests until then, {share:.0%}"
        mine = soon(found, CANARY)
        lines.append(Line(what, mine, "beta mixture", peer, mine / peer, "reported", True))
    return lines


def _line(what: str, value: float, peer: str, other: float) -> Line:
    return Line(what, value, peer, other, value / other if other else 1.0, "<= 0.01", value <= 0.01)


def other_lines(rng) -> list[Line]:
    """The rest of a rollout's promises."""
    prior = prior_around(TOLERATED)
    lines = []
    both = [ours(rollouts(rng, 1, 0.1, LONG, rate), ALPHA / 2).any(axis=1) for rate in (0.01, 0.05)]
    false = float((both[0] | both[1]).mean())
    lines.append(_line("false rollbacks, errors and latency together", false, "alpha", ALPHA))
    bad = log_e(rollouts(rng, TOLERATED, 0.1, LONG), np.log(TOLERATED), prior, -1)
    passed = ever(bad >= -np.log(BETA))
    limit = binom.ppf(0.99, RUNS, BETA) / RUNS
    lines.append(
        Line("passed, canary at the tolerated 1.5", passed, "beta", BETA, passed / BETA,
             "<= 0.05", bool(passed <= limit))
    )  # fmt: skip
    good = log_e(rollouts(rng, 1, 0.1, LONG), np.log(TOLERATED), prior, -1) >= -np.log(BETA)
    lines.append(
        Line("passed, equal canary, of 18,000 requests", ever(good), "all", 1.0, ever(good),
             ">= 0.9", ever(good) >= 0.9)
    )  # fmt: skip
    outage = ours(rollouts(rng, 100, 0.05, CANARY))
    first = soon(outage, CANARY)
    lines.append(
        Line("canary requests until an outage is found", first, "one look", CANARY / LOOKS,
             first * LOOKS / CANARY, "<= 1 look", first <= CANARY / LOOKS)
    )  # fmt: skip
    return [*lines, *kpi_lines(rng)]


def kpi_lines(rng) -> list[Line]:
    """A skewed value (exponential), 60 units a look on each side."""
    values = rng.exponential(10, (2, RUNS, LOOKS, 60))
    n = 60 * np.arange(1, LOOKS + 1)
    mean = np.cumsum(values.sum(-1), axis=-1) / n
    variance = np.cumsum((values**2).sum(-1), axis=-1) / n - mean**2
    information = 1 / (variance / n).sum(axis=0)
    difference = mean[1] - mean[0]
    scale = 0.05 * 10
    wrong = np.abs(difference) > margin(information, 0.025, scale)
    z = difference * np.sqrt(information)
    outside, naive = ever(wrong), ever(np.abs(z) > norm.ppf(0.975))
    harm = ever(log_e_normal(-difference * information, information, scale) >= -np.log(ALPHA))
    return [
        Line("kpi: true difference ever outside of 95 %", outside, "95 % interval", naive,
             outside / naive, "<= 0.05", bool(outside <= binom.ppf(0.99, RUNS, 0.05) / RUNS)),
        _line("kpi: false rollbacks, equal canary", harm, "z-test", ever(-z > norm.ppf(1 - ALPHA))),
    ]  # fmt: skip


if __name__ == "__main__":
    generator = np.random.default_rng(20261124)
    report([*error_lines(generator), *other_lines(generator)])
