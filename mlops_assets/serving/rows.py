"""The checked rows of one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
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
    """The rows of a request.

    Parameters
    ----------
    names : sequence of str
        The features.
    count : int
        How many rows.
    flat : list
        The values of all rows, row after row, each in the order of ``names``; None for a missing
        number.
    units : list of (str or None) or None
    at : list of (datetime or None) or None
        When each happened (aware, UTC).
    keys : list of dict or None
        None, as for ``units`` and ``at``, where no row has any.
    """

    names: Sequence[str]
    count: int
    flat: list[Any]
    units: list[str | None] | None = None
    at: list[datetime | None] | None = None
    keys: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Row]) -> "Rows":
        """Rows one by one, as one."""
        values, units, at, keys = map(list, zip(*rows, strict=True))
        return cls(
            names,
            len(rows),
            list(chain.from_iterable(values)),
            units if any(unit is not None for unit in units) else None,
            at if any(moment is not None for moment in at) else None,
            keys if any(keys) else None,
        )

    @classmethod
    def joined(cls, requests: "Sequence[Rows]") -> "Rows":
        """The rows of several requests of one model, one after the other."""
        if len(requests) == 1:
            return requests[0]
        return cls(
            requests[0].names,
            sum([rows.count for rows in requests]),
            list(chain.from_iterable([rows.flat for rows in requests])),
            _joined([rows.units for rows in requests], requests, None),
            _joined([rows.at for rows in requests], requests, None),
            _joined([rows.keys for rows in requests], requests, {}),
        )

    @property
    def unit(self) -> str | None:
        """The unit of the first row, by which the request is routed."""
        return None if self.units is None else self.units[0]

    @property
    def values(self) -> list[Values]:
        """The values, one tuple a row."""
        return by_row(self.flat, len(self.names))


def by_row(flat: list[Any], width: int) -> list[Values]:
    """Values that stand row after row, as one tuple of ``width`` a row."""
    return list(zip(*[iter(flat)] * width, strict=True))


def _joined(parts: list[list[Any] | None], requests: Sequence[Rows], absent: Any) -> Any:
    """The parts as one list, ``absent`` for each row of a request without; None of none at all."""
    if all(part is None for part in parts):
        return None
    whole = zip(parts, requests, strict=True)
    return list(chain.from_iterable([part or [absent] * rows.count for part, rows in whole]))
