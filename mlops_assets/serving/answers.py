"""Answers as they come from a model, before they may leave."""

from math import isfinite
from typing import Any

import msgspec


def first_not_finite(answers: list[dict[str, Any]]) -> int | None:
    """The first row whose answer has a NaN or an infinity, which JSON has no value for."""
    # msgspec makes null of them, and looks a hundred times faster than we do.
    if b"null" not in msgspec.json.encode(answers):
        return None
    for row, answer in enumerate(answers):
        for value in answer.values():
            if isinstance(value, float):
                if not isfinite(value):
                    return row
            elif isinstance(value, list) and not all(
                isfinite(v) for v in value if isinstance(v, float)
            ):
                return row
    return None
