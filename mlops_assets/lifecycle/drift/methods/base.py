"""What a way to measure the distance between two sides of a column is."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.drift.pairs import Pair, Side


class DriftMethod(ABC):
    """A distance between two sides of a column, found by its name in YAML."""

    name: ClassVar[str]
    # Needs the order and the places of bins, which categories don't have.
    of_numbers_only: ClassVar[bool] = False
    # Grows with the square of a shift: no distance, but the square of one.
    divergence: ClassVar[bool] = False

    @abstractmethod
    def distance(self, reference: "Side", live: "Side", pair: "Pair") -> "np.ndarray":
        """The distance of each draw, shape (n_draws,); draws of one side may be one for all."""

    def square(self, distance: "np.ndarray") -> "np.ndarray":
        """What adds up where independent causes do."""
        return distance if self.divergence else distance**2

    def root(self, square: float) -> float:
        """The distance that has a square."""
        return square if self.divergence else square**0.5


def tenths(side: "Side", pair: "Pair") -> "np.ndarray":
    """Counts in tenths of the reference, or by category, shape (n_draws, n_groups)."""
    import numpy as np

    starts = np.flatnonzero(np.diff(pair.tenths, prepend=-1))
    return np.add.reduceat(side.counts, starts, axis=1)
