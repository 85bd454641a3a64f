"""Running Pandera, and reading its failure cases as failures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.contract.failures import (
    CHECKABLE,
    EXISTS,
    NOT_NULL,
    TOGETHER,
    examples,
    missing_column,
)
from mlops_assets.lifecycle.contract.report import Failure

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandera.pandas import DataFrameSchema

_EXTRA = "column declared"
_DTYPE = "dtype("
_NAMES = {
    "column_in_dataframe": EXISTS,
    "column_in_schema": _EXTRA,
    "not_nullable": NOT_NULL,
    "field_uniqueness": "unique",
    "multiple_fields_uniqueness": TOGETHER,
}
# What Pandera lets escape from lazy validation, when values are not what a check can work on.
_CRASHES = (TypeError, ValueError, AttributeError, KeyError, ArithmeticError)


def validate(schema: "DataFrameSchema", frame: "DataFrame", max_rows: int):
    """The frame as the schema leaves it, and the schema's failures."""
    import pandera.pandas as pa
    from pandera.config import ValidationDepth, config_context

    # PANDERA_VALIDATION_ENABLED=False in the environment would make every contract pass.
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            return schema.validate(frame, lazy=True), []
        except pa.errors.SchemaErrors as errors:
            found = list(_failures(errors.failure_cases, frame, max_rows))
            return frame, _meant(schema, frame, found) or [_crash(None, frame, errors)]
        except (*_CRASHES, pa.errors.SchemaError, pa.errors.SchemaDefinitionError) as error:
            return frame, _failures_by_column(schema, frame, max_rows) or [
                _crash(None, frame, error)
            ]


def _meant(schema: "DataFrameSchema", frame: "DataFrame", found: list[Failure]) -> list[Failure]:
    """Failures without those of a number's checks on text, which tell nothing beyond its type."""
    from pandas.api.types import is_numeric_dtype, pandas_dtype

    texts = {
        each.column
        for each in found
        if each.check.startswith(_DTYPE)
        and frame[each.column].dtype == object
        and is_numeric_dtype(pandas_dtype(str(schema.columns[each.column].dtype)))
    }
    kept = (_DTYPE, NOT_NULL)
    return [each for each in found if each.column not in texts or each.check.startswith(kept)]


def _failures_by_column(schema: "DataFrameSchema", frame: "DataFrame", max_rows: int):
    """Find the columns on which Pandera crashed, and what it would have found in the others."""
    import pandera.pandas as pa

    found: list[Failure] = []
    for column, rules in schema.columns.items():
        try:
            pa.DataFrameSchema({column: rules}).validate(frame, lazy=True)
        except pa.errors.SchemaErrors as errors:
            found += _failures(errors.failure_cases, frame, max_rows)
        except _CRASHES as error:
            found.append(_crash(column, frame, error))
    return found


def _crash(column: str | None, frame: "DataFrame", error: Exception) -> Failure:
    detail = f"{type(error).__name__}: {error}"
    return Failure(check=CHECKABLE, column=column, count=len(frame), detail=detail)


def _failures(cases: "DataFrame", frame: "DataFrame", max_rows: int) -> Iterator[Failure]:
    """Pandera's failure cases, one row a failing value, as one failure a check and column."""
    on_table = cases["schema_context"] == "DataFrameSchema"
    names = cases["check"].map(lambda check: _NAMES.get(check, check))
    # Pandera gives the column's name as the value that failed, where a column is missing or extra.
    columns = cases["column"].mask(on_table, None)
    columns = columns.mask(names.isin([EXISTS, _EXTRA]), cases["failure_case"])
    for (check, column), group in cases.groupby([names, columns], dropna=False, sort=False):
        yield _failure(check, column if isinstance(column, str) else None, group, frame, max_rows)


def _failure(check, column, cases: "DataFrame", frame: "DataFrame", max_rows: int) -> Failure:
    if check == EXISTS:
        return missing_column(frame, column)
    if check == TOGETHER:
        column = ", ".join(dict.fromkeys(cases["column"]))
    rows = sorted({int(row) for row in cases["index"].dropna()})
    if check.startswith(_DTYPE):
        detail = str(frame[column].dtype)
        rows = rows or _not_whole(check, frame[column])
    else:
        detail = "" if rows or check == _EXTRA else str(cases["failure_case"].iloc[0])
    return Failure(
        check=check,
        column=column,
        count=len(rows) or len(frame),
        detail=detail,
        examples=examples(frame, rows[:max_rows]),
    )


def _not_whole(check: str, values: "Series") -> list[int]:
    """The rows that keep a column of floats from being the integers it is declared as."""
    import numpy as np

    if "int" not in check.lower() or values.dtype.kind != "f":
        return []
    return np.flatnonzero((values % 1 != 0).to_numpy(dtype=bool, na_value=True)).tolist()
