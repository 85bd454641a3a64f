"""Data that come without types, as from a text file: the contract's hold for each window."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.contract.declared import InlineContract, to_schema

if TYPE_CHECKING:
    from pandas import DataFrame, Series

# Every whole number up to here is a float64 of its own.
_EXACT = 2**53


def as_declared(frame: "DataFrame", contract: "str | InlineContract | None") -> "DataFrame":
    """The frame with numbers in the types that a contract declares, where no value changes by it.

    The types of a text file are guessed from all its rows: one word in a column of numbers makes
    text of the column in every window of the file, and one empty cell makes floats of integers.
    A column that holds a value which its declared type can't hold is left as it is, for the
    contract to name.

    Parameters
    ----------
    frame : DataFrame
        One window's rows.
    contract : str, InlineContract or None
    """
    from pandas.api.types import is_bool_dtype, is_numeric_dtype, pandas_dtype

    changed: dict[str, Series] = {}
    for name, column in to_schema(contract).columns.items():
        if column.dtype is None or name not in frame:
            continue
        dtype = pandas_dtype(str(column.dtype))
        if is_numeric_dtype(dtype) and not is_bool_dtype(dtype) and frame[name].dtype != dtype:
            changed[name] = _converted(frame[name], dtype)
    return frame.assign(**changed) if changed else frame


def _converted(values: "Series", dtype) -> "Series":
    import pandas as pd
    from pandas.api.types import (
        infer_dtype,
        is_bool_dtype,
        is_extension_array_dtype,
        is_float_dtype,
        is_numeric_dtype,
    )

    is_text = infer_dtype(values, skipna=True) in ("string", "empty")
    if is_bool_dtype(values.dtype) or not (is_text or is_numeric_dtype(values.dtype)):
        return values
    numbers = pd.to_numeric(values, errors="coerce")
    known = values.notna()
    if not numbers.notna().equals(known) or not (numbers[known].abs() <= _EXACT).all():
        return values
    if is_text:  # to the last bit, as `to_numeric` is not
        numbers = values.where(known).astype(object).map(float, na_action="ignore").astype(float)
    if not known.all() and not (is_float_dtype(dtype) or is_extension_array_dtype(dtype)):
        return values
    try:
        converted = numbers.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return values
    return converted if (converted[known] == numbers[known]).all() else values
