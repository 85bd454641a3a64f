"""Columns of a frame on their way through preprocessing.

All preprocessing that is packed works column by column, so that a whole pipeline in front of an
estimator is one list of columns: each a chain of operations on one feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed import kernels
from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.plan import Kind, PlannedFeature


@dataclass(frozen=True, eq=False)
class Table:
    """What each known value becomes, an unknown and a missing one too."""

    values: Mapping[Any, float]
    unknown: float
    missing: float


@dataclass(frozen=True)
class Operation:
    """One operation of the kernels; ``a`` of a text column's FILL is a word until the end."""

    code: int
    a: Any = 0.0
    b: float = 0.0
    table: Table | None = None


@dataclass(frozen=True)
class Column:
    """A feature and the operations on it; ``kind`` is what they have made of it so far."""

    source: int
    kind: Kind
    operations: tuple[Operation, ...] = ()

    def then(self, *operations: Operation) -> "Column":
        """The column after further operations on numbers."""
        return replace(self, kind="number", operations=self.operations + operations)

    def filled(self, value: Any) -> "Column":
        """The column with ``value`` where a value is missing."""
        step = Operation(kernels.FILL, a=value)
        return replace(self, operations=(*self.operations, step))


@dataclass(frozen=True)
class Columns:
    """The columns of a matrix; ``sparse`` when scikit-learn holds them as a sparse one."""

    columns: tuple[Column, ...]
    sparse: bool = False

    @classmethod
    def of(cls, kinds: list[Kind]) -> "Columns":
        """The features of a frame, untouched."""
        return cls(tuple(Column(place, kind) for place, kind in enumerate(kinds)))

    def __len__(self) -> int:
        return len(self.columns)

    def numbers(self, who: str) -> tuple[Column, ...]:
        """The columns, none of which may be text.

        Raises
        ------
        NotPackable
            Naming the first feature that is.
        """
        for column in self.columns:
            if column.kind == "text":
                raise NotPackable(f"the {who} gets text: feature number {column.source}")
        return self.columns

    @property
    def untouched(self) -> bool:
        """Whether these are the features as they came, in their order."""
        return all(
            column.source == place and not column.operations
            for place, column in enumerate(self.columns)
        )

    def words(self, place: int) -> list[str]:
        """The words of a text feature that any operation knows, sorted."""
        found: set[str] = set()
        for column in self.columns:
            if column.source == place:
                found.update(_words(column))
        return sorted(found)

    def step(self, features: list[PlannedFeature]) -> dict[str, np.ndarray]:
        """The arrays of a step of kind ``columns``."""
        tables = _Tables()
        operations: list[tuple] = []
        first = [0]
        for column in self.columns:
            feature = features[column.source]
            codes = {word: code for code, word in enumerate(feature.words)}
            is_text = feature.kind == "text"
            for operation in column.operations:
                operations += tables.operations(operation, codes if is_text else None)
                is_text = is_text and operation.code == kernels.FILL
            first.append(len(operations))
        # An empty array can't be mapped.
        padded = operations or [(kernels.ADD, 0, 0, 0, 0.0, 0.0)]
        return {
            "source": np.array([c.source for c in self.columns], np.int32),
            "first": np.array(first, np.int32),
            "operations": np.array(padded, kernels.OPERATION),
            "tables": np.array(tables.numbers or [0.0]),
        }


class _Tables:
    def __init__(self) -> None:
        self.numbers: list[float] = []
        self._placed: dict[int, list[tuple]] = {}

    def operations(self, operation: Operation, codes: dict[str, int] | None) -> list[tuple]:
        if operation.table is None:
            a = operation.a
            # A word is filled in as its code; on numbers a fill is a number.
            a = codes[a] if codes is not None and isinstance(a, str) else a
            return [(operation.code, 0, 0, 0, a, operation.b)]
        # Each of the columns of a one-hot encoding reads the same table.
        key = id(operation.table)
        if key not in self._placed:
            self._placed[key] = self._place(operation.table, codes)
        return self._placed[key]

    def _place(self, table: Table, codes: dict[str, int] | None) -> list[tuple]:
        found = []
        if codes is None:
            numbers = sorted(table.values)
            found.append(self._add(kernels.FIND, numbers))
            answers = [table.values[number] for number in numbers]
        else:
            answers = [table.values.get(word, table.unknown) for word in codes]
        return [*found, self._add(kernels.LOOKUP, [table.unknown, table.missing, *answers])]

    def _add(self, code: int, numbers: list[float]) -> tuple:
        start = len(self.numbers)
        self.numbers += numbers
        return (code, start, len(numbers), 0, 0.0, 0.0)


def _words(column: Column) -> set[str]:
    found: set[str] = set()
    for operation in column.operations:
        if operation.table is not None:
            found.update(word for word in operation.table.values if isinstance(word, str))
        elif isinstance(operation.a, str):
            found.add(operation.a)
    return found
