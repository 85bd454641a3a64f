"""Verdicts from profiles against the same statistics on all rows, by scipy."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
from common import Line
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from drift.data import CATEGORICAL, NUMERIC, Shift, rows
from mlops_assets.lifecycle.drift.judge import judge
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.report import ColumnDrift
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.spec import DriftPolicy

REFERENCE_ROWS = 20_000
BAND = 0.05
# The platform compares the hundred most frequent categories, and the rest as one.
CATEGORIES, FEWEST = 100, 10
SIZES = (500, 5_000, 50_000)
EFFECTS = (0.0, 0.03, 0.06, 0.09, 0.12, 0.16, 0.2, 0.3, 0.5)
KINDS = ("mean", "spread", "mean of nine tenths", "mixed")


def lines_of(quick: bool) -> list[Line]:
    """The share of column-windows, outside a band around the threshold, with the same verdict."""
    rng = np.random.default_rng(3)
    before = rows(rng, REFERENCE_ROWS)
    profile = Profile.of(before)
    asked = (SIZES[:2], EFFECTS[::3], KINDS) if quick else (SIZES, EFFECTS, KINDS)
    lines = []
    for numeric in ("wasserstein", "ks"):
        policy = DriftPolicy(methods={"numeric": numeric})
        same, near = Counter(), 0
        for size, effect, kind in product(*asked):
            live = rows(rng, size, _shift(kind, effect))
            if kind == "mean of nine tenths":
                live.iloc[: size // 10] = rows(rng, size // 10).to_numpy()
                live = live.astype(dict.fromkeys(NUMERIC, float))
            for column in judge(policy, profile, scan(live, profile), seed=1):
                full = exact(column, before[column.column], live[column.column])
                if abs(full / column.threshold - 1) <= BAND:
                    near += 1
                else:
                    same[(full > column.threshold) == (column.verdict == "drifted")] += 1
        judged = same.total()
        print(f"{numeric}: {judged} column-windows judged, {near} within the band left out")
        share = same[True] / judged
        what = f"same verdict, {numeric} and jensen_shannon, of {judged:,} column-windows"
        lines.append(Line(what, share, "scipy on all rows", 1.0, share, ">= 0.99", share >= 0.99))
    return lines


def exact(column: ColumnDrift, reference: pd.Series, live: pd.Series) -> float:
    """The statistic that a column was judged by, on its rows."""
    if column.statistic == "wasserstein":
        return wasserstein_distance(reference, live) / reference.std(ddof=0)
    if column.statistic == "ks":
        return float(ks_2samp(reference, live, method="asymp").statistic)
    counts = reference.value_counts()
    kept = counts[counts >= FEWEST].index[:CATEGORIES]
    shares = [
        side.value_counts(normalize=True).reindex(kept).fillna(0) for side in (reference, live)
    ]
    return float(jensenshannon(*([*share, max(1 - share.sum(), 0)] for share in shares)))


def _shift(kind: str, effect: float) -> Shift:
    """All columns move, each by a share of the effect of its own."""
    numbers = {name: effect * (1 + i / 16) for i, name in enumerate(NUMERIC)}
    if kind == "spread":
        return Shift(spreads={name: 1 + by for name, by in numbers.items()})
    if kind == "mixed":
        return Shift(mixed=dict.fromkeys(CATEGORICAL, effect))
    return Shift(means=numbers)
