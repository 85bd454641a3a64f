"""How long a version takes, as far as it has been seen."""

import math


class Pace:
    """How long a model takes, as far as it has been seen; at first it may be slow.

    Quick to trust and slow to doubt: a busy machine makes any model look slow at times.
    """

    few = 8  # for which a call costs about the same as for one
    memory = 0.8
    tick = 1e-6  # no call takes less

    def __init__(self) -> None:
        self._call = self._row = math.inf

    @property
    def row(self) -> float:
        """Seconds for one of many rows."""
        return min(self._row, self._call)

    def expected(self, rows: int) -> float:
        """Seconds for so many rows at once."""
        return self._call if rows <= self.few else rows * self.row

    def within(self, seconds: float) -> int:
        """How many rows take no longer."""
        return int(seconds / self.row)

    def saw(self, rows: int, seconds: float) -> None:
        """Learn how long a call took."""
        # On a virtual machine a thread's clock may stand still for a while.
        seconds = max(seconds, self.tick)
        if rows <= self.few:
            self._call = self._blend(self._call, seconds)
        else:
            self._row = self._blend(self._row, seconds / rows)
            # Fewer would have taken no longer.
            self._call = min(self._call, seconds)

    def _blend(self, known: float, seen: float) -> float:
        return min(seen, self.memory * min(known, 1.0) + (1 - self.memory) * seen)
