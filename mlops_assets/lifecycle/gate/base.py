"""What a paired test is asked and what it answers."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.metrics import Metric


@dataclass(frozen=True)
class Paired:
    """Two models' predictions for the same rows.

    Parameters
    ----------
    truth, challenger, rival : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    units : ndarray of shape (n_rows,)
        Rows of one unit are dependent and are resampled, or summed, together.
    weights : ndarray of shape (n_rows,), optional
        What a row counts for; ones where not given.
    """

    truth: "np.ndarray"
    challenger: "np.ndarray"
    rival: "np.ndarray"
    units: "np.ndarray"
    weights: "np.ndarray" = None  # type: ignore[assignment]

    def __post_init__(self):
        import numpy as np

        if self.weights is None:
            object.__setattr__(self, "weights", np.ones(len(self.truth)))


@dataclass(frozen=True)
class Interval:
    """An estimate with one-sided confidence bounds at level ``1 - alpha`` each.

    ``spread`` is the standard deviation of one unit's contribution: the standard error is
    ``spread / sqrt(units)``.
    """

    estimate: float
    low: float
    high: float
    spread: float
    units: int
    p_value: float

    @classmethod
    def unknown(cls, estimate: float, units: int) -> "Interval":
        """An estimate that nothing can be said about."""
        return cls(estimate, -math.inf, math.inf, math.inf, units, 1.0)


def too_few(units: int, alpha: float) -> bool:
    """Whether no test could decide at level ``alpha``, however clear the few units look.

    That all of n units point one way happens by chance with probability ``2**-n``.
    """
    return 0.5**units > alpha


def numbered(units: "np.ndarray") -> "tuple[np.ndarray, int]":
    """Units as whole numbers from 0, shape (n_rows,), and how many there are."""
    import pandas as pd

    cluster, names = pd.factorize(units, use_na_sentinel=False)
    return cluster, len(names)


def student(estimate: float, error: float, units: int, freedom: int, alpha: float) -> Interval:
    """The interval of an estimate with a standard error, by Student's t."""
    from scipy import stats

    reach = float(stats.t.ppf(1 - alpha, freedom)) * error
    p_value = 0.0 if estimate > 0 else 1.0
    if error > 0:
        p_value = float(stats.t.sf(estimate / error, freedom))
    spread = error * math.sqrt(units)
    return Interval(estimate, estimate - reach, estimate + reach, spread, units, p_value)


class PairedTest(ABC):
    """A test of ``metric(challenger) - metric(rival)``, signed so that positive is better."""

    name: ClassVar[str]

    @abstractmethod
    def supports(self, metric: "Metric") -> str | None:
        """Why a metric can't be tested so, and what to use instead; None where it can."""

    @abstractmethod
    def gain(self, metric: "Metric", paired: Paired, alpha: float) -> Interval:
        """Estimate the gain with bounds, and the one-sided p-value of "no gain"."""


class LevelTest(PairedTest):
    """A paired test that gives one model's metric bounds as well."""

    @abstractmethod
    def level(
        self, metric: "Metric", truth, predicted, units, alpha: float, weights=None
    ) -> Interval:
        """Estimate one model's metric with bounds (not signed); weights are ones if not given."""


def only_rows(metric: "Metric") -> str | None:
    """Why a test of means over rows does not fit a metric."""
    from mlops_assets.lifecycle.metrics import RowMetric

    if isinstance(metric, RowMetric):
        return None
    return f"compares means over rows, and {metric.name} is none: use test: cluster_bootstrap"


def unit_gains(metric, paired: Paired) -> "tuple[np.ndarray, np.ndarray]":
    """Each unit's gain, summed over its weighted rows, and its weight; both shape (n_units,)."""
    import numpy as np

    gain = metric.rows(paired.truth, paired.challenger) - metric.rows(paired.truth, paired.rival)
    cluster, count = numbered(paired.units)
    sums = np.bincount(cluster, metric.sign * gain * paired.weights, count)
    return sums, np.bincount(cluster, paired.weights, count)


def refuse_clusters(test: str, paired: Paired, use: str) -> None:
    """Raise where rows share a unit, or count for different amounts.

    Raises
    ------
    EvidenceError
        Saying which test to use instead.
    """
    units = len(set(paired.units))
    if units < len(paired.truth):
        raise EvidenceError(
            f"gate.test: {test} takes rows for independent, and {len(paired.truth)} rows are of "
            f"{units} units: use test: {use}"
        )
    if (paired.weights != paired.weights[0]).any():
        raise EvidenceError(f"gate.test: {test} knows no weights: use test: {use}")
