"""Failures that the platform's own checks and Pandera's build alike."""

import math
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from mlops_assets.lifecycle.contract.report import Example, Failure
from mlops_assets.lifecycle.declaration import did_you_mean

if TYPE_CHECKING:
    from pandas import DataFrame

EXISTS = "column exists"
NOT_NULL = "not null"
TOGETHER = "unique together"
CHECKABLE = "can be checked"
_MAX_TEXT = 200


def missing_column(frame: "DataFrame", column: str) -> Failure:
    """A column that is not there, with the nearest that is."""
    detail = f"missing{did_you_mean(column, frame.columns)}".removesuffix(".")
    return Failure(check=EXISTS, column=column, count=len(frame), detail=detail)


def rows_failure(check: str, column: str, mask: Any, frame: "DataFrame", max_rows: int):
    """A failure of the rows under the mask; none when there is no such row."""
    import numpy as np

    rows = np.flatnonzero(mask)
    if len(rows):
        shown = examples(frame, rows[:max_rows])
        yield Failure(check=check, column=column, count=len(rows), examples=shown)


def examples(frame: "DataFrame", rows: Any) -> tuple[Example, ...]:
    """Rows, by their number, as a report shows them."""
    return tuple(
        Example(row=int(row), values={c: _json_safe(frame[c].iloc[row]) for c in frame.columns})
        for row in rows
    )


def _json_safe(value: Any) -> JsonValue:
    import pandas as pd

    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, (bool, int, float)):
        return value
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."
