"""Holding a frame against its contract, and against what every dataset must keep."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.contract.declared import InlineContract, to_schema
from mlops_assets.lifecycle.contract.failures import (
    CHECKABLE,
    NOT_NULL,
    TOGETHER,
    missing_column,
    rows_failure,
)
from mlops_assets.lifecycle.contract.report import MAX_ROWS, ContractReport, Failure
from mlops_assets.lifecycle.contract.with_pandera import validate
from mlops_assets.lifecycle.errors import ContractViolation

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandera.pandas import Column


def check(
    frame: "DataFrame",
    contract: "str | InlineContract | None",
    *,
    required: list[str],
    name: str,
    time: str | None = None,
    key: list[str] | None = None,
    max_rows: int = MAX_ROWS,
) -> ContractReport:
    """Hold a frame against its contract and find everything that is wrong with it.

    Parameters
    ----------
    frame : DataFrame
    contract : str, InlineContract or None
        None leaves the checks that every dataset must pass.
    required : list of str
        Columns that must exist and hold no null.
    name : str
        What is checked, for people: ``"fraud 2026-01-05"``.
    time : str or None
        The time column, which must be ``datetime64`` in UTC.
    key : list of str or None
        Columns that together identify a row, where the frame has them.
    max_rows : int
        Failing rows to show for each failure.
    """
    return _inspect(frame, contract, required, name, time, key, max_rows)[0]


def enforce(
    frame: "DataFrame",
    contract: "str | InlineContract | None",
    *,
    required: list[str],
    name: str,
    time: str | None = None,
    key: list[str] | None = None,
    max_rows: int = MAX_ROWS,
) -> "DataFrame":
    """The frame, rows numbered from 0 and coerced where the schema coerces; see ``check``.

    Raises
    ------
    ContractViolation
        With the report.
    """
    report, validated = _inspect(frame, contract, required, name, time, key, max_rows)
    if not report.passed:
        raise ContractViolation(report.summary(), report)
    return validated


def _inspect(frame, contract, required, name, time, key, max_rows):
    frame = frame.reset_index(drop=True)
    schema = to_schema(contract)
    failures = [*_name_failures(frame)]
    again = frame.columns.duplicated()
    usable = [isinstance(c, str) and not again[at] for at, c in enumerate(frame.columns)]
    sound = frame.loc[:, usable]
    failures += _missing(sound, [*required, *(schema.unique or [])])
    validated = sound
    if len(frame) == 0:
        failures.append(Failure(check="no rows in window", column=None, count=0))
        failures += _missing(sound, [c.name for c in schema.columns.values() if _is_plain(c)])
    else:
        failures += _value_failures(sound, required, time, max_rows)
        failures += _key_failure(sound, key or [], max_rows)
        validated, found = validate(schema, sound, max_rows)
        failures += found
    # The platform and Pandera may find the same fault; it is told once.
    unique = {(each.check, each.column): each for each in reversed(failures)}
    told = tuple(reversed(unique.values()))
    nulls = {column: int(count) for column, count in sound.isna().sum().items()}
    report = ContractReport(name=name, passed=not told, rows=len(frame), nulls=nulls, failures=told)
    return report, validated


def _is_plain(column: "Column") -> bool:
    return column.required and not column.regex


def _name_failures(frame: "DataFrame") -> Iterator[Failure]:
    for column in dict.fromkeys(frame.columns[frame.columns.duplicated()]):
        count = int((frame.columns == column).sum())
        detail = f"{count} columns of this name"
        yield Failure(check="column once", column=str(column), count=len(frame), detail=detail)
    for column in frame.columns:
        if not isinstance(column, str):
            detail = f"the name is {type(column).__name__}, not text"
            yield Failure(check="column name", column=str(column), count=len(frame), detail=detail)


def _missing(frame: "DataFrame", columns: list[str]) -> Iterator[Failure]:
    for column in columns:
        if column not in frame.columns:
            yield missing_column(frame, column)


def _value_failures(frame, required: list[str], time: str | None, max_rows: int):
    import numpy as np

    for column in frame.columns:
        values = frame[column]
        if column in required:
            yield from rows_failure(NOT_NULL, column, values.isna(), frame, max_rows)
        if values.dtype.kind == "f":
            infinite = np.isinf(values.to_numpy(dtype="float64", na_value=np.nan))
            yield from rows_failure("finite", column, infinite, frame, max_rows)
        if values.dtype == object:
            yield from _zone_failure(values, frame, max_rows)
    if time is not None and time in frame.columns:
        dtype = frame[time].dtype
        if str(getattr(dtype, "tz", None)) != "UTC":
            yield Failure(check="time in UTC", column=time, count=len(frame), detail=str(dtype))


def _key_failure(frame: "DataFrame", key: list[str], max_rows: int) -> Iterator[Failure]:
    if not key or not set(key) <= set(frame.columns):
        return
    column = ", ".join(key)
    try:
        twice = frame.duplicated(key, keep=False)
    except TypeError as error:
        yield Failure(check=CHECKABLE, column=column, count=len(frame), detail=str(error))
        return
    yield from rows_failure(TOGETHER, column, twice, frame, max_rows)


def _zone_failure(values: "Series", frame: "DataFrame", max_rows: int) -> Iterator[Failure]:
    """An object column of timestamps: they do not share a time zone, or some are not timestamps."""
    import pandas as pd

    if pd.api.types.infer_dtype(values, skipna=True) not in ("datetime", "mixed"):
        return
    times = values[[isinstance(value, datetime) and value is not pd.NaT for value in values]]
    if times.empty:
        return
    offsets = times.map(lambda value: str(value.utcoffset()))
    counts = offsets.replace("None", "naive").value_counts()
    detail = ", ".join(f"{count} at offset {offset}" for offset, count in counts.items())
    first_of_each = times.index.isin(offsets.drop_duplicates().index)
    mask = values.index.isin(times.index[first_of_each])
    for failure in rows_failure("one time zone", values.name, mask, frame, max_rows):
        yield failure.model_copy(update={"count": len(times), "detail": detail})
