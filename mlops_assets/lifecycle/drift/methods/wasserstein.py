"""How far numbers moved, in standard deviations."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.methods.base import DriftMethod

if TYPE_CHECKING:
    import numpy as np

# Of its size: what floats of one number may differ by, whatever the order of a sum.
ROUNDING = 1e-12
# What stands in for the deviation of a constant; of its size where that is below one.
LEAST_SPREAD = 0.001


class Wasserstein(DriftMethod):
    """First Wasserstein distance over the reference's standard deviation.

    The area between both distribution functions (Vallender, "Calculation of the Wasserstein
    distance between probability distributions on the line", Theory Probab. Appl. 18, 1974).
    Between edges the numbers of a bin are taken to be at the reference's mean of it; beyond the
    first and last edge the areas are exact as long as the functions don't cross there. The unit of
    a column does not matter: a rate of one in a hundred thousand that doubles has moved as far as
    an amount of a million that does.
    """

    name = "wasserstein"
    of_numbers_only = True

    def distance(self, reference, live, pair):
        import numpy as np

        gap = np.cumsum(live.shares - reference.shares, axis=1)[:, :-1]
        body = np.abs(gap) @ np.diff(pair.places)
        ends = np.abs(live.low - reference.low) + np.abs(live.high - reference.high)
        return (body + ends) / _spread(reference.sd, float(np.abs(pair.places).max()))


def _spread(sd: "np.ndarray", size: float) -> "np.ndarray":
    """The standard deviation of each draw; something that is not 0 where numbers are constant."""
    import numpy as np

    constant = LEAST_SPREAD * (min(1.0, size) or 1.0)
    return np.where(sd > ROUNDING * size, sd, constant)
