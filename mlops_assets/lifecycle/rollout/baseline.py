"""What the champion did before a comparison began: what its canary is measured with."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

TENTHS = 10
MIN_CLASSES = 10  # as many distinct values, or fewer, are classes rather than numbers


@dataclass(frozen=True)
class Bins:
    """Cells of the answers, fixed from the champion's.

    Parameters
    ----------
    edges : ndarray of shape (n_bins - 1,) or None
        Upper ends of all bins but the last, of numbers.
    classes : dict of str to int
        The bin of each class or item; whatever else is answered falls into the last bin.
    shares : ndarray of shape (n_bins,)
        Of the champion's answers.
    """

    edges: np.ndarray | None
    classes: dict[str, int]
    shares: np.ndarray

    @classmethod
    def of(cls, answers: list[Any]) -> "Bins":
        """Tenths of numbers; the most frequent classes."""
        levels, counts = np.unique([str(a) for a in answers], return_counts=True)
        if len(levels) > MIN_CLASSES and not isinstance(answers[0], str):
            quantiles = np.quantile(np.array(answers, float), np.linspace(0, 1, TENTHS + 1)[1:-1])
            edges = np.unique(quantiles)
            inside = np.searchsorted(edges, np.array(answers, float), side="left")
            return cls(edges, {}, np.bincount(inside, minlength=len(edges) + 1) / len(answers))
        frequent = np.argsort(-counts, kind="stable")[: TENTHS - 1]
        classes = {str(levels[i]): place for place, i in enumerate(frequent)}
        shares = [*counts[frequent], counts.sum() - counts[frequent].sum()]
        return cls(None, classes, np.array(shares) / counts.sum())

    def index(self, answers: list[Any]) -> np.ndarray:
        """The bin of each answer, of shape (n_answers,)."""
        if self.edges is not None:
            return np.searchsorted(self.edges, np.array(answers, float), side="left")
        return np.array([self.classes.get(str(a), len(self.classes)) for a in answers], dtype=int)

    def label(self, place: int) -> str:
        """A bin in words."""
        if self.edges is None:
            names = [*self.classes, None]
            return f"{names[place]}" if names[place] is not None else "other than the usual ones"
        low = f"above {self.edges[place - 1]:.4g}" if place else ""
        high = f"up to {self.edges[place]:.4g}" if place < len(self.edges) else ""
        return " ".join(filter(None, (low, high)))


@dataclass(frozen=True)
class Baseline:
    """The champion's p95 latency in milliseconds, and the bins of its answers."""

    p95: float
    bins: Bins


def answered(answer: dict[str, Any]) -> Any:
    """What a prediction answer is watched by: score, value, class or first item; None for none."""
    value = answer.get("score", answer.get("prediction"))
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
