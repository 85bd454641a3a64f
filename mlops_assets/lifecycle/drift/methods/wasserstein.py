"""How far numbers moved, in standard deviations."""

from mlops_assets.lifecycle.drift.methods.base import DriftMethod

# Evidently's floor of the standard deviation, so that both report the same distance.
LEAST_SPREAD = 0.001


class Wasserstein(DriftMethod):
    """First Wasserstein distance over the reference's standard deviation.

    The area between both distribution functions (Vallender, "Calculation of the Wasserstein
    distance between probability distributions on the line", Theory Probab. Appl. 18, 1974).
    Between edges the numbers of a bin are taken to be at the reference's mean of it; beyond the
    first and last edge the areas are exact as long as the functions don't cross there.
    """

    name = "wasserstein"
    of_numbers_only = True

    def distance(self, reference, live, pair):
        import numpy as np

        gap = np.cumsum(live.shares - reference.shares, axis=1)[:, :-1]
        body = np.abs(gap) @ np.diff(pair.places)
        ends = np.abs(live.low - reference.low) + np.abs(live.high - reference.high)
        return (body + ends) / np.maximum(reference.sd, LEAST_SPREAD)
