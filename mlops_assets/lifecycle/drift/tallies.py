"""What batches of a window's rows add up to, column by column."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlops_assets.lifecycle.drift.profile import Categories, Numbers
from mlops_assets.lifecycle.drift.reading import LARGEST
from mlops_assets.lifecycle.drift.tails import Tail

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


class Tally(Protocol):
    """What is kept of one column's values while batches of them pass by."""

    missing: int

    def add(self, values: "pl.Series") -> None:
        """Count a batch."""


@dataclass
class Missing:
    """Rows without a value; batches say of each row whether it is one."""

    missing: int = 0

    def add(self, values: "pl.Series") -> None:
        """Count a batch."""
        self.missing += int(values.sum())


@dataclass
class NumberTally:
    """Numbers counted between the edges of a reference profile, and their moments.

    Batches are sorted: this takes as long as comparing each number with some thirty edges, and
    then counts at any edges, extremes, tails and NaN are slices.

    Parameters
    ----------
    before : Numbers
    room : ndarray of float
        As many as the largest batch has rows. Batches are sorted there: memory that is asked for
        anew each time takes the system as long as the sorting.
    upto : ndarray of int, shape (n_edges,)
        How many numbers are at most each edge.
    low, high : Tail
        The numbers up to the first edge, and above the last.
    squares : float
        Sum of squared distances from ``mean``.

    Notes
    -----
    Moments of batches are put together by the formula of Chan, Golub and LeVeque, "Algorithms for
    Computing the Sample Variance" (1983), section 2, which loses few digits far from zero.
    """

    before: Numbers
    room: "np.ndarray"
    upto: "np.ndarray" = field(init=False)
    missing: int = 0
    infinite: int = 0
    known: int = 0
    low: Tail = field(init=False)
    high: Tail = field(init=False)
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def __post_init__(self) -> None:
        import numpy as np

        self._edges = np.array(self.before.edges)
        self.upto = np.zeros(len(self._edges), dtype=np.int64)
        first, last = self.before.edges[0], self.before.edges[-1]
        self.low, self.high = Tail(first, last - first), Tail(last, last - first)

    def add(self, values: "pl.Series") -> None:
        """Count a batch of floats."""
        import numpy as np

        ordered = _sorted(_known(values), self.room)
        known = ordered[: ordered.searchsorted(np.nan)]
        self.missing += len(values) - len(known)
        if not len(known):
            return
        self.minimum = min(self.minimum, float(known[0]))
        self.maximum = max(self.maximum, float(known[-1]))
        if self.extreme <= LARGEST:
            self._add_known(known)
        else:
            self.infinite += int(np.isinf(known).sum())

    def _add_known(self, known: "np.ndarray") -> None:
        upto = known.searchsorted(self._edges, side="right")
        self.upto += upto
        below = int(known.searchsorted(self._edges[0], side="left"))
        self.low.add(known[:below], int(upto[0]) - below)
        self.high.add(known[upto[-1] :])
        mean = float(known.mean())
        known -= mean
        size, away = len(known), mean - self.mean
        self.known += size
        self.mean += away * size / self.known
        self.squares += float(known @ known) + away**2 * size * (1 - size / self.known)

    @property
    def problem(self) -> str:
        """Ends the sentence "the live rows hold ...", where they can't be compared."""
        if self.infinite:
            return f"{self.infinite} infinite values"
        return f"numbers beyond {LARGEST:g}" if self.extreme > LARGEST else ""

    @property
    def extreme(self) -> float:
        """How far from zero the farthest number is."""
        return max(-self.minimum, self.maximum)

    @property
    def found(self) -> Numbers:
        """What the batches hold, where they hold any number and have no problem."""
        import numpy as np

        before = self.before
        counts = np.diff([0, *self.upto, self.known]).tolist()
        return Numbers(
            edges=before.edges,
            counts=counts,
            means=[
                self.low.mean,
                *before.means[1:-1],
                self.high.mean,
            ],
            low=self.low.groups(self.minimum),
            high=self.high.groups(self.maximum),
            mean=self.mean,
            sd=math.sqrt(self.squares / self.known),
            minimum=self.minimum,
            median=_median(before, counts, self.minimum, self.maximum),
            maximum=self.maximum,
        )


def _median(before: Numbers, counts: list[int], minimum: float, maximum: float) -> float:
    """By interpolation within its bin; exact where the reference has one value in it."""
    import numpy as np

    at = np.clip([minimum, *before.edges, maximum], minimum, maximum)
    upto = np.cumsum([0, *counts])
    place = int(np.searchsorted(upto[1:], upto[-1] / 2))
    if place < len(before.edges) and before.means[place] == before.edges[place]:
        return before.edges[place]
    return float(np.interp(upto[-1] / 2, upto[place : place + 2], at[place : place + 2]))


@dataclass
class CategoryTally:
    """Rows counted by the categories that a reference profile keeps.

    Text is counted by Polars' 64-bit hashes, sorted: half of the time that grouping takes, and
    as fast with millions of new categories. Two names with one hash are not to be expected in
    less than a billion.

    Parameters
    ----------
    before : Categories
    step : int
        Where the reference's other categories are known by their hashes, one row of so many is
        looked up.
    room : ndarray of float
        As of numbers.
    """

    before: Categories
    step: int
    room: "np.ndarray"
    counts: "np.ndarray" = field(init=False)
    missing: int = 0
    rows: int = 0
    unseen: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        import numpy as np
        import polars as pl

        self.counts = np.zeros(len(self.before.names), dtype=np.int64)
        self._names = pl.Series(self.before.names, dtype=pl.String).hash().to_numpy()
        self._hashes = self.before.known_hashes

    def add(self, values: "pl.Series") -> None:
        """Count a batch of text."""
        import numpy as np

        known = _known(values)
        self.missing += len(values) - len(known)
        ordered = _sorted(known.hash(), self.room.view(np.uint64))
        self.counts += ordered.searchsorted(self._names, "right")
        self.counts -= ordered.searchsorted(self._names, "left")
        if self.before.hashes:
            self._look_up(values)
        self.rows += len(values)

    def _look_up(self, values: "pl.Series") -> None:
        import numpy as np

        first = -self.rows % self.step
        if first >= len(values):
            return
        found = _known(values.gather_every(self.step, first)).value_counts()
        hashes, sizes = hashes_of(found.to_series(0)), found.to_series(1).to_numpy()
        asked = hashes <= np.uint64(self.before.hashed_to)
        new = asked & ~np.isin(hashes, self._hashes)
        self.unseen += int(sizes[new].sum())
        self.asked += int(sizes[asked].sum())

    def found(self, known: int) -> Categories:
        """What the batches hold, of so many rows with a value."""
        counts = self.counts.tolist()
        other = known - sum(counts)
        asked = (self.unseen, self.asked) if self.before.hashes else (other, known)
        return Categories(
            names=self.before.names, counts=counts, other=other, unseen=asked[0], asked=asked[1]
        )


def _sorted(values: "pl.Series", room: "np.ndarray") -> "np.ndarray":
    ordered = room[: len(values)]
    ordered[:] = values.to_numpy()
    ordered.sort()
    return ordered


def _known(values: "pl.Series") -> "pl.Series":
    # Polars plans a query for it.
    return values.drop_nulls() if values.null_count() else values


def hashes_of(names: "pl.Series") -> "np.ndarray":
    """64-bit hashes of text that stay the same from one release to the next."""
    import pandas as pd

    return pd.util.hash_array(names.to_numpy().astype(object), categorize=False)
