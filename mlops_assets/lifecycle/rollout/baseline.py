"""What the champion did before a comparison began: what its canary is measured with."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.lifecycle.prediction_log import Record

ERROR = 400  # what a client did wrong never reaches a version, and so is not in the log
TENTHS = 10
MAX_PAST = 200_000
MIN_OF_UNIT = 3  # answers that show what a unit usually gets
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
            names = [*self.classes, "other than the usual ones"]
            return names[place] or "without an item"
        low = f"above {self.edges[place - 1]:.4g}" if place else ""
        high = f"up to {self.edges[place]:.4g}" if place < len(self.edges) else ""
        return " ".join(filter(None, (low, high)))


@dataclass(frozen=True)
class Baseline:
    """The champion's p95 latency in milliseconds, and the bins of its answers."""

    p95: float
    bins: Bins


@dataclass(frozen=True)
class Replies:
    """What was answered; columns of shape (n_records,)."""

    good: np.ndarray
    latency: np.ndarray
    said: list[Any]

    @classmethod
    def of(cls, records: list[Record]) -> "Replies":
        """Columns from records."""
        good = np.array([r.status < ERROR for r in records])
        latency = np.array([r.latency_ms for r in records], float)
        said = [_answered(r.answer) if ok else None for r, ok in zip(records, good, strict=True)]
        return cls(good, latency, said)

    @property
    def timed(self) -> np.ndarray:
        """Whether the latency is a length of time."""
        return np.isfinite(self.latency) & (self.latency >= 0)

    @property
    def spoke(self) -> np.ndarray:
        """Whether there is a prediction."""
        return np.array([s is not None for s in self.said])

    @property
    def usable(self) -> np.ndarray:
        """Whether there is everything that a baseline needs."""
        return self.good & self.timed & self.spoke


class Past:
    """The champion's answers before a comparison begins, the latest of them."""

    def __init__(self):
        self._rows: list[tuple[int, bool, bool, float, Any, bool]] = []

    def add(self, unit: np.ndarray, replies: Replies, chosen: np.ndarray, *, before: bool) -> None:
        """Remember the chosen rows; ``before`` the rollout, or stand-ins from its beginning."""
        columns = (unit.tolist(), replies.good, replies.usable, replies.latency, replies.said)
        self._rows += [(*(c[i] for c in columns), before) for i in np.flatnonzero(chosen)]
        self._rows = self._rows[-MAX_PAST:]

    @property
    def usable(self) -> int:
        """Answers that a baseline can be made of."""
        return sum(bool(usable) for _, _, usable, *_ in self._rows)

    def baseline(self) -> Baseline:
        """The p95 and the bins."""
        usable = [(latency, said) for _, _, use, latency, said, _ in self._rows if use]
        latencies, answers = zip(*usable, strict=True)
        return Baseline(float(np.quantile(latencies, 0.95)), Bins.of(list(answers)))

    def always_failing(self) -> np.ndarray:
        """Units whose answers were errors half of the time or more, before the rollout.

        Whoever is left out has to be chosen before sides were drawn, or the sides differ by it.
        """
        return self._mostly([(unit, not good) for unit, good, *_, before in self._rows if before])

    def always_slow(self, p95: float) -> np.ndarray:
        """Units whose answers were slower than that as often, likewise."""
        return self._mostly(
            [(u, ms > p95) for u, _, use, ms, _, before in self._rows if use and before]
        )

    def _mostly(self, rows: list[tuple[int, bool]]) -> np.ndarray:
        if not rows:
            return np.empty(0, dtype=np.int64)
        units, place = np.unique([unit for unit, _ in rows], return_inverse=True)
        count, bad = np.bincount(place), np.bincount(place, [bad for _, bad in rows])
        return units[(count >= MIN_OF_UNIT) & (2 * bad >= count)]


def _answered(answer: dict[str, Any]) -> Any:
    """What an answer is watched by: score, value, class, or first item ("" where it has none)."""
    value = answer.get("score", answer.get("prediction"))
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
