"""The largest gap between two distribution functions."""

from mlops_assets.lifecycle.drift.methods.base import DriftMethod


class KolmogorovSmirnov(DriftMethod):
    """Kolmogorov and Smirnov's statistic at the edges of the profile.

    (Smirnov, "Table for estimating the goodness of fit of empirical distributions", Ann. Math.
    Stat. 19, 1948.) At most the statistic on all numbers, and short of it by less than a bin.
    """

    name = "ks"
    of_numbers_only = True

    def distance(self, reference, live, pair):
        import numpy as np

        return np.abs(np.cumsum(live.shares - reference.shares, axis=1)).max(axis=1)
