"""Both sides of a column as shares of its bins, and dealt out anew under "no drift"."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.profile import Categories, Numbers

if TYPE_CHECKING:
    import numpy as np

DRAWS = 400
# Divergences of many bins are mostly noise: they are computed on tenths of the reference.
TENTHS = 10
# The smaller a category, the less its count in the reference says about its share.
FEWEST_IN_CATEGORY = 10
MOST_CATEGORIES = 100
MOST_DEALT = 900_000_000


@dataclass(frozen=True)
class Side:
    """One side of a column; or many redraws of it at once.

    Parameters
    ----------
    counts : ndarray of shape (n_draws, n_bins)
    low, high : ndarray of shape (n_draws,), or None
        Numbers: by how much they fall short of the first edge in the mean, and exceed the last.
    sd : ndarray of shape (n_draws,), or None
        Numbers: their standard deviation.
    """

    counts: "np.ndarray"
    low: "np.ndarray | None" = None
    high: "np.ndarray | None" = None
    sd: "np.ndarray | None" = None

    @property
    def shares(self) -> "np.ndarray":
        """Of each bin, shape (n_draws, n_bins)."""
        return self.counts / self.counts.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Pair:
    """Both sides of a column and what they are drawn from.

    Parameters
    ----------
    reference, live : Side
        One draw each.
    places : ndarray of shape (n_bins + 1,), or None
        Numbers: the first edge, the mean of each bin between edges, the last edge.
    tenths : ndarray of int, shape (n_bins,)
        Where each bin is among tenths of the reference; of categories their own places.
    windows : list of list of int
        Bin counts of each reference window.
    worth : tuple of float
        What a row counts as, of the reference, of the live rows and of the windows.
    """

    reference: Side
    live: Side
    atoms: "Atoms"
    places: "np.ndarray | None"
    tenths: "np.ndarray"
    windows: "np.ndarray"
    worth: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def redrawn(self, draws: int, rng: "np.random.Generator") -> tuple[Side, Side]:
        """The pooled rows dealt out anew, as many to each side as it is worth."""
        before, now = self.sizes
        return self.atoms.worth(before + now).dealt(now, draws, rng)

    @property
    def sizes(self) -> tuple[int, int]:
        """As how many independent rows either side counts."""
        before, now = (
            max(1, round(side.counts.sum() * each))
            for side, each in zip((self.reference, self.live), self.worth, strict=False)
        )
        return before, now

    @property
    def share_of_live_noise(self) -> float:
        """Of the variance of chance, what the live rows have."""
        before, now = self.sizes
        return before / (before + now)

    def usable_windows(self, fewest: int) -> "np.ndarray":
        """Counts of the windows that have so many values, shape (n_windows, n_bins)."""
        if not len(self.windows):
            return self.windows
        return self.windows[self.windows.sum(axis=1) >= fewest]

    def sides(self, first: "np.ndarray", second: "np.ndarray") -> tuple[Side, Side]:
        """Counts of bins, shape (n_draws, n_bins) each, as sides."""
        return self.atoms.side(first), self.atoms.side(second)

    def left_out(self, windows: "np.ndarray") -> tuple[Side, Side]:
        """All windows but one against that one, in turn."""
        return self.sides(windows.sum(axis=0) - windows, windows)

    def left_out_by_chance(
        self, windows: "np.ndarray", draws: int, rng: "np.random.Generator"
    ) -> tuple[Side, Side]:
        """As `left_out`, had the windows' rows been dealt out to them."""
        counts = self.atoms.spread(windows.sum(axis=0, keepdims=True))[0].astype(int)
        size = max(1, int(counts.sum() * self.worth[2]) // len(windows))
        pooled = replace(self.atoms, counts=counts).worth(size * len(windows))
        return pooled.dealt(size, draws, rng)


@dataclass(frozen=True)
class Atoms:
    """What is dealt out: a bin's mean, or one of the groups that the first and last bin consist of.

    Parameters
    ----------
    counts : ndarray of int, shape (n_atoms,)
        Of both sides together.
    bins : ndarray of int, shape (n_atoms,)
        Ascending: the bin that each is in.
    values : ndarray of shape (n_atoms,), or None
        Numbers.
    within : float
        Numbers: the variance within bins.
    ends : tuple of float
        Numbers: the first and the last edge.
    """

    counts: "np.ndarray"
    bins: "np.ndarray"
    values: "np.ndarray | None" = None
    within: float = 0.0
    ends: tuple[float, float] = (0.0, 0.0)

    def dealt(self, size: int, draws: int, rng: "np.random.Generator") -> tuple[Side, Side]:
        """All but ``size`` of the rows, and these, so many times."""
        import numpy as np

        counts, total = self.counts, int(self.counts.sum())
        if total > MOST_DEALT:
            # Noise of so many rows is nothing; numpy deals out no more.
            counts = np.floor(counts * (MOST_DEALT / total)).astype(np.int64)
            size = int(size * (MOST_DEALT / total))
        live = rng.multivariate_hypergeometric(counts, size, size=draws, method="marginals")
        return self._side(counts - live), self._side(live)

    def worth(self, total: int) -> "Atoms":
        """The same in as many rows as these count for."""
        import numpy as np

        rows = int(self.counts.sum())
        if total >= rows:
            return self
        upto = np.round(np.cumsum(self.counts) * (total / rows)).astype(np.int64)
        return replace(self, counts=np.diff(upto, prepend=0))

    def side(self, counts: "np.ndarray") -> Side:
        """Counts of bins, shape (n_draws, n_bins), as a side."""
        return self._side(self.spread(counts))

    def spread(self, counts: "np.ndarray") -> "np.ndarray":
        """Counts of bins over each bin's atoms, shape (n_draws, n_atoms)."""
        import numpy as np

        total = np.bincount(self.bins, self.counts)[self.bins]
        part = np.divide(self.counts, total, out=np.zeros_like(total), where=total > 0)
        return counts[:, self.bins] * part

    def _side(self, counts: "np.ndarray") -> Side:
        import numpy as np

        starts = np.flatnonzero(np.diff(self.bins, prepend=-1))
        binned = np.add.reduceat(counts, starts, axis=1)
        if self.values is None:
            return Side(binned)
        size = counts.sum(axis=1)
        first, last = self.ends
        low = counts @ np.maximum(first - self.values, 0) / size
        high = counts @ np.maximum(self.values - last, 0) / size
        centred = self.values - self.counts @ self.values / self.counts.sum()
        variance = counts @ centred**2 / size - (counts @ centred / size) ** 2
        return Side(binned, low, high, np.sqrt(np.maximum(variance + self.within, 0)))


def pair_of_numbers(reference: Numbers, live: Numbers, worth: tuple[float, float, float]) -> Pair:
    """Both sides of numbers."""
    import numpy as np

    counts = np.array([reference.counts, live.counts])
    edges = np.array(reference.edges)
    places = np.array([edges[0], *reference.means[1:-1], edges[-1]])
    last = len(edges)
    atoms: list[tuple[int, float, int]] = [
        *((0, value, count) for side in (reference, live) for value, count in side.low),
        *((n, reference.means[n], int(counts[:, n].sum())) for n in range(1, last)),
        *((last, value, count) for side in (reference, live) for value, count in side.high),
    ]
    for end in (0, last):
        if not any(place == end for place, _, _ in atoms):
            atoms.append((end, edges[min(end, last - 1)], 0))
    atoms.sort()
    bins, values, sizes = (np.array(part) for part in zip(*atoms, strict=True))
    return Pair(
        reference=_side_of_numbers(reference, edges),
        live=_side_of_numbers(live, edges),
        atoms=Atoms(sizes, bins, values, _variance_within(reference), (edges[0], edges[-1])),
        places=places,
        tenths=_tenths(counts[0]),
        windows=np.array(reference.windows),
        worth=worth,
    )


def _variance_within(side: Numbers) -> float:
    import numpy as np

    shares = np.array(side.counts) / sum(side.counts)
    means = np.array(side.means)
    for place, groups in ((0, side.low), (-1, side.high)):
        shares[place] = 0 if groups else shares[place]
    values = np.array([*means, *(value for value, _ in (*side.low, *side.high))])
    ends = np.array([count for _, count in (*side.low, *side.high)]) / sum(side.counts)
    weights = np.concatenate([shares, ends])
    return max(0.0, (side.sd or 0.0) ** 2 - weights @ (values - weights @ values) ** 2)


def _side_of_numbers(side: Numbers, edges: "np.ndarray") -> Side:
    import numpy as np

    counts = np.array([side.counts])
    size = counts.sum()
    low = counts[0, 0] * (edges[0] - side.means[0]) / size
    high = counts[0, -1] * (side.means[-1] - edges[-1]) / size
    return Side(counts, np.array([low]), np.array([high]), np.array([side.sd]))


def _tenths(counts: "np.ndarray") -> "np.ndarray":
    import numpy as np

    upto = np.cumsum(counts) - counts / 2
    groups = np.minimum(TENTHS * upto // counts.sum(), TENTHS - 1).astype(int)
    return np.unique(groups, return_inverse=True)[1]


def pair_of_categories(
    reference: Categories, live: Categories, worth: tuple[float, float, float]
) -> Pair:
    """Both sides of categories; those that are rare in the reference as one.

    Without pooling, the thousands of categories that each side has once would be a distance of
    their own, and new categories would be found in every window.
    """
    import numpy as np

    rows = np.array(reference.counts) * worth[0]
    kept = int((rows >= FEWEST_IN_CATEGORY)[:MOST_CATEGORIES].sum())
    counts = np.array([_pooled([*side.counts, side.other], kept) for side in (reference, live)])
    windows = [_pooled(window, kept) for window in reference.windows]
    bins = np.arange(kept + 1)
    return Pair(
        reference=Side(counts[:1]),
        live=Side(counts[1:]),
        atoms=Atoms(counts.sum(axis=0), bins),
        places=None,
        tenths=bins,
        windows=np.array(windows),
        worth=worth,
    )


def _pooled(counts: list[int], kept: int) -> list[int]:
    return [*counts[:kept], sum(counts[kept:])]
