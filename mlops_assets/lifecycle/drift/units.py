"""How much rows of one unit are alike, and as how many independent rows they count.

Rows of a customer resemble each other: a window of 5,000 rows of 200 customers says little more
of a column that belongs to the customer than 200 rows do. Its noise is that of ``rows / effect``
independent rows, where ``effect = 1 + (rows a unit - 1) * likeness`` (Kish, "Survey Sampling",
1965, section 5.4; of tables Rao and Scott, "The analysis of categorical data from complex sample
surveys", JASA 76, 1981). The likeness is measured once, when the reference is profiled.
"""

from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import Categories, ColumnProfile, Numbers, Profile
from mlops_assets.lifecycle.drift.reading import Column, Rows, read
from mlops_assets.lifecycle.drift.scan import collect, rows_of
from mlops_assets.lifecycle.drift.tallies import hashes_of
from mlops_assets.lifecycle.drift.unit_counts import UNIT, UnitCounts, unit_of, windows_apart

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

# Units are drawn, each with all of its rows, until there are about so many rows.
MOST_ROWS = 200_000
# From fewer further rows of units nothing is learnt: their likeness is taken to be complete.
FEWEST_FURTHER = 30
FEWEST_ON_A_SIDE = 10
MOST_BINS = 100
ROW = "row"


def with_units(profile: Profile, source: Any, unit: str) -> Profile:
    """A reference profile with its units, and each column's likeness within them.

    Parameters
    ----------
    source : as `Profile.of` reads
        The rows of the profile.
    unit : str
        The column that tells whose a row is; where it is null, a row is a unit.

    Raises
    ------
    EvidenceError
        When there is no such column, or it can't be read.
    """
    rows = read(source, only=[*profile.names, unit])
    codes, kept = _codes(rows, unit)
    units = UnitCounts.of(source, unit)
    columns = [_measured(c, rows, kept, codes, unit) for c in profile.columns]
    columns = [
        c.model_copy(update={"rows_a_unit": units.rows_a_unit}) if c.numbers or c.categories else c
        for c in columns
    ]
    return profile.model_copy(update={"columns": columns, "units": units.kept()})


def with_windows(profile: Profile, windows: dict[str, Any], unit: str) -> Profile:
    """A reference profile with the rows a unit of its windows, what they share taken out."""
    usual = windows_apart([UnitCounts.of(source, unit) for source in windows.values()])
    columns = [
        c.model_copy(update={"rows_a_unit_in_windows": usual}) if _counted(c) else c
        for c in profile.columns
    ]
    return profile.model_copy(update={"columns": columns})


def live_units(live: Profile, before: Profile, source: Any, unit: str) -> Profile:
    """A window's profile with the rows a unit of both sides, what they share taken out.

    Parameters
    ----------
    before : Profile
        Of the reference; with its units.
    source : as `scan` reads
        The rows of the window.
    """
    if before.units is None:
        return live
    usual = UnitCounts.read(before.units).apart(UnitCounts.of(source, unit))
    update = {"rows_a_unit": usual}
    return live.model_copy(update={"columns": [c.model_copy(update=update) for c in live.columns]})


def worth(before: ColumnProfile, now: ColumnProfile, likeness: float) -> tuple[float, float, float]:
    """What a row counts as, of the reference, of the live rows and of the reference's windows.

    Where the live rows' units are not known, they are as those of the windows, or else as the
    reference's. No row counts for more than one.
    """
    usual = before.rows_a_unit_in_windows
    usual = usual if usual is not None else before.rows_a_unit or 1.0
    both = now.rows_a_unit if now.rows_a_unit is not None else usual
    first, second = (1 / max(1.0, 1 + (size - 1) * likeness) for size in (both, usual))
    return first, first, second


def likeness_of(scores: "np.ndarray", codes: "np.ndarray") -> float:
    """The intraclass correlation of numbers within units, between 0 and 1.

    By analysis of variance with units of different size (Donner, "A review of inference
    procedures for the intraclass correlation coefficient in the one-way random effects model",
    Int. Stat. Rev. 54, 1986).

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
    codes : ndarray of int, shape (n_rows,)
        The unit of each, from 0 to n_units - 1.
    """
    import numpy as np

    sizes = np.bincount(codes)
    centred = scores - scores.mean()
    between = float(np.bincount(codes, centred) ** 2 @ (1 / sizes))
    return _correlation(between, float(centred @ centred) - between, sizes)


def likeness_of_bins(bins: "np.ndarray", codes: "np.ndarray") -> float:
    """As `likeness_of`, of what bin a row is in: the mean over all bins, as Rao and Scott's."""
    import numpy as np

    sizes, counts = np.bincount(codes), np.bincount(bins)
    pairs, each = np.unique(codes * len(counts) + bins, return_counts=True)
    squares = float((each**2 / sizes[pairs // len(counts)] / counts[pairs % len(counts)]).sum())
    seen = int((counts > 0).sum())
    total = len(codes)
    return _correlation(total * (squares - 1), total * (seen - squares), sizes)


def _correlation(between: float, within: float, sizes: "np.ndarray") -> float:
    import numpy as np

    total, units = int(sizes.sum()), len(sizes)
    if units < 2 or total - units < FEWEST_FURTHER:
        return 1.0
    usual = (total - (sizes**2).sum() / total) / (units - 1)
    between, within = between / (units - 1), within / (total - units)
    whole = between + (usual - 1) * within
    return float(np.clip((between - within) / whole, 0, 1)) if whole > 0 else 0.0


def _codes(rows: Rows, unit: str) -> "tuple[np.ndarray, pl.DataFrame]":
    """The unit of each row from 0 on, and these rows: of many some units with all of theirs."""
    import numpy as np
    import polars as pl

    frame = rows.frame.with_columns(unit_of(rows, unit)).with_row_index(ROW)
    share = max(1, rows_of(rows) // MOST_ROWS)
    if share > 1:
        key = pl.coalesce(pl.col(UNIT).hash(seed=0), pl.col(ROW).hash(seed=0))
        frame = frame.filter(key % share == 0)
    kept = collect(frame)
    named = kept[UNIT].rank("dense").cast(pl.Float64).to_numpy()
    # A row of no unit is one of its own.
    codes = np.where(np.isnan(named), -1.0 - np.arange(len(kept)), named)
    return _dense(codes), kept


def _measured(
    made: ColumnProfile, rows: Rows, kept: "pl.DataFrame", codes: "np.ndarray", unit: str
) -> ColumnProfile:
    column = rows.columns[made.name]
    if not column.place or not (made.numbers or made.categories):
        return made
    found: dict[str, Any] = {"likeness": 0.0, "missing_likeness": 1.0}
    known = ~kept.select(_missing(column)).to_series().to_numpy()
    units = _dense(codes[known])
    if made.numbers is not None:
        values = kept.select(column.numbers).to_series().to_numpy()[known]
        found["likeness"] = _of_numbers(made.numbers, values, units)
    if made.categories is not None:
        names = kept.select(column.text.alias("name")).to_series().filter(known)
        alike = likeness_of_bins(_places(made.categories, names), units)
        found["likeness"] = max(found["likeness"], alike)
        found["categories"] = _singletons(made.categories, rows, column, unit)
    if min(known.sum(), (~known).sum()) >= FEWEST_ON_A_SIDE:
        found["missing_likeness"] = likeness_of(known.astype(float), codes)
    return made.model_copy(update=found)


def _of_numbers(made: Numbers, values: "np.ndarray", codes: "np.ndarray") -> float:
    """The largest of the likeness of values, of ranks and of bins: which one, a method decides."""
    import numpy as np

    edges = np.array(made.edges)
    bins = np.searchsorted(edges, values)
    ranks = np.cumsum(made.counts) - np.array(made.counts) / 2
    tenths = np.minimum(10 * ranks[bins] // sum(made.counts), 9).astype(int)
    inner = np.clip(values, edges[0], edges[-1])
    if not len(values):
        return 1.0
    return max(
        likeness_of(inner, codes), likeness_of(ranks[bins], codes), likeness_of_bins(tenths, codes)
    )


def _places(made: Categories, names: "pl.Series") -> "np.ndarray":
    import numpy as np
    import polars as pl

    kept = made.names[:MOST_BINS]
    places = names.replace_strict(kept, range(len(kept)), default=len(kept), return_dtype=pl.Int64)
    return places.to_numpy().astype(np.int64)


def _singletons(made: Categories, rows: Rows, column: Column, unit: str) -> Categories:
    """With rows in categories of one unit in the place of categories of one row.

    A new unit's rows are new together: what one unit in turn would be new with is the share of
    rows whose category no other unit has.
    """
    import numpy as np
    import polars as pl

    names = rows.frame.select(column.text.alias("name"), unit_of(rows, unit)).drop_nulls("name")
    found = collect(
        names.group_by("name").agg(pl.len().alias("rows"), pl.col(UNIT).n_unique().alias("units"))
    )
    sizes, units = found["rows"].to_numpy(), found["units"].to_numpy()
    if made.hashes:
        within = hashes_of(found["name"]) <= np.uint64(made.hashed_to)
        sizes, units = sizes[within], units[within]
    ones, twos = (int(sizes[units == count].sum()) // count for count in (1, 2))
    return made.model_copy(update={"singletons": ones, "doubletons": twos})


def _missing(column: Column) -> "pl.Expr":
    import polars as pl

    values = column.numbers if column.family == "number" else pl.col(column.place)
    return values.is_null()


def _dense(codes: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return np.unique(codes, return_inverse=True)[1]


def _counted(column: ColumnProfile) -> bool:
    return any(part is not None and part.windows for part in (column.numbers, column.categories))
