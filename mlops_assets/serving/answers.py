"""Answers as they come from a model, before they may leave."""

from math import isfinite
from typing import Any, NamedTuple

import msgspec

from mlops_assets.lifecycle.prediction_log.batch import joined_ids, row_ids

# Field by field; in each, one JSON-able value a row.
Columns = dict[str, list[Any]]


class Answered(NamedTuple):
    """The answers to one request, in the order of its rows, and the id that they share."""

    columns: Columns
    prediction_id: str
    rows: int

    @property
    def ids(self) -> list[str]:
        """The id of each row's prediction."""
        return row_ids(self.prediction_id, self.rows)

    @property
    def joined_ids(self) -> str:
        """The same, joined by commas."""
        return joined_ids(self.prediction_id, self.rows)


def first_not_finite(answers: Columns) -> int | None:
    """The first row whose answer has a NaN or an infinity, which JSON has no value for."""
    # msgspec makes null of them, and looks a hundred times faster than we do.
    if b"null" not in msgspec.json.encode(answers):
        return None
    rows = zip(*answers.values(), strict=True)
    return next((n for n, row in enumerate(rows) if not all(map(_finite, row))), None)


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or isfinite(value)
