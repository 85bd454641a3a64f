"""The population stability index of credit scoring."""

from mlops_assets.lifecycle.drift.methods.base import DriftMethod, tenths


class PopulationStabilityIndex(DriftMethod):
    """Population stability index over categories or tenths of the reference.

    (Siddiqi, "Credit Risk Scorecards", 2006; Yurdakul, "Statistical properties of population
    stability index", 2018.) Half a row is added to each bin, so that an empty one is finite.
    """

    name = "psi"
    divergence = True

    def distance(self, reference, live, pair):
        import numpy as np

        counts = [tenths(side, pair) + 0.5 for side in (reference, live)]
        p, q = (c / c.sum(axis=1, keepdims=True) for c in counts)
        return ((q - p) * np.log(q / p)).sum(axis=1)
