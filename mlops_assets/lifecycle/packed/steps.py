"""The steps of a packed model on tables: each takes a matrix and gives one.

A step checks, when it is made, everything that its kernels rely on: an index that passed can't
leave its array, and a walk down a tree ends because children come after their parent.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from mlops_assets.lifecycle.packed import kernels, links
from mlops_assets.lifecycle.packed.checks import (
    Crafted,
    Declared,
    check_c_order,
    check_declared,
    check_finite,
    check_within,
)
from mlops_assets.lifecycle.packed.errors import RowRefused
from mlops_assets.lifecycle.packed.leaf_masks import MASKED_FROM, LeafMasks
from mlops_assets.lifecycle.packed.plan import Option

TOO_LARGE = "a number is missing, or is too large for float32"
NOT_FINITE = "a number is missing or too large"


class Step(ABC):
    """One step.

    Parameters
    ----------
    arrays : dict of str to ndarray
        As declared in ``arrays``; dtypes and dimensions are checked here.
    options : dict
    width : int
        Columns of the matrices it will get.
    """

    kind: ClassVar[str]
    arrays: ClassVar[Declared]
    options: ClassVar[dict[str, type]] = {}

    def __init__(self, arrays: dict[str, np.ndarray], options: dict[str, Option], width: int):
        check_declared(arrays, options, self.arrays, self.options)
        self.width = width
        for name, value in {**arrays, **options}.items():
            setattr(self, name, value)
        self.out_width = self._check()

    @abstractmethod
    def _check(self) -> int:
        """Check the arrays against each other; how many columns this step gives."""

    @abstractmethod
    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """float64, shape (n, width) to (n, out_width).

        Raises
        ------
        RowRefused
            For a row that the estimator would refuse.
        """


class ColumnsStep(Step):
    """Preprocessing: each column is a chain of operations on one column of the matrix."""

    kind = "columns"
    arrays: ClassVar = {
        "source": (np.int32, 1),
        "first": (np.int32, 1),
        "operations": (kernels.OPERATION, 1),
        "tables": (np.float64, 1),
    }
    source: np.ndarray
    first: np.ndarray
    operations: np.ndarray
    tables: np.ndarray

    def _check(self) -> int:
        check_c_order(tables=self.tables)
        count = len(self.operations)
        check_within("source", self.source, self.width)
        check_within("first", self.first, count + 1)
        ends = self.first
        if len(ends) != len(self.source) + 1 or ends[0] != 0 or np.any(np.diff(ends) < 0):
            raise Crafted("the operations of the columns are not in order")
        check_within("code", self.operations["code"], kernels.OPERATIONS)
        check_finite("operand", self.operations["a"])
        check_finite("operand", self.operations["b"])
        reads = self.operations[self.operations["code"] >= kernels.FIND]
        reads = reads[reads["code"] <= kernels.LOOKUP]
        start, size = reads["start"].astype(np.int64), reads["size"].astype(np.int64)
        # A look-up begins with its answers for unknown and for missing values.
        least = np.where(reads["code"] == kernels.LOOKUP, 2, 1)
        if np.any(start < 0) or np.any(size < least) or np.any(start + size > len(self.tables)):
            raise Crafted("an operation reads outside the tables")
        return len(self.source)

    def copies(self, place: int) -> np.ndarray:
        """The columns that are column ``place`` of the matrix as it came."""
        return np.flatnonzero((self.source == place) & (np.diff(self.first) == 0))

    def __call__(self, matrix):
        out = np.empty((len(matrix), self.out_width))
        refused = kernels.columns(
            matrix, self.source, self.first, self.operations, self.tables, out
        )
        if refused >= 0:
            raise RowRefused(refused, "a number is infinite")
        return out


class LinearStep(Step):
    """A linear predictor and its link.

    The product is numpy's own, row by row: BLAS adds one row in another order than it adds many,
    and what the estimator answers to a row alone is what every batch gets. Of a matrix that
    scikit-learn holds as a sparse one, it is scipy's.
    """

    kind = "linear"
    arrays: ClassVar = {"coef": (np.float64, 2), "intercept": (np.float64, 1)}
    options: ClassVar = {"link": str, "sparse": bool}
    coef: np.ndarray
    intercept: np.ndarray
    link: str
    sparse: bool

    def _check(self) -> int:
        if self.sparse:
            check_c_order(coef=self.coef)
        outputs, features = self.coef.shape
        if features != self.width or len(self.intercept) != outputs:
            raise Crafted(f"coefficients of shape {self.coef.shape} for {self.width} columns")
        check_finite("coefficient", self.coef)
        check_finite("intercept", self.intercept)
        self._transposed = self.coef.T
        self._finish = links.find(self.link, outputs)
        return outputs

    def __call__(self, matrix):
        if self.sparse:
            raw = np.empty((len(matrix), self.out_width))
            kernels.sparse_product(matrix, self.coef, raw)
        elif len(matrix) == 1:
            raw = matrix @ self._transposed
        else:
            raw = (matrix[:, None, :] @ self._transposed)[:, 0, :]
        raw += self.intercept
        # Cheaper than looking at the matrix: what is not finite there is not finite here.
        if kernels.first_not_finite(raw) >= 0:
            refused = kernels.first_not_finite(matrix)
            if refused >= 0:
                raise RowRefused(refused, NOT_FINITE)
        return self._finish(raw)


class ForestStep(Step):
    """A decision tree, or the mean of many."""

    kind = "forest"
    arrays: ClassVar = {
        "nodes": (kernels.NODE, 1),
        "roots": (np.int32, 1),
        "values": (np.float64, 2),
    }
    options: ClassVar = {"averaged": bool, "nan_allowed": bool}
    nodes: np.ndarray
    roots: np.ndarray
    values: np.ndarray
    averaged: bool
    nan_allowed: bool

    def _check(self) -> int:
        check_c_order(values=self.values)
        leaves = _check_trees(self.nodes, self.roots, self.width)
        outputs = self.values.shape[1]
        check_finite("value", self.values)
        if outputs > 1:
            check_within("leaf", leaves["right"], len(self.values))
        return outputs

    def __call__(self, matrix):
        single = _to_single(matrix, self.nan_allowed)
        out = np.empty((len(matrix), self.out_width))
        kernels.mean_of_trees(single, self.nodes, self.roots, self.values, self.averaged, out)
        return out


class BoostingStep(Step):
    """Gradient boosting: a baseline, the sum of all trees, and a link."""

    kind = "boosting"
    arrays: ClassVar = {
        "nodes": (kernels.NODE, 1),
        "roots": (np.int32, 1),
        "baseline": (np.float64, 1),
        "sets": (np.uint32, 2),
        "known": (np.uint32, 2),
    }
    options: ClassVar = {"link": str, "single": bool}
    nodes: np.ndarray
    roots: np.ndarray
    baseline: np.ndarray
    sets: np.ndarray
    known: np.ndarray
    link: str
    single: bool

    def _check(self) -> int:
        check_c_order(sets=self.sets, known=self.known)
        _check_trees(self.nodes, self.roots, self.width)
        check_finite("baseline", self.baseline)
        words = kernels.SET_WORDS
        if self.sets.shape[1] != words or self.known.shape != (self.width, words):
            raise Crafted(f"sets of shape {self.sets.shape}, {self.known.shape}")
        splits = self.nodes[self.nodes["left"] >= 0]
        categorical = splits["flags"][(splits["flags"] & kernels.CATEGORICAL) != 0]
        check_within("set", categorical >> kernels.SET_SHIFT, len(self.sets))
        outputs = len(self.baseline)
        if len(self.roots) % outputs:
            raise Crafted(f"{len(self.roots)} trees for {outputs} outputs")
        self._finish = links.find(self.link, outputs)
        self._masks = LeafMasks.of(self.nodes, self.roots)
        return outputs

    def __call__(self, matrix):
        if self.single:
            matrix = _to_single(matrix, False)
        raw = np.empty((len(matrix), self.out_width))
        if self._masks is not None and len(matrix) >= MASKED_FROM:
            self._masks.sums(matrix, self.baseline, raw)
        else:
            kernels.sum_of_trees(
                matrix, self.nodes, self.roots, self.baseline, self.sets, self.known, raw
            )
        return self._finish(raw)


STEPS: dict[str, type[Step]] = {
    cls.kind: cls for cls in (ColumnsStep, LinearStep, ForestStep, BoostingStep)
}


def _to_single(matrix: np.ndarray, nan_allowed: bool) -> np.ndarray:
    single = np.empty_like(matrix)
    refused = kernels.to_single(matrix, nan_allowed, single)
    if refused >= 0:
        raise RowRefused(refused, TOO_LARGE)
    return single


def _check_trees(nodes: np.ndarray, roots: np.ndarray, width: int) -> np.ndarray:
    """Check every walk from every root; the leaves."""
    check_within("root", roots, len(nodes))
    is_split = nodes["left"] >= 0
    splits, places = nodes[is_split], np.flatnonzero(is_split)
    check_within("feature", nodes["feature"], width)
    check_within("flags", splits["flags"], 2**31)
    for child in ("left", "right"):
        check_within(child, splits[child], len(nodes))
        if np.any(splits[child] <= places):
            raise Crafted(f"a {child} child comes before its parent")
    # Infinite thresholds part missing values from all others.
    if np.isnan(splits["number"]).any():
        raise Crafted("a threshold is NaN")
    check_finite("leaf", nodes["number"][~is_split])
    return nodes[~is_split]
