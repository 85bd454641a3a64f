"""Rows to be profiled, from wherever they are, as columns that Polars reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.drift.profile import Family
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

# The square of a larger number is no float.
LARGEST = 1e150


class BrokenColumn(Exception):
    """What a column holds that can't be compared: ends the sentence "the live rows hold ..."."""


@dataclass(frozen=True)
class Column:
    """A column of `Rows`.

    Parameters
    ----------
    place : str
        Its name in ``Rows.frame``; empty where it has a problem.
    family : str
        What its type says; a column of nulls may have any.
    category : bool
        Declared to be of few values, whatever these are.
    """

    name: str
    place: str = ""
    family: Family = "empty"
    problem: str = ""
    category: bool = False

    @property
    def numbers(self) -> "pl.Expr":
        """Its values as floats, null where missing: of times seconds since 1970."""
        return self.floats.fill_nan(None) if self.family == "number" else self.floats

    @property
    def floats(self) -> "pl.Expr":
        """``numbers`` with NaN as it is, which is at most nothing."""
        import polars as pl

        column = pl.col(self.place)
        if self.family == "text":
            return column.str.len_chars().cast(pl.Float64)
        if self.family.startswith("time"):
            zone = "UTC" if self.family.endswith("zone") else None
            return column.cast(pl.Datetime("us", zone)).dt.epoch("us").cast(pl.Float64) / 1e6
        return column.cast(pl.Float64)

    @property
    def missing(self) -> "pl.Expr":
        """Whether each of its values is null or NaN."""
        import polars as pl

        return (self.numbers if self.family == "number" else pl.col(self.place)).is_null()

    @property
    def text(self) -> "pl.Expr":
        """Its values as text, null where missing."""
        import polars as pl

        return pl.col(self.place).cast(pl.String)


@dataclass(frozen=True)
class Rows:
    """Columns by name, and the frame that holds them under names of its own.

    Parameters
    ----------
    frame : LazyFrame
    columns : dict of str to Column
    """

    frame: "pl.LazyFrame"
    columns: dict[str, Column]


def read(source: Any, only: "list[str] | None" = None) -> Rows:
    """Find out what columns a source has, without reading more of it than that takes.

    Parameters
    ----------
    source : pandas or polars DataFrame, LazyFrame, pyarrow Table, or path of Parquet files
    only : list of str, optional
        Leave other columns alone.

    Raises
    ------
    EvidenceError
        When a file can't be read as Parquet, or the source is something else.
    """
    import polars as pl

    if isinstance(source, str | Path):
        source = pl.scan_parquet(source)
    if isinstance(source, pl.LazyFrame | pl.DataFrame):
        return _from_polars(source.lazy(), only)
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    if kind.startswith("pandas."):
        return _from_pandas(source, only)
    if kind.startswith("pyarrow."):
        return _from_polars(pl.DataFrame(pl.from_arrow(source)).lazy(), only)
    raise EvidenceError(f"rows for a drift report can't be read from a {kind}")


def _from_polars(frame: "pl.LazyFrame", only: "list[str] | None") -> Rows:
    import polars as pl
    from polars.exceptions import PolarsError

    try:
        schema = frame.collect_schema()
    except (PolarsError, OSError) as error:
        raise EvidenceError(f"rows for a drift report can't be read: {error}") from error
    wanted = [name for name in schema if only is None or name in only]
    columns = {name: _column(name, str(n), schema[name]) for n, name in enumerate(wanted)}
    readable = [c for c in columns.values() if c.place]
    # A frame without columns has no rows.
    rows = [pl.col(c.name).alias(c.place) for c in readable] or [pl.lit(None).alias("none")]
    return Rows(frame.select(rows) if readable else frame, columns)


def _column(name: str, place: str, dtype: "pl.DataType") -> Column:
    import polars as pl

    family: Family
    if dtype.is_numeric():
        family = "number"
    elif dtype == pl.Boolean:
        family = "boolean"
    elif dtype in (pl.String, pl.Categorical, pl.Enum):
        family = "text"
    elif isinstance(dtype, pl.Datetime) and dtype.time_zone:
        family = "time with a zone"
    elif dtype in (pl.Date, pl.Datetime):
        family = "time"
    elif dtype == pl.Null:
        family = "empty"
    else:
        return Column(name, problem=f"{dtype} values, which can't be compared")
    return Column(name, place, family)


def _from_pandas(frame: "pd.DataFrame", only: "list[str] | None") -> Rows:
    import polars as pl

    places: dict[str, list[int]] = {}
    for place, name in enumerate(map(str, frame.columns)):
        if only is None or name in only:
            places.setdefault(name, []).append(place)
    columns, series = {}, []
    for name, (first, *more) in places.items():
        try:
            if more:
                raise BrokenColumn(f"{1 + len(more)} columns of this name")
            values = frame.iloc[:, first]
            family = family_of(values)
            series.append(pl.Series(str(first), _to_polars(values, family)))
            category = str(values.dtype) == "category"
            columns[name] = Column(name, str(first), family, category=category)
        except BrokenColumn as broken:
            columns[name] = Column(name, problem=str(broken))
    if not series:
        series = [pl.Series("none", [None] * len(frame), dtype=pl.Null)]
    return Rows(pl.DataFrame(series).lazy(), columns)


def family_of(values: "pd.Series") -> Family:
    """What kind of values a pandas column of any dtype holds.

    Raises
    ------
    BrokenColumn
        When these are mixed, or of a type that can't be compared.
    """
    import pandas as pd
    from pandas.api import types

    dtype = values.dtype
    if values.isna().all() and not types.is_numeric_dtype(dtype):
        return "empty"
    if isinstance(dtype, pd.CategoricalDtype):
        return family_of(pd.Series(dtype.categories))
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return "number"
    found = types.infer_dtype(values, skipna=True)
    families: dict[str, Family] = {
        "integer": "number",
        "floating": "number",
        "mixed-integer-float": "number",
        "decimal": "number",
        "string": "text",
        "boolean": "boolean",
        "date": "time",
    }
    if found in families:
        return families[found]
    if found in ("datetime", "datetime64"):
        return _time_family(values)
    raise BrokenColumn(f"{found} values ({dtype}), which can't be compared")


def _time_family(values: "pd.Series") -> Family:
    if values.dtype == object:
        zones = {value.tzinfo is not None for value in values.dropna()}
        if len(zones) > 1:
            raise BrokenColumn("times with and without a zone")
        return "time with a zone" if zones.pop() else "time"
    zone = getattr(getattr(values.dtype, "pyarrow_dtype", values.dtype), "tz", None)
    return "time with a zone" if zone else "time"


def _to_polars(values: "pd.Series", family: Family) -> "pl.Series":
    import numpy as np
    import polars as pl
    import pyarrow as pa

    if family == "empty":
        return pl.Series([None] * len(values), dtype=pl.Null)
    if family == "number":
        return pl.Series(_numbers(values))
    if str(values.dtype) == "category" and family == "text":
        names = pl.Series([str(c) for c in values.cat.categories], dtype=pl.String)
        codes = values.cat.codes.to_numpy()
        places = pl.Series(np.where(codes < 0, 0, codes))
        return names.gather(places).set(pl.Series(codes < 0), None)
    arrow = {"text": pa.string(), "boolean": pa.bool_()}.get(family)
    try:
        return pl.Series(pa.array(values, type=arrow, from_pandas=True))
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise BrokenColumn(f"{family} values that can't be read ({error})") from None


def _numbers(values: "pd.Series") -> "np.ndarray":
    import numpy as np

    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iu":
        return values.to_numpy()
    if values.dtype in (np.float32, np.float64):
        return values.to_numpy()
    try:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError:
        raise BrokenColumn("a number that no float holds") from None
