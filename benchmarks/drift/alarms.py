"""False alarms on stationary rows, and what is found of true shifts at the same rate of them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from common import Line
from scipy.stats import binomtest

from drift.data import CATEGORICAL, NONE, Shift, rows
from drift.peers import ALIBI, EVIDENTLY, NANNYML, PEERS, WHYLOGS, Peers
from mlops_assets.lifecycle.drift.judge import judge
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.spec import DriftPolicy

DECLARED = 0.01
# As many as the platform keeps of a hold-out.
REFERENCE_ROWS = 20_000
# A share of windows above the declared one that chance alone explains once in a hundred times.
CHANCE = 0.01
SHIFTS = {
    ".2 sd in 4 columns": Shift(dict.fromkeys(("n0", "n1", "n2", "n3"), 0.2)),
    ".3 sd in 4 columns": Shift(dict.fromkeys(("n0", "n1", "n2", "n3"), 0.3)),
    "3 of 10 rows in other categories": Shift(mixed={"c0": 0.3, "c1": 0.3}),
}


@dataclass(frozen=True)
class Plan:
    """Windows by their size: ours without drift, ours with each shift, and Evidently's."""

    ours: dict[int, int]
    shifted: dict[int, int]
    evidently: dict[int, int]
    others: dict[int, int]


WHOLE = Plan(
    {500: 1000, 5_000: 500, 50_000: 150},
    {500: 60, 5_000: 60, 50_000: 20},
    {500: 100, 5_000: 100, 50_000: 30},
    {500: 60},
)
QUICK = Plan({500: 150, 5_000: 50}, {500: 20}, {500: 40}, {500: 20})
# Each reference is asked about so many windows: with a single one, its own chance would be told.
A_REFERENCE = 25


def lines_of(peers: Peers, folder: Path, plan: Plan) -> list[Line]:
    """Ours at the declared rate; beside it the peers' defaults, and Evidently calibrated."""
    lines = []
    for size, windows in plan.ours.items():
        flagged = sum(
            _ours(seed, size, A_REFERENCE, NONE) for seed in range(windows // A_REFERENCE)
        )
        share = flagged / windows
        likely = bool(binomtest(flagged, windows, DECLARED, alternative="greater").pvalue > CHANCE)
        what = f"false reports, windows of {size:,} ({windows} windows)"
        lines.append(
            Line(what, share, "declared", DECLARED, share / DECLARED, "<= 0.01 + chance", likely)
        )
        for name in (NANNYML, ALIBI, WHYLOGS):
            if peers.has(name) and size in plan.others:
                found = _asked(peers, name, folder, size, plan.others[size], NONE, seed=50)
                theirs = float(np.mean([any(flag for _, flag in w.values()) for w in found]))
                lines.append(Line(what, share, f"{name}'s defaults", theirs, _over(share, theirs),
                                  "none", True))  # fmt: skip
        if size not in plan.evidently:
            continue
        if peers.has(EVIDENTLY):
            lines += _evidently_lines(peers, folder, plan, size, share)
        else:
            lines.append(Line(f"found, windows of {size:,}", math.nan, "Evidently, calibrated",
                              math.nan, math.nan, "not installed", False))  # fmt: skip
    return lines


def _ours(seed: int, size: int, windows: int, shift: Shift) -> int:
    """How many windows of a size are reported, against a reference of their own."""
    rng = np.random.default_rng([seed, size])
    profile = Profile.of(rows(rng, REFERENCE_ROWS))
    policy = DriftPolicy(false_alarms=DECLARED)
    found = 0
    for number in range(windows):
        live = scan(rows(rng, size, shift), profile)
        columns = judge(policy, profile, live, seed=number)
        found += any(column.verdict == "drifted" for column in columns)
    return found


def _evidently_lines(peers: Peers, folder: Path, plan: Plan, size: int, share: float) -> list[Line]:
    windows = plan.evidently[size]
    null = _asked(peers, EVIDENTLY, folder, size, windows, NONE, seed=50)
    flags = np.array([[flag for _, flag in w.values()] for w in null])
    what = f"false reports, windows of {size:,}"
    lines = [
        Line(what, share, "Evidently, any column", *_pair(share, flags.any(axis=1)), "none", True),
        Line(what, share, "Evidently, half of them", *_pair(share, flags.mean(axis=1) >= 0.5),
             "none", True),
    ]  # fmt: skip
    rule = Calibrated.on(null)
    for name, shift in SHIFTS.items():
        count = plan.shifted[size]
        ours = _ours(99, size, count, shift) / count
        found = _asked(peers, EVIDENTLY, folder, size, count, shift, seed=60)
        theirs = rule.power(found)
        what = f"found: {name}, windows of {size:,}"
        # Both are shares of a few windows.
        slack = 2 * math.sqrt(max(theirs * (1 - theirs), 0.01) / count)
        lines.append(Line(what, ours, "Evidently, calibrated", theirs, _over(ours, theirs),
                          ">= theirs - chance", ours >= theirs - slack))  # fmt: skip
    return lines


def _pair(share: float, theirs: np.ndarray) -> tuple[float, float]:
    rate = float(theirs.mean())
    return rate, _over(share, rate)


def _over(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else float("nan")


@dataclass(frozen=True)
class Calibrated:
    """Evidently's defaults with the one number changed that its false alarms depend on.

    Either all columns' thresholds are multiplied by a factor, or so many columns must drift: both
    set on stationary windows to the declared rate, and whichever finds more is told.

    Parameters
    ----------
    factor : float
    count : int
    """

    factor: float
    count: int

    @classmethod
    def on(cls, null: list[dict]) -> "Calibrated":
        """Set on windows without drift."""
        largest = [_largest(window) for window in null]
        counts = [_count(window) for window in null]
        factor = float(np.quantile(largest, 1 - DECLARED, method="higher"))
        return cls(factor, int(np.quantile(counts, 1 - DECLARED, method="higher")))

    def power(self, windows: list[dict]) -> float:
        """The share of windows that the better of both rules reports."""
        by_factor = np.mean([_largest(window) > self.factor for window in windows])
        by_count = np.mean([_count(window) > self.count for window in windows])
        return float(max(by_factor, by_count))


def _largest(window: dict) -> float:
    # With references of more than a thousand rows its defaults are distances with one threshold.
    return max(score for score, _ in window.values())


def _count(window: dict) -> int:
    return sum(flag for _, flag in window.values())


def _asked(
    peers: Peers, name: str, folder: Path, size: int, windows: int, shift: Shift, seed: int
) -> list[dict]:
    """A peer's verdicts on windows of a size."""
    rng = np.random.default_rng([seed, size])
    files = folder / "alarms.reference.parquet", folder / "alarms.live.parquet"
    live = pd.concat([rows(rng, size, shift) for _ in range(windows)])
    for file, frame in zip(files, (rows(rng, REFERENCE_ROWS), live), strict=True):
        frame.astype(dict.fromkeys(CATEGORICAL, object)).to_parquet(file, index=False)
    return peers.ask(PEERS[name][0], "windows", *files, size)
