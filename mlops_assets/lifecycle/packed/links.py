"""Inverse link functions: from a raw prediction of shape (n, k), in place, to what is answered."""

import math
from collections.abc import Callable

import numpy as np

from mlops_assets.lifecycle.packed.checks import Crafted
from mlops_assets.lifecycle.packed.compiling import compiled

Link = Callable[[np.ndarray], np.ndarray]

# From so many numbers on, numpy adds them in several sums at once.
PAIRWISE = 8


def identity(raw: np.ndarray) -> np.ndarray:
    """The raw prediction itself."""
    return raw


def log(raw: np.ndarray) -> np.ndarray:
    """The exponential: numpy's, whose last bit is not always that of the C library's."""
    return np.exp(raw, out=raw)


def logit(raw: np.ndarray) -> np.ndarray:
    """The logistic function."""
    _expit(raw)
    return raw


def half_logit(raw: np.ndarray) -> np.ndarray:
    """The logistic function of twice the raw prediction (boosting with the exponential loss)."""
    raw *= 2
    return logit(raw)


def multinomial_logit(raw: np.ndarray) -> np.ndarray:
    """The softmax, in scikit-learn's order of operations."""
    if raw.shape[1] < PAIRWISE:
        _subtract_largest(raw)
        np.exp(raw, out=raw)
        _divide_by_sum(raw)
        return raw
    raw -= np.maximum.reduce(raw, axis=1, keepdims=True)
    np.exp(raw, out=raw)
    raw /= np.add.reduce(raw, axis=1, keepdims=True)
    return raw


LINKS: dict[str, Link] = {
    link.__name__: link for link in (identity, log, logit, half_logit, multinomial_logit)
}


def find(name: str, outputs: int) -> Link:
    """The link of this name, which ``outputs`` numbers a row must fit.

    Raises
    ------
    Crafted
        For an unknown name, or a number of outputs that the link has no meaning for.
    """
    if name not in LINKS:
        raise Crafted(f"the link {name!r} is not one of {', '.join(LINKS)}")
    if (name == multinomial_logit.__name__) != (outputs > 1):
        raise Crafted(f"the link {name!r} for {outputs} outputs")
    return LINKS[name]


@compiled
def _expit(matrix):
    """The logistic function, in place: scipy's formula on the C library's exponential."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            matrix[i, j] = 1.0 / (1.0 + math.exp(-matrix[i, j]))


@compiled
def _subtract_largest(matrix):
    """Subtract from each row its largest number, in place; NaN is larger than any."""
    for i in range(matrix.shape[0]):
        largest = matrix[i, 0]
        for j in range(1, matrix.shape[1]):
            x = matrix[i, j]
            if x > largest or math.isnan(x):
                largest = x
        for j in range(matrix.shape[1]):
            matrix[i, j] -= largest


@compiled
def _divide_by_sum(matrix):
    """Divide each row by its sum, added from left to right, in place."""
    for i in range(matrix.shape[0]):
        total = 0.0
        for j in range(matrix.shape[1]):
            total += matrix[i, j]
        for j in range(matrix.shape[1]):
            matrix[i, j] /= total
