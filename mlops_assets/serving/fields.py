"""Checks of one JSON value: each returns the value as the estimator's column holds it.

A check raises WrongValue with the reason alone; who calls it adds the row and the field.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.serving.dtypes import plain_dtype

Check = Callable[[Any], Any]

_INT64 = 2**63


class WrongValue(Exception):
    """Why a value is refused, without saying where it stands."""


def feature_check(name: str, dtype: str) -> Check:
    """The check of a feature's values.

    Raises
    ------
    ArtifactError
        For a dtype that JSON has no value for.
    """
    import numpy as np

    known = plain_dtype(dtype)
    if known.kind == "f":
        return _number(float(np.finfo(known).max))
    if known.kind in "iu":
        return _whole_number(int(np.iinfo(known).min), int(np.iinfo(known).max))
    if known.kind == "b":
        return _truth
    if known.kind == "O":
        return _text
    raise ArtifactError(f"feature {name!r} has the dtype {dtype}, which JSON has no value for")


def identifier(value: Any) -> str | int:
    """A unit or a key: a string or a whole number."""
    if isinstance(value, str):
        return _text(value)
    if type(value) is not int:
        raise WrongValue(f"expected a string or a whole number, got {kind_of(value)}")
    if not -_INT64 <= value < _INT64:
        raise WrongValue("the number does not fit in 64 bits")
    return value


def moment(value: Any) -> datetime:
    """An ISO 8601 timestamp, in UTC; one without an offset is UTC."""
    if not isinstance(value, str):
        raise WrongValue(f"expected an ISO 8601 timestamp, got {kind_of(value)}")
    try:
        parsed = datetime.fromisoformat(value)
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise WrongValue("expected an ISO 8601 timestamp such as 2026-01-31T12:00:00Z") from None


def kind_of(value: Any) -> str:
    """What a JSON value is, in words; never the value, which may be long or private."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def _number(largest: float) -> Check:
    def check(value):
        if value is None:
            return None
        if type(value) not in (int, float):
            raise WrongValue(f"expected a number, got {kind_of(value)}")
        if type(value) is float and not math.isfinite(value):
            raise WrongValue("expected a finite number, got NaN or Infinity; null means missing")
        if abs(value) > largest:
            raise WrongValue("the number is too large")
        return float(value)

    return check


def _whole_number(smallest: int, largest: int) -> Check:
    def check(value):
        # JSON has one kind of number: 3.0 is the whole number 3.
        if type(value) not in (int, float) or (type(value) is float and not value.is_integer()):
            got = "a fraction, NaN or Infinity" if type(value) is float else kind_of(value)
            raise WrongValue(f"expected a whole number, got {got}")
        if not smallest <= value <= largest:
            raise WrongValue(f"the number is not between {smallest} and {largest}")
        return int(value)

    return check


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise WrongValue(f"expected true or false, got {kind_of(value)}")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise WrongValue(f"expected a string, got {kind_of(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        # JSON can escape half a surrogate pair; no file could hold it later.
        raise WrongValue("the string is not valid Unicode") from None
    return value
