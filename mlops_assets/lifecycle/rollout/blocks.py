"""Traffic cut into blocks: what the tests see, one look a block."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from mlops_assets.lifecycle.rollout.guardrails.eprocess import Counts

CHAMPION, CANARY = 0, 1
MIN_REQUESTS = 10  # of each side in a block
REQUESTS, ERRORS_SEEN, ERRORS, SLOW_SEEN, SLOW, VALUES, VALUE_SUM, VALUE_SQUARES = range(8)
BINS = 8  # the first of the columns that count answers by bin


@dataclass(frozen=True)
class Blocks:
    """Sums over blocks of one step each; arrays of shape (n_blocks,) or (n_bins, n_blocks)."""

    ends: list[datetime]
    errors: Counts
    slow: Counts
    canary_bins: np.ndarray
    champion_bins: np.ndarray


@dataclass(frozen=True)
class KpiLooks:
    """Difference of mean values, canary less champion, after each slice; shape (n_looks,).

    ``information`` is one over the variance of ``difference``.
    """

    ends: list[datetime]
    difference: np.ndarray
    information: np.ndarray
    champion_mean: np.ndarray
    canary_units: int
    champion_units: int


def cut(steps: np.ndarray, ends: list[datetime], sums: np.ndarray) -> Blocks:
    """Join slices until both sides have enough requests; what is left over waits.

    Whether a block ends depends on what was asked, never on how it was answered, and a block that
    has ended never changes: that keeps the product over blocks an e-process.

    Parameters
    ----------
    steps : ndarray of shape (n_slices,)
        The step of each slice: a block never spans two.
    ends : list of datetime
    sums : ndarray of shape (n_slices, n_columns, 2)
    """
    closed, last, open_sum, step = [], [], np.zeros(sums.shape[1:]), None
    for i in range(len(steps)):
        if steps[i] != step:
            open_sum, step = np.zeros(sums.shape[1:]), steps[i]
        open_sum = open_sum + sums[i]
        if open_sum[REQUESTS].min() >= MIN_REQUESTS:
            closed.append(open_sum)
            last.append(ends[i])
            open_sum = np.zeros(sums.shape[1:])
    blocks = np.array(closed).reshape(len(closed), *sums.shape[1:])
    return Blocks(
        ends=last,
        errors=_counts(blocks, ERRORS, ERRORS_SEEN),
        slow=_counts(blocks, SLOW, SLOW_SEEN),
        canary_bins=blocks[:, BINS:, CANARY].T,
        champion_bins=blocks[:, BINS:, CHAMPION].T,
    )


def _counts(blocks: np.ndarray, events: int, seen: int) -> Counts:
    return Counts(
        canary_events=blocks[:, events, CANARY],
        canary_seen=blocks[:, seen, CANARY],
        champion_events=blocks[:, events, CHAMPION],
        champion_seen=blocks[:, seen, CHAMPION],
    )


def kpi_looks(
    steps: np.ndarray, ends: list[datetime], sums: np.ndarray, shift: float, min_units: int
) -> KpiLooks:
    """The difference of means within steps, weighted by its precision, after each slice.

    Parameters
    ----------
    steps, ends, sums
        As for `cut`.
    shift : float
        What was subtracted from every value, so that its squares keep their digits.
    min_units : int
        A step counts from when it has as many on both sides.
    """
    motion = information = champion_sum = 0.0
    units = np.zeros(2)
    looks, rows = [], []
    for step in np.unique(steps):
        within = np.flatnonzero(steps == step)
        n, total, squares = np.cumsum(sums[within, VALUES : VALUE_SQUARES + 1], axis=0).transpose(
            1, 0, 2
        )
        ready = np.flatnonzero((n.min(axis=1) >= min_units) & (sums[within, VALUES].sum(1) > 0))
        if not len(ready):
            continue
        n, total, squares = n[ready], total[ready], squares[ready]
        mean = total / n
        variance = np.maximum(squares - total * mean, 0) / (n - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = 1 / (variance / n).sum(axis=1)
            moved = motion + (mean[:, CANARY] - mean[:, CHAMPION]) * precision
            known = information + precision
            earned = champion_sum + total[:, CHAMPION]
            champion = shift + earned / (units[CHAMPION] + n[:, CHAMPION])
            rows.append(np.stack([moved / known, known, champion]))
        looks += [ends[within[i]] for i in ready]
        motion, information, champion_sum = moved[-1], known[-1], earned[-1]
        units = units + n[-1]
    table = np.concatenate(rows, axis=1) if rows else np.empty((3, 0))
    difference, known, champion = table
    canary_units, champion_units = int(units[CANARY]), int(units[CHAMPION])
    return KpiLooks(looks, difference, known, champion, canary_units, champion_units)
