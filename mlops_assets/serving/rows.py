"""The checked rows of one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

Values = tuple[Any, ...]


class Row(NamedTuple):
    """One row: what the estimator sees of it, and what the prediction log keeps beside."""

    values: Values
    unit: str | None
    at: datetime | None
    key: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a request, column by column where that is all there is.

    Parameters
    ----------
    names : sequence of str
        The features.
    values : list of tuple
        One a row, in the order of ``names``; None for a missing number.
    units : list of (str or None) or None
    at : list of (datetime or None) or None
        When each happened (aware, UTC).
    keys : list of dict or None
        None, as for ``units`` and ``at``, where no row has any.
    """

    names: Sequence[str]
    values: list[Values]
    units: list[str | None] | None = None
    at: list[datetime | None] | None = None
    keys: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Row]) -> "Rows":
        """Rows one by one, as one."""
        values, units, at, keys = map(list, zip(*rows, strict=True))
        return cls(
            names,
            values,
            units if any(unit is not None for unit in units) else None,
            at if any(moment is not None for moment in at) else None,
            keys if any(keys) else None,
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def unit(self) -> str | None:
        """The unit of the first row, by which the request is routed."""
        return None if self.units is None else self.units[0]

    def features(self, number: int) -> dict[str, Any]:
        """A row's features by name."""
        return dict(zip(self.names, self.values[number], strict=True))
