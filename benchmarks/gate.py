"""The gate in simulation: false promotions, power, and the time of a million paired rows.

Pairs of equal models: how often each task's test calls the challenger better (at most alpha, within
the sampling error of the simulation); pairs whose true gain is three standard errors: how often it
finds so. Beside it what a script does that compares two numbers, and the same test with rows taken
for independent. Units have several rows that share half of their noise, unless said otherwise.

The million rows: the bootstrap over units against scipy.stats.bootstrap, which resamples the same
units with the same metric from scikit-learn, and draws the same ones, so that its bounds should be
ours. Scipy's time is that of a few resamples, multiplied; seconds are of the processor (one thread
on both sides), so that neighbours do not count.

Run: python benchmarks/gate.py
"""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Line, report
from scipy import stats
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from mlops_assets.lifecycle.gate import TESTS, Interval, Paired
from mlops_assets.lifecycle.gate.base import numbered
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets_tests.lifecycle import paired_worlds as worlds

RUNS, ALPHA, UNITS, WORSE = 2000, 0.05, 60, 0.6
LIMIT = stats.binom.ppf(0.99, RUNS, ALPHA) / RUNS
ROWS, CUSTOMERS, SCIPY_DRAWS = 1_000_000, 100_000, 20


@dataclass(frozen=True)
class Case:
    """A task with a metric, its test, and a world to simulate it in."""

    task: str
    metric: str
    test: str
    world: Callable[..., Paired]
    rows: int = 5

    @property
    def what(self) -> str:
        shape = "1 row a unit" if self.rows == 1 else f"{self.rows} rows a unit"
        return f"{self.metric}, {self.test}, {shape}"

    def gain(self, pair: Paired) -> Interval:
        return TESTS[self.test].gain(METRICS[self.metric], pair, ALPHA)


CASES = [
    Case("binary", "log_loss", "paired_t", worlds.classes),
    Case("binary", "roc_auc", "delong", worlds.classes),
    Case("binary", "average_precision", "cluster_bootstrap", worlds.classes),
    Case("binary", "accuracy", "mcnemar", worlds.classes, rows=1),
    Case("multiclass", "log_loss", "paired_t", worlds.several),
    Case("multiclass", "macro_f1", "cluster_bootstrap", worlds.several),
    Case("regression", "mean_absolute_error", "paired_t", worlds.numbers),
    Case("regression", "mean_squared_error", "wilcoxon", worlds.numbers),
    Case("count", "mean_poisson_deviance", "paired_t", worlds.counts),
    Case("count", "gini", "cluster_bootstrap", worlds.counts),
    Case("ranking", "ndcg_at_10", "paired_t", worlds.rankings, rows=2),
    Case("ranking", "ndcg_at_10", "sign_flip", worlds.rankings, rows=2),
]


def rows_alone(pair: Paired) -> Paired:
    """The pair with rows taken for units."""
    return Paired(pair.truth, pair.challenger, pair.rival, np.arange(len(pair.truth)), pair.weights)


def null_lines(rng: np.random.Generator, case: Case) -> list[Line]:
    """How often an equal challenger is called better."""
    pairs = [case.world(rng, UNITS, case.rows) for _ in range(RUNS)]
    found = [case.gain(pair) for pair in pairs]
    share = float(np.mean([f.low > 0 for f in found]))
    greater = float(np.mean([f.estimate > 0 for f in found]))
    lines = [_null(case, share, "greater number", greater)]
    if case.rows > 1:
        fooled = [case.gain(rows_alone(pair)).low > 0 for pair in pairs[:500]]
        lines.append(_null(case, share, "rows as units", float(np.mean(fooled))))
    return lines


def _null(case: Case, share: float, peer: str, other: float) -> Line:
    what = f"{case.task}: equal, better: {case.what}"
    holds = share <= LIMIT
    return Line(what, share, peer, other, share / other, f"<= {ALPHA} + sampling", holds)


def power_line(rng: np.random.Generator, case: Case) -> Line:
    """How often a true gain of three standard errors is found."""
    large = case.gain(case.world(rng, 20_000, case.rows, WORSE))
    each = large.units / 20_000
    units = math.ceil((3 * large.spread / large.estimate) ** 2 / each)
    runs = RUNS // 4
    found = [case.gain(case.world(rng, units, case.rows, WORSE)) for _ in range(runs)]
    share = float(np.mean([f.low > 0 for f in found]))
    z_test = float(stats.norm.cdf(3 - stats.norm.ppf(1 - ALPHA)))
    what = f"{case.task}: gain of 3 errors found: {case.what}"
    return Line(what, share, "z-test's power", z_test, share / z_test, ">= 0.8", share >= 0.8)


def fraud(rng: np.random.Generator, rows: int, customers: int) -> Paired:
    """Two fraud scores at 1 % fraud, on transactions of customers."""
    unit = rng.integers(0, customers, rows)
    truth = (rng.random(rows) < 0.01).astype(int)
    ours, theirs = (
        1 / (1 + np.exp(-(3 * truth - 4 + scale * rng.normal(size=rows)))) for scale in (1, 1.02)
    )
    return Paired(truth, ours, theirs, unit)


def by_scipy(pair: Paired, score: Callable, draws: int):
    """scipy.stats.bootstrap over units with our seed, and the processor seconds of a resample."""
    cluster, count = numbered(pair.units)
    order = np.argsort(cluster, kind="stable")
    ends = np.cumsum(np.bincount(cluster, minlength=count))[:-1]
    rows_of = np.array(np.split(order, ends), dtype=object)

    def statistic(picked):
        rows = np.concatenate(rows_of[picked])
        truth = pair.truth[rows]
        return score(truth, pair.challenger[rows]) - score(truth, pair.rival[rows])

    began = time.process_time()
    found = stats.bootstrap(
        (np.arange(count),),
        statistic,
        vectorized=False,
        method="percentile",
        n_resamples=draws,
        confidence_level=1 - 2 * ALPHA,
        rng=np.random.default_rng(0),
    )
    return found.confidence_interval, (time.process_time() - began) / draws


def log_loss(truth, scores) -> float:
    """As scikit-learn's, without its checks, which are most of its time."""
    return float(-np.log(np.where(truth, scores, 1 - scores)).mean())


PEERS = {"average_precision": average_precision_score, "log_loss": log_loss}


def speed_lines(rng: np.random.Generator) -> list[Line]:
    """A million paired rows: time and memory, and that scipy gives the same interval."""
    lines = []
    for metric, score in PEERS.items():
        test = TESTS["cluster_bootstrap"]
        sign = METRICS[metric].sign
        test.gain(METRICS[metric], fraud(rng, 5000, 500), ALPHA)  # compiled before the clock runs
        pair = fraud(rng, ROWS, CUSTOMERS)
        began, wall = time.process_time(), time.perf_counter()
        found = test.gain(METRICS[metric], pair, ALPHA)
        ours, wall = time.process_time() - began, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        _, each = by_scipy(pair, score, SCIPY_DRAWS)
        whole = each * 2000
        name = f"bootstrap of {metric}, 1M rows, 100k units"
        scipy = "scipy.stats.bootstrap"
        lines += [
            Line(f"{name}, CPU s", ours, scipy, whole, whole / ours, ">= 5x", whole >= 5 * ours),
            Line(f"{name}, CPU s", ours, "limit", 30, ours / 30, "< 30 s", ours < 30),
            Line(f"{name}, wall s", wall, "CPU s", ours, wall / ours, "reported", True),
            Line(f"{name}, peak GB", peak, "limit", 2, peak / 2, "< 2 GB", peak < 2),
        ]
        pair = fraud(rng, 20_000, 2_000)
        found = test.gain(METRICS[metric], pair, ALPHA)
        theirs, _ = by_scipy(pair, score, 2000)
        bounds = sorted(sign * b for b in theirs)
        width = bounds[1] - bounds[0]
        for side, mine, other in zip(("low", "high"), (found.low, found.high), bounds, strict=True):
            what = f"bootstrap of {metric}, 20k rows, {side} bound"
            equal = abs(mine - other) < 0.01 * width
            lines.append(Line(what, mine, scipy, other, mine / other, "1 % of the width", equal))
    return lines


def main() -> None:
    """All lines."""
    rng = np.random.default_rng(20261125)
    lines = speed_lines(rng)  # first, while the process is small
    for case in CASES:
        lines += [*null_lines(rng, case), power_line(rng, case)]
    report(lines)


if __name__ == "__main__":
    main()
