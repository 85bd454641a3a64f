"""Intervals of any figure, by resampling units."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.gate.cluster_bootstrap import ClusterBootstrap

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.metrics.base import Resampled


def over_units(statistic: "Resampled", count: int, alpha: float, cells: int = 0) -> Interval:
    """A figure with one-sided bounds at level ``1 - alpha`` each.

    Parameters
    ----------
    statistic : callable
        From how often each unit was drawn, shape (n_draws, count), to figures, shape (n_draws,).
    count : int
        Units.
    cells : int
        Numbers that one draw needs at a time, where they are more than ``count``.
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = float(statistic(np.ones((1, count), np.uint8))[0])
        rows = max(count, cells)
        return ClusterBootstrap().interval(estimate, statistic, rows, count, alpha)


def sums_over_units(parts: "np.ndarray", cluster: "np.ndarray", count: int) -> "Resampled":
    """Sums of rows' parts, shape (n_rows, n_parts), as a function of how often units are drawn."""
    import numpy as np

    by_unit = np.column_stack(
        [np.bincount(cluster, weights=part, minlength=count) for part in parts.T]
    )
    return lambda counts: counts @ by_unit
