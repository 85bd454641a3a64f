"""What a paired test is asked and what it answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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


def too_few(units: int, alpha: float) -> bool:
    """Whether no test could decide at level ``alpha``, however clear the few units look.

    That all of n units point one way happens by chance with probability ``2**-n``.
    """
    return 0.5**units > alpha


class PairedTest(ABC):
    """A test of ``metric(challenger) - metric(rival)``, signed so that positive is better."""

    name: ClassVar[str]
    rows_only: ClassVar[bool]

    @abstractmethod
    def gain(self, metric: "Metric", paired: Paired, alpha: float) -> Interval:
        """Estimate the gain with bounds, and the one-sided p-value of "no gain"."""

    @abstractmethod
    def level(
        self, metric: "Metric", truth, predicted, units, alpha: float, weights=None
    ) -> Interval:
        """Estimate one model's metric with bounds (not signed); weights are ones if not given."""
