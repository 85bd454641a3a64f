"""Reading a new window once, at the edges and categories of a reference profile."""

from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import Categories, ColumnProfile, Numbers, Profile
from mlops_assets.lifecycle.drift.reading import LARGEST, Column, Rows, read
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

# A share of unseen categories is known to 0.2 % from so many rows.
ASKED_ROWS = 200_000


def scan(source: Any, reference: Profile) -> Profile:
    """The profile of a window, at the reference's edges and in its categories.

    One pass in Polars' streaming engine: the rows are never in memory together.

    Parameters
    ----------
    source : pandas or polars DataFrame, LazyFrame, pyarrow Table, or path of Parquet files
    reference : Profile

    Returns
    -------
    Profile
        The reference's columns, in its order. Other columns are not looked at.

    Raises
    ------
    EvidenceError
        When a file can't be read.
    """
    rows = read(source, only=reference.names)
    pairs = [(before, rows.columns.get(before.name)) for before in reference.columns]
    found = _Found(rows, [(b, c) for b, c in pairs if c is not None and c.place])
    columns = [_column(before, column, found) for before, column in pairs]
    return Profile(rows=found.rows, columns=columns, origin="live traffic")


def rows_of(rows: Rows) -> int:
    """How many rows there are."""
    import polars as pl

    return int(collect(rows.frame.select(pl.len())).item())


def collect(frame: "pl.LazyFrame") -> "pl.DataFrame":
    """Its rows, in the streaming engine.

    One at a time: Polars would keep in memory what several have in common.

    Raises
    ------
    EvidenceError
        When a file can't be read.
    """
    from polars.exceptions import PolarsError

    try:
        return frame.collect(engine="streaming")
    except (PolarsError, OSError) as error:
        raise EvidenceError(f"rows for a drift report can't be read: {error}") from error


def hashes_of(names: "pl.Series") -> "np.ndarray":
    """64-bit hashes of text that stay the same from one release to the next."""
    import pandas as pd

    return pd.util.hash_array(names.to_numpy().astype(object), categorize=False)


class _Found:
    """What one pass over a window found."""

    def __init__(self, rows: Rows, pairs: list[tuple[ColumnProfile, Column]]):
        import polars as pl

        facts = [pl.len().alias("rows")]
        of_text: list[list[pl.Expr]] = []
        counted: dict[str, pl.LazyFrame] = {}
        for before, column in pairs:
            found = [_missing(column).alias(f"{column.place} missing")]
            same = column.family == before.family
            if same and before.numbers is not None:
                found += _number_facts(column, before.numbers.edges)
            if same and before.categories is not None:
                counted[before.name] = _by_category(rows, column, before.categories)
            if before.kind == "text":
                of_text.append(found)
            else:
                facts += found
        self.facts: dict[str, Any] = {}
        # Long text is read slower than numbers, which would wait for it in memory.
        for each in (facts, *of_text):
            self.facts |= collect(rows.frame.select(each)).row(0, named=True)
        self.rows = int(self.facts["rows"])
        self.counts = {name: dict(collect(each).iter_rows()) for name, each in counted.items()}
        self.asked = {
            before.name: collect(_sampled(rows, column, self.rows))
            for before, column in pairs
            if before.name in counted and before.categories and before.categories.hashes
        }

    def of(self, place: str) -> dict[str, Any]:
        """The facts on one column."""
        prefix = f"{place} "
        return {k.removeprefix(prefix): v for k, v in self.facts.items() if k.startswith(prefix)}


def _missing(column: Column) -> "pl.Expr":
    import polars as pl

    values = column.numbers if column.family == "number" else pl.col(column.place)
    return values.null_count()


def _number_facts(column: Column, edges: list[float]) -> "list[pl.Expr]":
    import polars as pl

    values, raw, place = column.numbers, column.floats, column.place
    return [
        *((raw <= edge).sum().alias(f"{place} upto {n}") for n, edge in enumerate(edges)),
        pl.when(raw <= edges[0]).then(raw).sum().alias(f"{place} low"),
        pl.when(values > edges[-1]).then(values).sum().alias(f"{place} high"),
        values.is_infinite().sum().alias(f"{place} infinite"),
        values.mean().alias(f"{place} mean"),
        values.std(ddof=0).alias(f"{place} sd"),
        values.min().alias(f"{place} minimum"),
        values.max().alias(f"{place} maximum"),
    ]


def _by_category(rows: Rows, column: Column, before: Categories) -> "pl.LazyFrame":
    import polars as pl

    names = rows.frame.select(column.text.alias("name"))
    # Else each of a million new categories would be counted.
    names = names.filter(pl.col("name").is_in(before.names))
    return names.group_by("name").agg(pl.len())


def _sampled(rows: Rows, column: Column, size: int) -> "pl.LazyFrame":
    """Categories of rows from all over the window, with their counts."""
    import polars as pl

    names = spread(rows.frame.select(column.text.alias("name")), size, ASKED_ROWS)
    return names.drop_nulls().group_by("name").agg(pl.len())


def spread(frame: "pl.LazyFrame", size: int, most: int) -> "pl.LazyFrame":
    """At most so many rows of a frame of a size, from all over it, the same each time."""
    import polars as pl

    step = -(-size // most)
    if step < 2:
        return frame
    place = "row number"
    return frame.with_row_index(place).filter(pl.col(place) % step == 0).drop(place)


def _column(before: ColumnProfile, column: Column | None, found: _Found) -> ColumnProfile:
    if column is None or not column.place:
        problem = "no column of this name" if column is None else column.problem
        return ColumnProfile(name=before.name, kind=before.kind, rows=found.rows, problem=problem)
    facts: dict[str, Any] = {"family": column.family}
    facts["missing"] = missing = int(found.facts[f"{column.place} missing"])
    if missing < found.rows and column.family == before.family:
        if before.numbers is not None:
            facts |= _numbers(before.numbers, column.place, found)
        if before.categories is not None:
            facts["categories"] = _categories(
                before.categories, found.rows - missing, before.name, found
            )
    return ColumnProfile(name=before.name, kind=before.kind, rows=found.rows, **facts)


def _numbers(before: Numbers, place: str, found: _Found) -> dict[str, Any]:
    import numpy as np

    fact = found.of(place)
    if fact["infinite"]:
        return {"problem": f"{fact['infinite']} infinite values"}
    if max(-fact["minimum"], fact["maximum"]) > LARGEST:
        return {"problem": f"numbers beyond {LARGEST:g}"}
    known = found.rows - fact["missing"]
    upto = [fact[f"upto {n}"] for n in range(len(before.edges))]
    counts = np.diff([0, *upto, known]).tolist()
    low = _tail(counts[0], fact["low"], fact["minimum"])
    high = _tail(counts[-1], fact["high"], fact["maximum"])
    return {
        "numbers": Numbers(
            edges=before.edges,
            counts=counts,
            means=[
                fact["low"] / counts[0] if counts[0] else before.edges[0],
                *before.means[1:-1],
                fact["high"] / counts[-1] if counts[-1] else before.edges[-1],
            ],
            low=low,
            high=high,
            mean=fact["mean"],
            sd=fact["sd"],
            minimum=fact["minimum"],
            median=_median(before, counts, fact["minimum"], fact["maximum"]),
            maximum=fact["maximum"],
        )
    }


def _tail(count: int, total: float, extreme: float) -> list[tuple[float, int]]:
    """What is known of a bin without an end: its farthest value, and the mean of the others."""
    if count < 2:
        return [(extreme, 1)] if count else []
    return [((total - extreme) / (count - 1), count - 1), (extreme, 1)]


def _median(before: Numbers, counts: list[int], minimum: float, maximum: float) -> float:
    """By interpolation within its bin; exact where the reference has one value in it."""
    import numpy as np

    at = np.clip([minimum, *before.edges, maximum], minimum, maximum)
    upto = np.cumsum([0, *counts])
    place = int(np.searchsorted(upto[1:], upto[-1] / 2))
    if place < len(before.edges) and before.means[place] == before.edges[place]:
        return before.edges[place]
    return float(np.interp(upto[-1] / 2, upto[place : place + 2], at[place : place + 2]))


def _categories(before: Categories, known: int, name: str, found: _Found) -> Categories:
    import numpy as np

    tallies = found.counts[name]
    counts = [int(tallies.get(category, 0)) for category in before.names]
    other = known - sum(counts)
    if not before.hashes:
        return Categories(names=before.names, counts=counts, other=other, unseen=other, asked=known)
    sample = found.asked[name]
    hashes, sizes = hashes_of(sample["name"]), sample["len"].to_numpy()
    asked = hashes <= np.uint64(before.hashed_to)
    new = asked & ~np.isin(hashes, before.known_hashes)
    return Categories(
        names=before.names,
        counts=counts,
        other=other,
        unseen=int(sizes[new].sum()),
        asked=int(sizes[asked].sum()),
    )
