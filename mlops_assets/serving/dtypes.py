"""The dtypes of features; pandas is imported only for those that numpy has no name for."""

from typing import Any

import numpy as np

# pandas spells text in three ways; as a JSON value they are one.
TEXT = frozenset({"object", "str", "string"})
_NAMES = ("float16", "float32", "float64", "bool")
_WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
PLAIN = frozenset((*_NAMES, *_WHOLE))


def plain_dtype(dtype: str) -> Any:
    """The numpy dtype of a column's values: ``object`` for text.

    A nullable extension dtype (``Int64``, ``boolean``) has that which it wraps, and its limits;
    one that wraps none is pandas' own.

    Raises
    ------
    TypeError
        For a dtype that pandas does not know either.
    """
    if dtype in PLAIN:
        return np.dtype(dtype)
    if dtype in TEXT:
        return np.dtype(object)
    from pandas.api.types import pandas_dtype

    known = pandas_dtype(dtype)
    if known.kind == "O":
        return np.dtype(object)
    return getattr(known, "numpy_dtype", known)
