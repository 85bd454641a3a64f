"""The recommenders on arrays: the same ranking as the estimators', ties included."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from mlops_assets.lifecycle.packed.checks import (
    Crafted,
    Declared,
    check_c_order,
    check_declared,
    check_finite,
    check_within,
)
from mlops_assets.lifecycle.packed.compiling import compiled
from mlops_assets.lifecycle.packed.plan import Option

LAST_CODE_POINT = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)


class Recommender(ABC):
    """Ranks all items for a unit; items are stored by popularity, most popular first.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``units`` (sorted) and ``items`` of str; ``data``, ``indices`` and ``indptr``: what each
        unit has, in compressed sparse rows; ``popularity`` of float32.
    options : dict
        ``exclude_seen``: never recommend what the unit has.
    """

    kind: ClassVar[str]
    arrays: ClassVar[Declared] = {
        "units": (np.str_, 1),
        "items": (np.str_, 1),
        "data": (np.float32, 1),
        "indices": (np.int32, 1),
        "indptr": (np.int32, 1),
        "popularity": (np.float32, 1),
    }
    options: ClassVar[dict[str, type]] = {"exclude_seen": bool}

    def __init__(self, arrays: dict[str, np.ndarray], options: dict[str, Option]):
        check_declared(arrays, options, self.arrays, self.options)
        self.units, self.items = arrays["units"], arrays["items"]
        self.data, self.indices = arrays["data"], arrays["indices"]
        self.indptr, self.popularity = arrays["indptr"], arrays["popularity"]
        self.exclude_seen = options["exclude_seen"]
        self._check(arrays)

    def recommend(self, units: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best items of each unit and their scores, each of shape (n, k).

        An unknown unit gets the popular items; None and minus infinity where items run out.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        names = np.asarray(units, dtype=str)
        items = np.full((len(names), k), None, dtype=object)
        scores = np.full((len(names), k), -np.inf)
        for place, name in enumerate(names):
            start, end = self._history(name)
            ranked = self._scores(start, end, k)
            if self.exclude_seen:
                seen = self.indices[start:end]
                ranked[seen[seen < len(ranked)]] = -np.inf
            places, kept = np.empty(k, np.int64), np.empty(k, np.float32)
            found = _best_of(ranked, places, kept)
            there = places[:found][kept[:found] > -np.inf]
            items[place, : len(there)] = self.items[there]
            scores[place, : len(there)] = kept[: len(there)]
        return items, scores

    def _history(self, name: np.str_) -> tuple[int, int]:
        # A longer name is in no array of shorter ones; searching for it would copy the array.
        if name.dtype.itemsize > self.units.dtype.itemsize:
            return 0, 0
        at = int(np.searchsorted(self.units, name.astype(self.units.dtype)))
        if at == len(self.units) or self.units[at] != name:
            return 0, 0
        return int(self.indptr[at]), int(self.indptr[at + 1])

    @abstractmethod
    def _scores(self, start: int, end: int, k: int) -> np.ndarray:
        """float32 scores of the first items, at least as many as can be among the best ``k``."""

    def _check(self, arrays: dict[str, np.ndarray]) -> None:
        for name in ("units", "items"):
            _check_text(name, arrays[name])
        if np.any(self.units[1:] <= self.units[:-1]):
            raise Crafted("the units are not sorted")
        check_within("item", self.indices, len(self.items))
        ends = self.indptr
        if len(ends) != len(self.units) + 1 or ends[0] != 0 or np.any(np.diff(ends) < 0):
            raise Crafted("what the units have is not in order")
        if ends[-1] > len(self.indices) or len(self.data) != len(self.indices):
            raise Crafted("what the units have is not all there")
        if len(self.popularity) != len(self.items):
            raise Crafted(f"{len(self.popularity)} popularities of {len(self.items)} items")
        check_finite("weight", self.data)
        check_finite("popularity", self.popularity)


class PackedEase(Recommender):
    """EASE: a unit's items times the item-to-item weights, plus what is popular of late."""

    kind = "ease"
    arrays: ClassVar = {
        **Recommender.arrays,
        "weights": (np.float32, 2),
        "recent": (np.float32, 1),
    }

    def _check(self, arrays):
        super()._check(arrays)
        self.weights, self.recent = arrays["weights"], arrays["recent"]
        if len(self.recent) != len(self.items):
            raise Crafted(f"{len(self.recent)} recent popularities of {len(self.items)} items")
        check_finite("recent popularity", self.recent)
        check_c_order(weights=self.weights)
        if self.weights.shape != (len(self.items), len(self.items)):
            raise Crafted(f"weights of shape {self.weights.shape} for {len(self.items)} items")
        check_finite("weight", self.weights)

    def _scores(self, start, end, k):
        if start == end:
            return self.popularity.copy()
        scores = np.zeros(len(self.items), np.float32)
        _add_weighted_rows(self.weights, self.data, self.indices, start, end, scores)
        return scores + self.recent


class PackedPopularity(Recommender):
    """The most popular items first."""

    kind = "popularity"

    def _scores(self, start, end, k):
        # In order of score already: the best k that are not excluded lie among these.
        return self.popularity[: k + (end - start)].copy()


RECOMMENDERS: dict[str, type[Recommender]] = {
    cls.kind: cls for cls in (PackedEase, PackedPopularity)
}


def _check_text(name: str, array: np.ndarray) -> None:
    points = np.ascontiguousarray(array).view(np.uint32)
    half = (points >= SURROGATES[0]) & (points <= SURROGATES[1])
    if points.max() > LAST_CODE_POINT or half.any():
        raise Crafted(f"{name} is not valid text")


@compiled
def _add_weighted_rows(weights, data, indices, start, end, out):
    """``out += data[h] * weights[indices[h]]`` for h from start to end, in float32."""
    for h in range(start, end):
        row, weight = indices[h], data[h]
        for j in range(out.shape[0]):
            out[j] += weight * weights[row, j]


@compiled
def _best_of(scores, places, kept):
    """The highest scores, best first, equal ones by their place.

    Parameters
    ----------
    scores : ndarray of float32, shape (n,)
        No NaN.
    places : ndarray of int64, shape (k,)
        Written.
    kept : ndarray of float32, shape (k,)
        Written.

    Returns
    -------
    int
        How many were written, at most k.
    """
    size = 0
    for j in range(scores.shape[0]):
        score = scores[j]
        if size == kept.shape[0]:
            if score <= kept[size - 1]:
                continue
        else:
            size += 1
        at = size - 1
        while at > 0 and score > kept[at - 1]:
            kept[at], places[at] = kept[at - 1], places[at - 1]
            at -= 1
        kept[at], places[at] = score, j
    return size
