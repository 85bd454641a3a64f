"""Metrics of rankings: ``truth`` holds each unit's relevant items, ``predicted`` its ranking."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.metrics.base import RowMetric

if TYPE_CHECKING:
    import numpy as np


class NdcgAtTen(RowMetric):
    """Normalized discounted cumulative gain of the first ten (Jarvelin and Kekalainen, 2002)."""

    name = "ndcg_at_10"
    continuous = False

    def rows(self, truth, predicted):
        import numpy as np

        discounts = 1 / np.log2(np.arange(2, 12))
        ideal = np.cumsum(discounts)
        return relevant_at(truth, predicted, 10) @ discounts / ideal[_reachable(truth, 10) - 1]


class HitRateAtTen(RowMetric):
    """Share of units with a relevant item among the first ten."""

    name = "hit_rate_at_10"
    continuous = False

    def rows(self, truth, predicted):
        return relevant_at(truth, predicted, 10).any(axis=1).astype(float)


class RecallAtTen(RowMetric):
    """Share of a unit's relevant items that are among the first ten, averaged over units."""

    name = "recall_at_10"
    continuous = False

    def rows(self, truth, predicted):
        import numpy as np

        relevant = np.array([max(len(set(items)), 1) for items in truth])
        return relevant_at(truth, predicted, 10).sum(axis=1) / relevant


class MapAtTen(RowMetric):
    """Mean average precision of the first ten (Manning et al., 2008, section 8.4).

    The precision at each relevant item's place, summed and divided by how many relevant items ten
    places can hold.
    """

    name = "map_at_10"
    continuous = False

    def rows(self, truth, predicted):
        import numpy as np

        found = relevant_at(truth, predicted, 10)
        precision = np.cumsum(found, axis=1) / np.arange(1, 11)
        return (precision * found).sum(axis=1) / _reachable(truth, 10)


def _reachable(truth, k) -> "np.ndarray":
    """How many relevant items k places can hold, at least 1."""
    import numpy as np

    return np.clip([len(items) for items in truth], 1, k)


def relevant_at(truth, predicted, k) -> "np.ndarray":
    """1 where the item at a place is relevant, shape (n_units, k)."""
    import numpy as np

    found = np.zeros((len(truth), k))
    for row, (relevant, ranked) in enumerate(zip(truth, predicted, strict=True)):
        items = set(relevant)
        for place, item in enumerate(ranked[:k]):
            found[row, place] = item in items
            items.discard(item)  # the same item again is not another hit
    return found
