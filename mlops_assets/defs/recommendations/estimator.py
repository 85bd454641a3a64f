"""Recommenders in the manner of scikit-learn: ``fit`` on interactions, then ``recommend``.

The fitted state is plain numpy arrays, so that skops writes and reads a model by naming only
these classes as trusted (scipy's sparse matrices are not on skops's own list).
"""

from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.linalg import cho_factor, lapack
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

_DAY = pd.Timedelta(days=1)
_BATCH = 1024


class _Recommender(BaseEstimator):
    """What the recommenders share: the catalogue, who has what, and the ranking.

    Items are held by popularity, most popular first, and every ranking is a stable sort, so that
    equal scores are ordered by popularity and then by item id.
    """

    def recommend(self, units, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best items of each unit, best first.

        Parameters
        ----------
        units : array-like of shape (n,)
            Unit ids; an unknown one gets the popular items.
        k : int

        Returns
        -------
        items : ndarray of object (str), shape (n, k)
            None where a unit has fewer than ``k`` items left.
        scores : ndarray of float64, shape (n, k)
            Minus infinity where there is no item. A unit's answer does not depend, to the bit, on
            the other units of the call.
        """
        check_is_fitted(self)
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        rows = self._rows(units)
        batches = [rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH)]
        ranked = [self._rank(batch, k) for batch in batches]
        items = np.concatenate([np.empty((0, k), dtype=object), *(r[0] for r in ranked)])
        scores = np.concatenate([np.empty((0, k)), *(r[1] for r in ranked)])
        return items, scores

    def _interactions(self, X: pd.DataFrame) -> pd.DataFrame:
        """The last time of each (unit, item) pair."""
        missing = [c for c in (self.unit, self.item, self.time) if c not in X.columns]
        if missing:
            raise ValueError(f"X has no column {missing}")
        if X.empty:
            raise ValueError("X holds no interactions")
        # Sorted, so that sums and with them the model don't depend on the order of the rows.
        pairs = X.groupby([self.unit, self.item], observed=True, sort=True)[self.time].max()
        pairs = pairs.reset_index().set_axis(["unit", "item", "time"], axis=1)
        return pairs.astype({"unit": str, "item": str})

    @property
    def interactions_(self) -> sp.csr_matrix:
        """The weights of what each unit has, csr_matrix of shape (n_units, n_items)."""
        shape = (len(self.units_), len(self.items_))
        return sp.csr_matrix((self.data_, self.indices_, self.indptr_), shape=shape)

    def _remember(self, pairs: pd.DataFrame, values: np.ndarray) -> None:
        # pandas keeps str as object, which skops would have to pickle; "U" is plain memory.
        self.units_, row = np.unique(pairs["unit"].to_numpy(dtype="U"), return_inverse=True)
        column = pd.Index(self.items_).get_indexer(pairs["item"])
        kept = column >= 0
        shape = (len(self.units_), len(self.items_))
        matrix = sp.csr_matrix((values[kept], (row[kept], column[kept])), shape=shape)
        self.data_ = matrix.data.astype(np.float32)
        self.indices_, self.indptr_ = matrix.indices, matrix.indptr

    def _rows(self, units) -> np.ndarray:
        """The row of each unit; the one after the last, which is empty, for an unknown unit."""
        rows = pd.Index(self.units_).get_indexer(np.asarray(units, dtype=str))
        return np.where(rows < 0, len(self.units_), rows)

    def _rank(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        seen = _take(self.interactions_, rows)
        width = self._width(seen, k)
        scores = self._scores(rows, width)
        if self.exclude_seen:
            hidden = seen[:, :width].tocoo()
            scores[hidden.row, hidden.col] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(scores, best, axis=1).astype(np.float64)
        items = self.items_[best].astype(object)
        items[np.isneginf(scores)] = None
        lacking = ((0, 0), (0, k - best.shape[1]))
        items = np.pad(items, lacking, constant_values=cast(Any, None))
        return items, np.pad(scores, lacking, constant_values=-np.inf)

    def _width(self, seen: sp.csr_matrix, k: int) -> int:
        return len(self.items_)


class Ease(_Recommender):
    """EASE: an item-to-item model in closed form.

    Minimises ``||X - X B||^2 + regularization ||B||^2`` subject to ``diag(B) = 0``, where ``X``
    (units by items) holds what was bought. Then ``B = I - P diag(1 / diag(P))`` with
    ``P = (X' X + regularization I)^-1``.

    Parameters
    ----------
    unit, item, time : str
        Columns of the interactions.
    regularization : float, default=150
        Larger shrinks ``B``. On the scale of an item's weighted number of units.
    max_items : int, default=2000
        The items modelled and recommended, the most popular ones: memory and the model's file grow
        with its square (16 MB for 2,000), time with its cube.
    half_life_days : float or None, default=60
        An interaction's weight in ``X`` halves in this time, from its last one to the newest in
        the data; None weighs all by 1, as published.
    recent_weight : float, default=0
        This much of an item's recent popularity (the share of units that bought it in the last
        ``recent_days``) is added to its score for every unit; 0 as published.
    recent_days : float, default=14
    exclude_seen : bool, default=True
        Never recommend what the unit has in the training data.

    Attributes
    ----------
    units_ : ndarray of str, shape (n_units,)
    items_ : ndarray of str, shape (n_items,)
        Most popular first.
    popularity_ : ndarray of float32, shape (n_items,)
        Weighted share of units; what a unit without modelled interactions is ranked by.
    data_, indices_, indptr_ : ndarray
        What each unit has, in compressed sparse rows; ``interactions_`` is the matrix.
    recent_ : ndarray of float32, shape (n_items,)
        ``recent_weight`` times the recent popularity.
    weights_ : ndarray of float32, shape (n_items, n_items)
        ``B``.

    References
    ----------
    H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. The decay by age and
    the recent popularity are additions: tastes and assortments move, and the weekly test rewards
    following them (``benchmarks/models_retail.py``).
    """

    def __init__(
        self,
        unit: str = "household_id",
        item: str = "product_id",
        time: str = "at",
        regularization: float = 150.0,
        max_items: int = 2000,
        half_life_days: float | None = 60.0,
        recent_weight: float = 0.0,
        recent_days: float = 14.0,
        exclude_seen: bool = True,
    ):
        self.unit = unit
        self.item = item
        self.time = time
        self.regularization = regularization
        self.max_items = max_items
        self.half_life_days = half_life_days
        self.recent_weight = recent_weight
        self.recent_days = recent_days
        self.exclude_seen = exclude_seen

    def fit(self, X: pd.DataFrame, y=None) -> "Ease":
        """Learn ``B`` from interactions.

        Parameters
        ----------
        X : DataFrame of shape (n_interactions, >= 3)
            Repeated (unit, item) pairs count once, at their last time.
        y : ignored

        Returns
        -------
        Ease
        """
        self._check()
        pairs = self._interactions(X)
        values = self._decay(pairs["time"])
        popularity = _popularity(pairs["item"], values).head(self.max_items)
        self.items_ = popularity.index.to_numpy(dtype="U")
        self._remember(pairs, values)
        self.popularity_ = (popularity.to_numpy() / len(self.units_)).astype(np.float32)
        recent = _popularity(pairs["item"], _since(pairs["time"], self.recent_days))
        bonus = self.recent_weight * recent.reindex(popularity.index) / len(self.units_)
        self.recent_ = bonus.to_numpy(dtype=np.float32)
        self.weights_ = _ease(self.interactions_, self.regularization).astype(np.float32)
        return self

    def _check(self) -> None:
        # Not just distrust: with 0 the Gram matrix of items bought together has no inverse.
        if not self.regularization > 0:
            raise ValueError(f"regularization must be positive, got {self.regularization}")
        if self.max_items < 1:
            raise ValueError(f"max_items must be at least 1, got {self.max_items}")
        if self.half_life_days is not None and not self.half_life_days > 0:
            raise ValueError(f"half_life_days must be positive or None, got {self.half_life_days}")
        if not 0 <= self.recent_weight < np.inf:
            raise ValueError(f"recent_weight must be finite, 0 or more, got {self.recent_weight}")
        if not self.recent_days > 0:
            raise ValueError(f"recent_days must be positive, got {self.recent_days}")

    def _decay(self, time: pd.Series) -> np.ndarray:
        if self.half_life_days is None:
            return np.ones(len(time))
        age = ((time.max() - time) / _DAY).to_numpy()
        return 0.5 ** (age / self.half_life_days)

    def _scores(self, rows: np.ndarray, width: int) -> np.ndarray:
        # A sparse-dense product sums each row by itself in a fixed order; BLAS would not, and a
        # unit's scores would depend on the batch it comes in.
        history = _take(self.interactions_, rows)
        scores = history @ self.weights_ + self.recent_
        scores[np.diff(history.indptr) == 0] = self.popularity_
        return scores


class Popularity(_Recommender):
    """The items that most units bought lately: the floor any recommender must beat.

    Parameters
    ----------
    unit, item, time : str
        Columns of the interactions.
    days : float, default=28
        How far back to count, from the newest interaction. Items not bought since rank last.
    exclude_seen : bool, default=True
        Never recommend what the unit has in the training data, however old.

    Attributes
    ----------
    units_ : ndarray of str, shape (n_units,)
    items_ : ndarray of str, shape (n_items,)
        Most popular first.
    popularity_ : ndarray of float32, shape (n_items,)
        Number of units that bought the item in the last ``days``.
    data_, indices_, indptr_ : ndarray
        What each unit has, in compressed sparse rows; ``interactions_`` is the matrix.
    """

    def __init__(
        self,
        unit: str = "household_id",
        item: str = "product_id",
        time: str = "at",
        days: float = 28,
        exclude_seen: bool = True,
    ):
        self.unit = unit
        self.item = item
        self.time = time
        self.days = days
        self.exclude_seen = exclude_seen

    def fit(self, X: pd.DataFrame, y=None) -> "Popularity":
        """Count the units of each item.

        Parameters
        ----------
        X : DataFrame of shape (n_interactions, >= 3)
        y : ignored

        Returns
        -------
        Popularity
        """
        if not self.days > 0:
            raise ValueError(f"days must be positive, got {self.days}")
        pairs = self._interactions(X)
        popularity = _popularity(pairs["item"], _since(pairs["time"], self.days))
        self.items_ = popularity.index.to_numpy(dtype="U")
        self.popularity_ = popularity.to_numpy(dtype=np.float32)
        self._remember(pairs, np.ones(len(pairs)))
        return self

    def _width(self, seen: sp.csr_matrix, k: int) -> int:
        # Items are in order of score already: the best k unseen ones lie among these.
        most = np.diff(seen.indptr).max() if self.exclude_seen else 0
        return min(k + most, len(self.items_))

    def _scores(self, rows: np.ndarray, width: int) -> np.ndarray:
        return np.tile(self.popularity_[:width], (len(rows), 1))


def _since(time: pd.Series, days: float) -> np.ndarray:
    """1.0 for the interactions of the last ``days``, 0.0 for those before; shape (n,)."""
    return (time > time.max() - days * _DAY).to_numpy(dtype=float)


def _popularity(item: pd.Series, weight: np.ndarray) -> pd.Series:
    """The sum of ``weight`` by item, largest first, equal ones by item id."""
    total = pd.Series(weight).groupby(item.to_numpy()).sum()
    return total.sort_index().sort_values(ascending=False, kind="stable")


def _take(matrix: sp.csr_matrix, rows: np.ndarray) -> sp.csr_matrix:
    """Rows of ``matrix``, shape (len(rows), n_columns); the one after the last is empty."""
    known = rows < matrix.shape[0]
    counts = np.zeros(len(rows), dtype=np.int64)
    counts[known] = np.diff(matrix.indptr)[rows[known]]
    taken = matrix[rows[known]]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_matrix((taken.data, taken.indices, indptr), shape=(len(rows), matrix.shape[1]))


def _ease(X: sp.csr_matrix, regularization: float) -> np.ndarray:
    """Steck's equation 8, shape (n_items, n_items), in float64."""
    X = X.astype(np.float64)
    gram = (X.T @ X).toarray()
    gram[np.diag_indices_from(gram)] += regularization
    factor, _ = cho_factor(gram, lower=True, overwrite_a=True)
    # Cholesky, not inv: half the time, and the inverse comes out symmetric.
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights
