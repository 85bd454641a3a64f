"""The time column of raw data: read as UTC, without a guess, and cut to a window."""

from datetime import date
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.declaration import did_you_mean
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame, Series

# pandas alone would also read "now", "today" and "2026" as timestamps.
_DAY = r"^\d{4}-?\d{2}-?\d{2}"
_CLOCK = r"[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?"
_OFFSET = r" ?(?:Z|[+-]\d{2}(?::?\d{2})?)"
_ISO = rf"{_DAY}(?:{_CLOCK}(?:{_OFFSET})?)?$"
_ISO_WITH_OFFSET = rf"{_DAY}{_CLOCK}{_OFFSET}$"
_EXAMPLES = 5


def cut(frame: "DataFrame", window: Window, time: str | None, where: str) -> "DataFrame":
    """The rows of ``frame`` that fall in ``window``, with the time column parsed.

    Parameters
    ----------
    where : str
        The file, table or function that errors name.
    """
    if time is None:
        if window.start is not None:
            raise SourceError(f"{where}: window {window} needs a time column; none is declared")
        return frame.reset_index(drop=True)
    require_columns([time], list(frame.columns), where, "time column")
    frame = frame.assign(**{time: parse_utc(frame[time], where)})
    if window.start is not None:
        frame = frame[(frame[time] >= window.start) & (frame[time] < window.end)]
    return frame.reset_index(drop=True)


def require_columns(names: list[str], columns: list, where: str, role: str = "column") -> None:
    """Raise SourceError unless each name is a column, exactly once."""
    for name in names:
        if name not in columns:
            shown = ", ".join(str(column) for column in columns)
            near = did_you_mean(name, columns)
            raise SourceError(f"{where}: no {role} {name!r}{near} Columns: {shown}")
        if columns.count(name) > 1:
            raise SourceError(f"{where}: {columns.count(name)} columns are named {name!r}")


def parse_utc(column: "Series", where: str) -> "Series":
    """Timestamps as ``datetime64[us, UTC]``; those without an offset are UTC.

    Accepts datetimes, dates and ISO 8601 text, whose offsets may differ from row to row.

    Raises
    ------
    SourceError
        When a value is missing or unreadable, or only some values have an offset: in such a
        column nobody can say which moments the others mean.
    """
    import pandas as pd

    if not isinstance(column.dtype, pd.DatetimeTZDtype) and column.dtype.kind in "iufbcm":
        raise SourceError(f"{where}: time column {column.name!r} holds {column.dtype}, not time")
    _refuse(column.isna(), column, where, "has no value")
    if column.dtype.kind != "M":
        is_text = pd.api.types.infer_dtype(column) == "string"
        column = _parse_text(column if is_text else column.map(_as_text), where)
    elif column.dt.tz is None:
        column = column.dt.tz_localize("UTC")
    return column.dt.tz_convert("UTC").astype("datetime64[us, UTC]")


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _parse_text(text: "Series", where: str) -> "Series":
    import pandas as pd

    text = text.astype("string[pyarrow]")
    iso = text.str.contains(_ISO, regex=True).astype(bool)
    _refuse(~iso, text, where, "is not an ISO 8601 timestamp")
    _refuse_mixed(text.str.contains(_ISO_WITH_OFFSET, regex=True).astype(bool), text, where)
    parsed = pd.to_datetime(text.astype(object), utc=True, format="ISO8601", errors="coerce")
    _refuse(parsed.isna(), text, where, "is not a timestamp between 1677 and 2262")
    return parsed


def _refuse(bad: "Series", column: "Series", where: str, why: str) -> None:
    if bad.any():
        raise SourceError(
            f"{where}: time column {column.name!r} {why} in {int(bad.sum())} of {len(bad)} rows: "
            f"{_examples(bad, column)}"
        )


def _refuse_mixed(aware: "Series", column: "Series", where: str) -> None:
    if aware.any() and not aware.all():
        raise SourceError(
            f"{where}: time column {column.name!r} mixes {int(aware.sum())} timestamps with an "
            f"offset ({_examples(aware, column, 2)}) and {int((~aware).sum())} without "
            f"({_examples(~aware, column, 2)}); write an offset in all rows or in none"
        )


def _examples(chosen: "Series", column: "Series", most: int = _EXAMPLES) -> str:
    """The first chosen rows, counted from 0 without the header: ``row 3 ('x'), row 7 ('y')``."""
    positions = chosen.to_numpy().nonzero()[0][:most]
    return ", ".join(f"row {at} ({column.iloc[at]!r})" for at in positions)
