"""Whether probabilities are what they say: a test that holds for answers nobody fitted on these."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.gate.base import numbered

if TYPE_CHECKING:
    import numpy as np

GROUPS = 10
LEAST_EXPECTED = 5.0  # events, and their absence, in a group: below, chi-square does not hold
LEAST_ROWS = 200
UNITS_A_GROUP = 50


@dataclass(frozen=True)
class Reliability:
    """Observed against expected over groups of rows of similar probability.

    Parameters
    ----------
    rows, groups : int
    error : float
        Expected calibration error over the groups.
    p_value : float
    """

    rows: int
    groups: int
    error: float
    p_value: float


def reliability(truth, probability, units, weights) -> Reliability | None:
    """Test that events happen as often as was said, in each of up to ten groups of rows.

    Hosmer and Lemeshow, "Goodness of fit tests for the multiple logistic regression model",
    Communications in Statistics A9, 1980, on rows that the probabilities were not fitted to, so
    that each group is a degree of freedom (Hosmer, Lemeshow and Sturdivant, "Applied Logistic
    Regression", 2013, section 5.2.2). Where rows share a unit, Hotelling's T-squared on the units'
    sums takes the place of the binomial variance.

    Parameters
    ----------
    truth : ndarray of {0, 1} or bool, shape (n_rows,)
    probability : ndarray of float, shape (n_rows,)
    units, weights : ndarray of shape (n_rows,)

    Returns
    -------
    Reliability or None
        None below 200 rows, or where not even one group can have 5 events and 5 others.
    """
    import numpy as np
    from scipy import stats

    truth, weights = np.asarray(truth, float), np.asarray(weights, float)
    cluster, count = numbered(units)
    most = GROUPS if count == len(truth) else min(GROUPS, count // UNITS_A_GROUP)
    group = _groups(probability, most) if len(truth) >= LEAST_ROWS and most > 0 else None
    if group is None:
        return None
    groups = int(group.max()) + 1
    member = group[:, None] == np.arange(groups)
    off = member * (weights * (truth - probability))[:, None]
    total = off.sum(axis=0)
    if count == len(truth):
        variance = member.T @ (weights**2 * probability * (1 - probability))
        p_value = float(stats.chi2.sf((total**2 / variance).sum(), groups))
    else:
        by_unit = np.column_stack([np.bincount(cluster, part, count) for part in off.T])
        mean, spread = by_unit.mean(axis=0), np.atleast_2d(np.cov(by_unit.T))
        squared = count * float(mean @ np.linalg.pinv(spread) @ mean)
        scale = (count - groups) / (groups * (count - 1))
        p_value = float(stats.f.sf(scale * squared, groups, count - groups))
    return Reliability(
        rows=len(truth),
        groups=groups,
        error=float(abs(total).sum() / weights.sum()),
        p_value=p_value,
    )


def _groups(probability: "np.ndarray", most: int) -> "np.ndarray | None":
    """The group of each row: neighbours, of one size where enough is expected in each."""
    import numpy as np

    edges = np.unique(np.quantile(probability, np.arange(1, most) / most))
    fine = np.searchsorted(edges, probability, side="right")
    expected = np.bincount(fine, probability, len(edges) + 1)
    others = np.bincount(fine, 1 - probability, len(edges) + 1)
    joined, number, events, rest = np.zeros(len(expected), int), 0, 0.0, 0.0
    for place in range(len(expected)):
        joined[place] = number
        events, rest = events + expected[place], rest + others[place]
        if min(events, rest) >= LEAST_EXPECTED:
            number, events, rest = number + 1, 0.0, 0.0
    if number == 0:
        return None
    # What is left over at the end goes to the last group that is full.
    return np.minimum(joined, number - 1)[fine]
