"""Scaling, imputing and encoding as operations on columns."""

import math
from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed import kernels
from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.packers.columns import Column, Columns, Operation, Table
from mlops_assets.lifecycle.packed.packers.registry import transformer

# A word that no training data hold, to ask an encoder what it makes of such.
NO_WORD = "\U0010fffd no training has seen this"


@transformer("sklearn.preprocessing._data.StandardScaler")
def standard_scaler(fitted: Any, columns: Columns) -> Columns:
    """Subtract the mean, divide by the scale: two roundings, as there."""
    found = []
    for place, column in enumerate(_dense(columns, "StandardScaler").numbers("StandardScaler")):
        steps = []
        if fitted.with_mean:
            steps.append(Operation(kernels.SUBTRACT, a=float(fitted.mean_[place])))
        if fitted.with_std:
            steps.append(Operation(kernels.DIVIDE, a=float(fitted.scale_[place])))
        found.append(column.then(*steps))
    return Columns(tuple(found))


@transformer("sklearn.preprocessing._data.MinMaxScaler")
def min_max_scaler(fitted: Any, columns: Columns) -> Columns:
    """Multiply by the scale, add the minimum, and clip where that is asked for."""
    found = []
    for place, column in enumerate(_dense(columns, "MinMaxScaler").numbers("MinMaxScaler")):
        steps = [
            Operation(kernels.MULTIPLY, a=float(fitted.scale_[place])),
            Operation(kernels.ADD, a=float(fitted.min_[place])),
        ]
        if fitted.clip:
            low, high = fitted.feature_range
            steps.append(Operation(kernels.CLIP, a=float(low), b=float(high)))
        found.append(column.then(*steps))
    return Columns(tuple(found))


@transformer("sklearn.impute._base.SimpleImputer")
def simple_imputer(fitted: Any, columns: Columns) -> Columns:
    """Put the statistic where a value is missing; columns without any value are dropped."""
    _dense(columns, "SimpleImputer")
    if fitted.add_indicator:
        raise NotPackable("a SimpleImputer with add_indicator can't be packed")
    found = []
    for column, value in zip(columns.columns, fitted.statistics_, strict=True):
        if _is_nan(value):
            if fitted.keep_empty_features:
                raise NotPackable("a SimpleImputer that keeps empty features can't be packed")
            continue
        found.append(_imputed(fitted, column, value))
    return Columns(tuple(found))


def _imputed(fitted: Any, column: Column, value: Any) -> Column:
    # In a frame, missing text is None and a missing number NaN.
    text = column.kind == "text"
    missing = fitted.missing_values
    if not (missing is None if text else _is_nan(missing)):
        raise NotPackable(
            f"a SimpleImputer for {missing!r} in a column of {column.kind} can't be packed: "
            "missing text is None, a missing number NaN"
        )
    if isinstance(value, str) != text:
        raise NotPackable(f"a SimpleImputer puts {value!r} into a column of {column.kind}")
    return column.filled(value if text else float(value))


@transformer("sklearn.preprocessing._encoders.OneHotEncoder")
def one_hot_encoder(fitted: Any, columns: Columns) -> Columns:
    """One column for each category that is kept."""
    _check_encoder(fitted, columns, ("ignore", "infrequent_if_exist", "warn"))
    answers = _asked(fitted, columns)
    ends = np.cumsum(fitted._n_features_outs)
    found = []
    for place, column in enumerate(columns.columns):
        block = answers[:, ends[place] - fitted._n_features_outs[place] : ends[place]]
        if block.shape[1] == 0:
            continue
        # -1 for a category that is dropped: a row of zeros.
        hot = np.where(block.any(axis=1), block.argmax(axis=1), -1)
        look_up = Operation(kernels.LOOKUP, table=_table(fitted, place, column, hot))
        for output in range(block.shape[1]):
            found.append(column.then(look_up, Operation(kernels.EQUALS, a=float(output))))
    return Columns(tuple(found), sparse=bool(fitted.sparse_output))


@transformer("sklearn.preprocessing._encoders.OrdinalEncoder")
def ordinal_encoder(fitted: Any, columns: Columns) -> Columns:
    """One number for each category."""
    _check_encoder(fitted, columns, ("use_encoded_value",))
    if np.dtype(fitted.dtype) != np.float64:
        raise NotPackable(f"an OrdinalEncoder of dtype {np.dtype(fitted.dtype)} can't be packed")
    answers = _asked(fitted, columns)
    found = []
    for place, column in enumerate(columns.columns):
        table = _table(fitted, place, column, answers[:, place])
        found.append(column.then(Operation(kernels.LOOKUP, table=table)))
    return Columns(tuple(found))


def _check_encoder(fitted: Any, columns: Columns, handled: tuple[str, ...]) -> None:
    name = type(fitted).__name__
    _dense(columns, name)
    if fitted.handle_unknown not in handled:
        raise NotPackable(
            f"a {name} with handle_unknown={fitted.handle_unknown!r} can't be packed: it fails on "
            "a category that training did not see"
        )
    for place, column in enumerate(columns.columns):
        for value in _known(fitted, place):
            _check_category(name, column, value)


def _check_category(name: str, column: Column, value: Any) -> None:
    if column.kind == "text":
        if not isinstance(value, str):
            raise NotPackable(f"a {name} knows {value!r} in a column of text")
    elif isinstance(value, str) or abs(float(value)) > 2**53:
        raise NotPackable(f"a {name} knows {value!r} in a column of {column.kind}")


def _known(fitted: Any, place: int) -> list[Any]:
    """The categories of a column, without the one for missing values."""
    return [v for v in fitted.categories_[place].tolist() if v is not None and not _is_nan(v)]


def _asked(fitted: Any, columns: Columns) -> np.ndarray:
    """What the encoder makes of an unknown value, a missing one, and each that it knows.

    Asking it beats reading its tables: what it does with rare, dropped and missing categories is
    then right by construction.

    Returns
    -------
    ndarray of shape (2 + largest number of categories, n_outputs)
        A column with fewer categories is asked its unknown value again in the last rows.
    """
    import warnings

    import pandas as pd

    asked = {}
    longest = max((len(_known(fitted, place)) for place in range(len(columns))), default=0)
    names = getattr(fitted, "feature_names_in_", range(len(columns)))
    for place, (name, column) in enumerate(zip(names, columns.columns, strict=True)):
        known = _known(fitted, place)
        text = column.kind == "text"
        unknown = NO_WORD if text else _unknown_number(known)
        values = [unknown, None if text else math.nan, *known]
        values += [unknown] * (longest + 2 - len(values))
        asked[name] = pd.Series(values, dtype=object if text else np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        answers = fitted.transform(pd.DataFrame(asked))
    answers = answers.toarray() if hasattr(answers, "toarray") else answers
    return np.asarray(answers, np.float64)


def _unknown_number(known: list[Any]) -> float:
    return 1.0 + 2.0 * max((abs(float(value)) for value in known), default=0.0)


def _table(fitted: Any, place: int, column: Column, answers: np.ndarray) -> Table:
    known = _known(fitted, place)
    values = {
        value if column.kind == "text" else float(value): float(answers[2 + code])
        for code, value in enumerate(known)
    }
    return Table(values=values, unknown=float(answers[0]), missing=float(answers[1]))


def _dense(columns: Columns, name: str) -> Columns:
    if columns.sparse:
        raise NotPackable(f"a {name} gets a sparse matrix")
    return columns


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
