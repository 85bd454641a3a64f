"""Reading a new window once, at the edges and categories of a reference profile."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import ColumnProfile, Profile
from mlops_assets.lifecycle.drift.reading import Column, Rows, read
from mlops_assets.lifecycle.drift.tallies import CategoryTally, Missing, NumberTally, Tally
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

BATCH_ROWS = 65_536
# Memory for a few columns of a file is used again for the next ones.
COLUMNS_AT_ONCE = 4
# A share of unseen categories is known to 0.2 % from so many rows.
ASKED_ROWS = 200_000


def scan(source: Any, reference: Profile) -> Profile:
    """The profile of a window, at the reference's edges and in its categories.

    A few columns at a time, in batches of Polars' streaming engine: the rows are never in memory
    together.

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
    watched = {b.name: (b, c) for b, c in pairs if c is not None and c.place}
    size, tallies = _tallied(rows, watched)
    columns = [_column(b, c, size, tallies.get(b.name, [])) for b, c in pairs]
    return Profile(rows=size, columns=columns, origin="live traffic")


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
    with _reading():
        return frame.collect(engine="streaming")


def batches(frame: "pl.LazyFrame") -> "Iterator[pl.DataFrame]":
    """Its rows in order, so many at a time that a column of them stays in a core's cache.

    Raises
    ------
    EvidenceError
        When a file can't be read.
    """
    with _reading():
        yield from frame.collect_batches(chunk_size=BATCH_ROWS, lazy=True, engine="streaming")


@contextmanager
def _reading() -> Iterator[None]:
    from polars.exceptions import PolarsError

    try:
        yield
    except (PolarsError, OSError) as error:
        raise EvidenceError(f"rows for a drift report can't be read: {error}") from error


def step_of(size: int, most: int) -> int:
    """One row of so many is at most so many rows of a frame of a size."""
    return max(-(-size // most), 1)


def spread(frame: "pl.LazyFrame", size: int, most: int) -> "pl.LazyFrame":
    """At most so many rows of a frame of a size, from all over it, the same each time."""
    import polars as pl

    step = step_of(size, most)
    if step < 2:
        return frame
    place = "row number"
    return frame.with_row_index(place).filter(pl.col(place) % step == 0).drop(place)


def _tallied(
    rows: Rows, watched: dict[str, tuple[ColumnProfile, Column]]
) -> tuple[int, dict[str, list[Tally]]]:
    """How many rows there are, and what their columns add up to, by name."""
    import numpy as np

    if not watched:
        return rows_of(rows), {}
    hashed = any(b.categories and b.categories.hashes for b, _ in watched.values())
    step = step_of(rows_of(rows), ASKED_ROWS) if hashed else 1
    room = np.empty(BATCH_ROWS)
    plans = {name: [*_plan(before, c, step, room)] for name, (before, c) in watched.items()}
    order = [*plans.values()]
    for start in range(0, len(order), COLUMNS_AT_ONCE):
        size = _add(rows, [*chain(*order[start : start + COLUMNS_AT_ONCE])])
    return size, {name: [tally for tally, _ in plan] for name, plan in plans.items()}


def _add(rows: Rows, plan: "list[tuple[Tally, pl.Expr]]") -> int:
    """Read what is planned, add it to the tallies; how many rows there were."""
    size = 0
    frame = rows.frame.select(values.alias(str(n)) for n, (_, values) in enumerate(plan))
    for batch in batches(frame):
        size += batch.height
        for (tally, _), values in zip(plan, batch.iter_columns(), strict=True):
            tally.add(values)
    return size


def _plan(
    before: ColumnProfile, column: Column, step: int, room: "np.ndarray"
) -> "Iterator[tuple[Tally, pl.Expr]]":
    """What is tallied of a column, and its values for that; the first says what is missing."""
    same = column.family == before.family
    if same and before.numbers is not None:
        yield NumberTally(before.numbers, room), column.floats
    elif column.family == "number" or not same or before.categories is None:
        yield Missing(), column.missing
    if same and before.categories is not None:
        yield CategoryTally(before.categories, step, room), column.text


def _column(
    before: ColumnProfile, column: Column | None, size: int, tallies: list[Tally]
) -> ColumnProfile:
    facts: dict[str, Any] = {}
    if column is None or not column.place:
        facts["problem"] = "no column of this name" if column is None else column.problem
        return ColumnProfile(name=before.name, kind=before.kind, rows=size, **facts)
    missing = tallies[0].missing
    for tally in tallies if missing < size else []:
        if isinstance(tally, NumberTally):
            facts |= {"problem": tally.problem} if tally.problem else {"numbers": tally.found}
        elif isinstance(tally, CategoryTally):
            facts["categories"] = tally.found(size - missing)
    return ColumnProfile(
        name=before.name,
        kind=before.kind,
        rows=size,
        family=column.family,
        missing=missing,
        **facts,
    )
