"""Making the reference profile: each column read alone, once, when a version is trained."""

from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import (
    Categories,
    ColumnProfile,
    Numbers,
    Profile,
    written_hashes,
)
from mlops_assets.lifecycle.drift.reading import LARGEST, Column, Rows, read
from mlops_assets.lifecycle.drift.report import Kind
from mlops_assets.lifecycle.drift.scan import collect, rows_of, scan
from mlops_assets.lifecycle.drift.tallies import hashes_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

# Between the ends edges lie as close as halfway between equal shares and equal widths: a heavy
# tail has few rows, and most of the distance. Beyond the last only means are known.
ENDS = (0.002, 0.998)
EDGES = 35
TAIL_EDGES = 4
TAIL_GROUPS = 16
KEPT_CATEGORIES = 256
# Of categories that are too many to be kept: 128 kB a column.
KEPT_HASHES = 16_384


def profile_columns(source: Any, unit: str | None = None) -> tuple[int, list[ColumnProfile]]:
    """How many rows a source has, and the profile of each of its columns but ``unit``."""
    rows = read(source)
    size = rows_of(rows)
    return size, [
        _profile(rows, column, size) for column in rows.columns.values() if column.name != unit
    ]


def windows_counted(profile: Profile, windows: dict[str, Any]) -> Profile:
    """The profile with the bin counts of each window, of columns that every window has."""
    scanned = [scan(windows[key], profile) for key in sorted(windows)]
    columns = [
        _with_windows(column, [window.columns[place] for window in scanned])
        for place, column in enumerate(profile.columns)
    ]
    keys = sorted({*profile.windows, *windows})
    return profile.model_copy(update={"columns": columns, "windows": keys})


def _with_windows(column: ColumnProfile, sides: list[ColumnProfile]) -> ColumnProfile:
    facts: dict[str, Any] = {}
    numbers = [side.numbers.counts for side in sides if side.numbers]
    if column.numbers and len(numbers) == len(sides):
        facts["numbers"] = column.numbers.model_copy(update={"windows": numbers})
    tallies = [[*c.counts, c.other] for c in (side.categories for side in sides) if c]
    if column.categories and len(tallies) == len(sides):
        facts["categories"] = column.categories.model_copy(update={"windows": tallies})
    return column.model_copy(update=facts)


def _profile(rows: Rows, column: Column, size: int) -> ColumnProfile:
    if not column.place:
        return ColumnProfile(
            name=column.name, kind="categorical", rows=size, problem=column.problem
        )
    numeric = column.family in ("number", "time", "time with a zone") and not column.category
    made = ColumnProfile(
        name=column.name, kind=_kind(column), family=column.family, rows=size, missing=size
    )
    if numeric:
        return _with_numbers(made, _collected(rows, column.numbers))
    return _with_categories(made, rows, column)


def _kind(column: Column) -> Kind:
    if column.category:
        return "categorical"
    kinds: dict[str, Kind] = {"number": "numeric", "boolean": "boolean"}
    return kinds.get(
        column.family, "datetime" if column.family.startswith("time") else "categorical"
    )


def _with_numbers(made: ColumnProfile, values: "np.ndarray") -> ColumnProfile:
    import numpy as np

    made = made.model_copy(update={"missing": made.rows - len(values)})
    infinite = int(np.isinf(values).sum())
    if infinite:
        return made.model_copy(update={"problem": f"{infinite} infinite values"})
    if len(values) and abs(values).max() > LARGEST:
        return made.model_copy(update={"problem": f"numbers beyond {LARGEST:g}"})
    return made.model_copy(update={"numbers": count_numbers(values)}) if len(values) else made


def _with_categories(made: ColumnProfile, rows: Rows, column: Column) -> ColumnProfile:
    import polars as pl

    text = rows.frame.select(column.text.alias("name")).drop_nulls()
    found = collect(
        text.group_by("name")
        .agg(pl.len().alias("count"))
        .sort("count", "name", descending=[True, False])
    )
    counts = found["count"].to_numpy()
    facts: dict[str, Any] = {"missing": made.rows - int(counts.sum())}
    if len(found):
        facts["categories"] = _categories(found)
    if column.family == "text" and not column.category and len(found) > KEPT_CATEGORIES:
        # Too many to compare one by one: their length tells of a change of form.
        facts |= {"kind": "text", "numbers": count_numbers(_collected(rows, column.numbers))}
    return made.model_copy(update=facts)


def _collected(rows: Rows, values: "pl.Expr") -> "np.ndarray":
    found = collect(rows.frame.select(values.alias("values")).drop_nulls())
    return found["values"].to_numpy()


def count_numbers(values: "np.ndarray") -> Numbers:
    """Numbers counted between quantiles of their own; at every value where these are few.

    Parameters
    ----------
    values : ndarray of float, shape (n_values,)
        Finite, at least one.
    """
    import numpy as np

    values = np.sort(values)
    first = np.concatenate([[True], values[1:] > values[:-1]])
    edges = values[first] if first.sum() <= EDGES else _edges(values)
    upto = np.searchsorted(values, edges, side="right")
    parts = np.split(values, upto)
    means = [p.mean() if len(p) else edges[min(n, len(edges) - 1)] for n, p in enumerate(parts)]
    return Numbers(
        edges=edges.tolist(),
        counts=[len(part) for part in parts],
        means=[float(mean) for mean in means],
        low=_groups(parts[0]),
        high=_groups(parts[-1]),
        mean=float(values.mean()),
        sd=float(values.std()),
        minimum=float(values[0]),
        median=float(np.median(values)),
        maximum=float(values[-1]),
    )


def _edges(values: "np.ndarray") -> "np.ndarray":
    """Up to 35 of the sorted values, and four more in a tail of more than a deviation."""
    import numpy as np

    low, high = (round(q * (len(values) - 1)) for q in ENDS)
    inner = values[low : high + 1]
    width = inner[-1] - inner[0]
    reached = np.linspace(0, 1, len(inner))
    if width > 0:
        reached = (reached + (inner - inner[0]) / width) / 2
    at = np.searchsorted(reached, np.linspace(0, 1, EDGES))
    edges = inner[np.minimum(at, len(inner) - 1)]
    tails = [_tail_edges(edges[0], values[0]), _tail_edges(edges[-1], values[-1])]
    heavy = [tail for tail in tails if abs(tail[-1] - tail[0]) > values.std()]
    return np.unique(np.concatenate([edges, *heavy]))


def _tail_edges(end: float, extreme: float) -> "np.ndarray":
    import numpy as np

    return end + (extreme - end) * (np.arange(1, TAIL_EDGES + 1) / (TAIL_EDGES + 1)) ** 2


def _groups(values: "np.ndarray") -> list[tuple[float, int]]:
    """Sorted values in a few groups: the mean and the size of each; of like values one."""
    import numpy as np

    if not len(values) or values[0] == values[-1]:
        return [(float(values[0]), len(values))] if len(values) else []
    parts = np.array_split(values, min(TAIL_GROUPS, len(values)))
    return [(float(part.mean()), len(part)) for part in parts]


def _categories(found: "pl.DataFrame") -> Categories:
    """Of all categories with their counts, most frequent first."""
    import numpy as np

    counts = found["count"].to_numpy()
    kept = found.head(KEPT_CATEGORIES)
    hashes, limit, within = "", 2**64 - 1, counts
    if len(found) > len(kept):
        hashed = hashes_of(found["name"])
        order = np.argsort(hashed)[:KEPT_HASHES]
        hashes = written_hashes(hashed[order])
        limit = int(hashed[order[-1]]) if len(order) < len(hashed) else limit
        within = counts[order]
    return Categories(
        names=kept["name"].to_list(),
        counts=kept["count"].to_list(),
        other=int(counts.sum() - counts[: len(kept)].sum()),
        distinct=len(found),
        hashes=hashes,
        hashed_to=limit,
        singletons=int((within == 1).sum()),
        doubletons=int((within == 2).sum()),
        hashed=int(within.sum()),
    )
