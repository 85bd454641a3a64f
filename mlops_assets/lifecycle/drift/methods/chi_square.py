"""Pearson's chi-square as a size of effect."""

from mlops_assets.lifecycle.drift.methods.base import DriftMethod, tenths


class ChiSquare(DriftMethod):
    """Cramer's V of side by category, or by tenth of the reference, both sides weighing the same.

    (Cramer, "Mathematical Methods of Statistics", 1946, section 21.9.) The root of chi-square
    over the number of rows, so that a threshold means the same at every size of window.
    """

    name = "chi_square"

    def distance(self, reference, live, pair):
        import numpy as np

        counts = tenths(reference, pair), tenths(live, pair)
        p, q = (c / c.sum(axis=1, keepdims=True) for c in counts)
        both = p + q
        squares = np.divide((p - q) ** 2, both, out=np.zeros_like(both), where=both > 0)
        return np.sqrt(squares.sum(axis=1) / 2)
