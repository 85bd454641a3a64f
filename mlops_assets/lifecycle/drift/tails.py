"""What lies beyond the edges of a profile, while batches of a window pass by."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Distances of 1/32 to 2**26 times as far as the edges are wide.
NEAREST, TAIL_GROUPS = -4, 32


class Tail:
    """What lies beyond an edge, in groups that are each twice as far as the one before.

    A few huge values among many that are only just beyond it are none of these: what is dealt out
    anew has to be what was there.

    Parameters
    ----------
    edge : float
    width : float
        Of all edges.
    """

    def __init__(self, edge: float, width: float):
        import numpy as np

        self.edge = edge
        self.width = width or abs(edge) or 1.0
        self.at_edge = 0
        self.counts = np.zeros(TAIL_GROUPS, dtype=np.int64)
        self.sums = np.zeros(TAIL_GROUPS)

    def add(self, values: "np.ndarray", at_edge: int = 0) -> None:
        """Count what is beyond the edge, and how many are on it."""
        import numpy as np

        self.at_edge += at_edge
        if not len(values):
            return
        with np.errstate(over="ignore"):
            away = np.minimum(np.abs(values - self.edge) / self.width, 2.0**TAIL_GROUPS)
        groups = np.clip(np.frexp(away)[1] - NEAREST, 0, TAIL_GROUPS - 1)
        self.counts += np.bincount(groups, minlength=TAIL_GROUPS)
        self.sums += np.bincount(groups, values, minlength=TAIL_GROUPS)

    @property
    def mean(self) -> float:
        """Of all in the tail; the edge where there are none."""
        count = int(self.counts.sum()) + self.at_edge
        return float(self.sums.sum() + self.edge * self.at_edge) / count if count else self.edge

    def groups(self, extreme: float) -> list[tuple[float, int]]:
        """The mean and the size of each group; the farthest value is one of its own."""
        found = [(self.edge, self.at_edge)] if self.at_edge else []
        last = int(self.counts.nonzero()[0].max(initial=-1))
        for n in self.counts.nonzero()[0].tolist():
            total, count = float(self.sums[n]), int(self.counts[n])
            if n == last:
                total, count = total - extreme, count - 1
            found += [(total / count, count)] if count else []
        return found + ([(extreme, 1)] if last >= 0 else [])
