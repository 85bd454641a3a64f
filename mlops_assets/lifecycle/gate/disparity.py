"""Differences between groups in how often they get a yes, as fairlearn defines them.

fairlearn gives the figure (Hardt, Price and Srebro, "Equality of Opportunity in Supervised
Learning", NeurIPS 2016; Bird et al., "Fairlearn", 2020). Its interval needs thousands of draws, for
which the same figure is computed here from counts; a test holds the two against each other.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SELECTED, TRUE_POSITIVE, FALSE_POSITIVE = (
    "selection rate",
    "true positive rate",
    "false positive rate",
)


@dataclass(frozen=True)
class Disparity:
    """The widest gap between groups in one or more rates: a difference, or a ratio."""

    rates: tuple[str, ...]
    ratio: bool = False

    def of(self, sums: "np.ndarray") -> "np.ndarray":
        """The disparity of each draw.

        Parameters
        ----------
        sums : ndarray of shape (n_draws, n_groups, 5)
            The columns of :func:`counted`, summed.
        """
        import numpy as np

        gaps = [self._gap(rate) for rate in rates_of(sums, self.rates)]
        return np.min(gaps, axis=0) if self.ratio else np.max(gaps, axis=0)

    def _gap(self, rate):
        least, most = rate.min(axis=1), rate.max(axis=1)
        return least / most if self.ratio else most - least


DISPARITIES = {
    "demographic_parity_difference": Disparity((SELECTED,)),
    "demographic_parity_ratio": Disparity((SELECTED,), ratio=True),
    "equal_opportunity_difference": Disparity((TRUE_POSITIVE,)),
    "equal_opportunity_ratio": Disparity((TRUE_POSITIVE,), ratio=True),
    "equalized_odds_difference": Disparity((TRUE_POSITIVE, FALSE_POSITIVE)),
    "equalized_odds_ratio": Disparity((TRUE_POSITIVE, FALSE_POSITIVE), ratio=True),
}


def counted(truth, said) -> "np.ndarray":
    """What is summed of each row, shape (n_rows, 5).

    Rows, yes, positives, yes among the positives, yes among the negatives.
    """
    import numpy as np

    truth, said = np.asarray(truth, float), np.asarray(said, float)
    return np.column_stack([np.ones(len(truth)), said, truth, said * truth, said * (1 - truth)])


def rates_of(sums: "np.ndarray", names: tuple[str, ...]) -> list["np.ndarray"]:
    """The named rates, each of shape (n_draws, n_groups); NaN where there is nobody to rate."""
    rows, yes, positives, hits, false = (sums[..., i] for i in range(5))
    found = {
        SELECTED: lambda: yes / rows,
        TRUE_POSITIVE: lambda: hits / positives,
        FALSE_POSITIVE: lambda: false / (rows - positives),
    }
    return [found[name]() for name in names]
