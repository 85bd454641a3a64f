"""Between the protocol's tensors and rows: inputs to the rows a version reads, and its outputs."""

from itertools import chain
from typing import Any

from msgspec import UNSET

from mlops_assets.serving.datatypes import BYTES, accepts, datatype_of
from mlops_assets.serving.errors import RequestError, shown
from mlops_assets.serving.inference import Values
from mlops_assets.serving.matrices import Matrix
from mlops_assets.serving.payload import RecordReader, refuse_count
from mlops_assets.serving.rows import Rows

Tensor = dict[str, Any]
_COUNT = -1


class TensorReader:
    """Reads inputs as rows: one tensor a feature, or one matrix of all where all are numbers.

    Parameters
    ----------
    records : RecordReader
        Of the version that answers.
    """

    def __init__(self, records: RecordReader):
        self._records = records
        features = records.serving.features
        self._described = {f.name: datatype_of(f.dtype) for f in features}
        self._plain = {f.name for f in features if f.dtype == "float64"}
        self._matrix = BYTES not in self._described.values() and len(features) > 1
        self.takes_matrices = self._matrix and records.numbers and not records.extras

    def described(self) -> list[Tensor]:
        """The inputs as the model's metadata names them."""
        return [
            {"name": f.name, "datatype": self._described[f.name], "shape": [_COUNT]}
            for f in self._records.serving.features
        ]

    def rows(self, inputs: list[Values]) -> Rows:
        """The rows of a request.

        Raises
        ------
        RequestError
            Naming the input that is missing, unknown, twice there, or of a wrong type or shape,
            or the row and field of a wrong value.
        """
        if len(inputs) == 1 and self._is_matrix(inputs[0].name):
            columns = self._split(inputs[0])
            extra: dict[str, Values] = {}
        else:
            columns, extra = self._columns(inputs)
        count = len(columns[0])
        refuse_count(count)
        for name, values in zip(self._records.names, columns, strict=True):
            _same_length(name, values, count)
        given = [self._extra(name, extra[name], count) if name in extra else [UNSET] * count
                 for name in self._records.extras]  # fmt: skip
        by_row = zip(*columns, *given, strict=True)
        return self._records.checked_rows(list(chain.from_iterable(by_row)))

    def matrix(self, matrix: Matrix) -> Rows | None:
        """The rows of a matrix whose values need no check; None where they do, or it is wrong."""
        rows, width = matrix.shape
        names = self._records.names
        if not self.takes_matrices or width != len(names) or not self._is_matrix(matrix.name):
            return None
        refuse_count(rows)
        return self._records.checked_rows(matrix.data)

    def _is_matrix(self, name: str) -> bool:
        return self._matrix and name not in self._records.checks

    def _split(self, values: Values) -> list[list[Any]]:
        names = self._records.names
        if len(values.shape) != 2 or values.shape[1] != len(names):
            raise RequestError(
                422,
                f"input {shown(values.name)}: shape {values.shape} where [n, {len(names)}] is "
                f"expected for all features at once: {', '.join(names)}",
            )
        for name in names:
            self._check_datatype(name, values.datatype)
        parts = [values.flat[i :: len(names)] for i in range(len(names))]
        if values.finite and self._records.numbers:
            return parts
        return [
            self._checked(name, part, values.finite)
            for name, part in zip(names, parts, strict=True)
        ]

    def _columns(self, inputs: list[Values]) -> tuple[list[list[Any]], dict[str, Values]]:
        known = self._records.checks
        by_name: dict[str, Values] = {}
        for values in inputs:
            if values.name not in known:
                raise RequestError(
                    422, f"input {shown(values.name)}: unknown; known are {', '.join(known)}"
                )
            if values.name in by_name:
                raise RequestError(422, f"input {shown(values.name)} stands twice in the request")
            _check_shape(values)
            by_name[values.name] = values
        columns = []
        for name in self._records.names:
            if name not in by_name:
                raise RequestError(422, f"input {shown(name)}: missing")
            sent = by_name.pop(name)
            self._check_datatype(name, sent.datatype)
            columns.append(self._checked(name, sent.flat, sent.finite))
        return columns, by_name

    def _check_datatype(self, name: str, sent: str) -> None:
        described = self._described[name]
        if not accepts(described, sent):
            raise RequestError(
                422, f"input {shown(name)}: datatype {sent} where {described} is expected"
            )

    def _checked(self, name: str, values: list[Any], finite: bool) -> list[Any]:
        if finite and name in self._plain:
            return values
        check = self._records.checked
        return [check(number, name, value) for number, value in enumerate(values)]

    def _extra(self, name: str, values: Values, count: int) -> list[Any]:
        _same_length(name, values.flat, count)
        if name == self._records.serving.time:
            # `RecordReader.row` turns text into a moment.
            return values.flat
        return [self._records.checked(n, name, value) for n, value in enumerate(values.flat)]


def _check_shape(values: Values) -> None:
    shape = values.shape
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise RequestError(
            422, f"input {shown(values.name)}: shape {shape} where [n] or [n, 1] is expected"
        )


def _same_length(name: str, values: list[Any], count: int) -> None:
    if len(values) != count:
        raise RequestError(
            422, f"input {shown(name)}: {len(values)} values where the others have {count}"
        )
