"""How many rows each unit has, and how far two sets of rows are apart in this.

Where the level of a unit varies by ``v``, that of a mean over rows differs between two sides by
``v * sum((p - q)**2)``, with ``p`` and ``q`` each unit's share of the rows of a side. Customers
that nobody has seen before make that large. The same products each week make it nothing, however
much their rows are alike.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from mlops_assets.lifecycle.drift.profile import Units, read_hashes, written_hashes
from mlops_assets.lifecycle.drift.reading import Rows, read
from mlops_assets.lifecycle.drift.scan import collect
from mlops_assets.lifecycle.drift.tallies import hashes_of
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

UNIT = "unit"
# So many are kept of a reference: what they share with a window tells what all do.
KEPT = 2048
LAST = 2**64 - 1


@dataclass(frozen=True)
class UnitCounts:
    """The rows of each unit, by the hash of its name.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n_units,)
        Ascending.
    counts : ndarray of float, shape (n_units,)
    rows : int
        Of all units, kept or not, and of none: such a row is a unit of its own.
    squares : float
        Of all counts.
    hashed_to : int
        Units with a larger hash are not kept.
    """

    hashes: "np.ndarray"
    counts: "np.ndarray"
    rows: int
    squares: float
    hashed_to: int = LAST

    @classmethod
    def of(cls, source: Any, unit: str) -> Self:
        """The units of rows.

        Raises
        ------
        EvidenceError
            When there is no such column, or it can't be read.
        """
        import numpy as np
        import polars as pl

        rows = read(source, only=[unit])
        frame = rows.frame.select(unit_of(rows, unit))
        found = collect(frame.drop_nulls().group_by(UNIT).agg(pl.len().alias("rows")))
        alone = int(collect(frame.null_count()).item())
        hashes, counts = hashes_of(found[UNIT]), found["rows"].to_numpy().astype(float)
        order = np.argsort(hashes)
        squares = float((counts**2).sum()) + alone
        return cls(hashes[order], counts[order], int(counts.sum()) + alone, squares)

    @classmethod
    def read(cls, kept: Units) -> Self:
        """What `kept` has written."""
        import numpy as np

        hashes = read_hashes(kept.hashes)
        counts = np.array(kept.counts, dtype=float)
        return cls(hashes, counts, kept.rows, kept.squares, kept.hashed_to)

    def kept(self) -> Units:
        """So few units that they can be stored with a profile."""
        few = self.upto(int(self.hashes[KEPT - 1])) if len(self.hashes) > KEPT else self
        hashes = written_hashes(few.hashes)
        counts = few.counts.astype(int).tolist()
        return Units(hashes=hashes, counts=counts, rows=few.rows, squares=few.squares,
                     hashed_to=few.hashed_to)  # fmt: skip

    def upto(self, hashed_to: int) -> Self:
        """Without the units of larger hashes."""
        import numpy as np

        kept = int(np.searchsorted(self.hashes, np.uint64(hashed_to), side="right"))
        return replace(
            self, hashes=self.hashes[:kept], counts=self.counts[:kept], hashed_to=hashed_to
        )

    @property
    def rows_a_unit(self) -> float:
        """How many rows the unit of a row has, in the mean over rows; 1 without rows."""
        return self.squares / self.rows if self.rows else 1.0

    def apart(self, other: "UnitCounts") -> float:
        """As how many rows a unit both sides have, what they share taken out.

        Returns
        -------
        float
            ``sum((p - q)**2) / (1 / n + 1 / m)``: with no unit in common the rows a unit, 0 where
            all have the same share of either side.
        """
        import numpy as np

        if not self.rows or not other.rows:
            return 1.0
        last = min(self.hashed_to, other.hashed_to)
        mine, theirs = self.upto(last), other.upto(last)
        _, here, there = np.intersect1d(
            mine.hashes, theirs.hashes, assume_unique=True, return_indices=True
        )
        shared = float(mine.counts[here] @ theirs.counts[there]) / ((last + 1) / (LAST + 1))
        n, m = self.rows, other.rows
        squares = self.squares / n**2 + other.squares / m**2 - 2 * shared / (n * m)
        return max(0.0, squares / (1 / n + 1 / m))


def windows_apart(windows: list[UnitCounts]) -> float:
    """The mean over windows of how far each is apart from all others together."""
    import numpy as np

    if len(windows) == 1:
        return windows[0].rows_a_unit
    return float(np.mean([one.apart(_together(windows, but=one)) for one in windows]))


def _together(windows: list[UnitCounts], but: UnitCounts) -> UnitCounts:
    import numpy as np

    others = [one for one in windows if one is not but]
    hashes, place = np.unique(np.concatenate([o.hashes for o in others]), return_inverse=True)
    counts = np.bincount(place, np.concatenate([o.counts for o in others]), len(hashes))
    rows = sum(o.rows for o in others)
    alone = rows - counts.sum()
    return UnitCounts(hashes, counts, rows, float((counts**2).sum() + alone))


def unit_of(rows: Rows, unit: str) -> "pl.Expr":
    """The column that tells whose a row is, as text named `UNIT`.

    Raises
    ------
    EvidenceError
        When there is no such column, or it can't be read.
    """
    import polars as pl

    column = rows.columns.get(unit)
    if column is None or not column.place:
        problem = column.problem if column else "there is no such column"
        raise EvidenceError(f"the rows' units can't be told by {unit!r}: {problem}")
    return pl.col(column.place).cast(pl.String).alias(UNIT)
