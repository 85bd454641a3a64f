"""The commonest inference request: one matrix of numbers, whole, in JSON, and nothing else asked.

It is decoded in one step. What its type refuses is read again by `inference` and `tensors`, which
take more and say what is wrong and where.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

# Of "inputs", of the four keys of its tensor, and of the values of two of them.
_QUOTES = 14
_QUOTES_OF_ID = 4


class Matrix(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The one input; ``data`` is flat, and holds neither null nor what is no number."""

    name: str
    shape: tuple[int, int]
    datatype: Literal["FP64", "FP32", "FP16"]
    data: list[float]


class MatrixRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What is posted to ``/infer``."""

    inputs: tuple[Matrix]
    id: str | UnsetType = UNSET


_decode = msgspec.json.Decoder(MatrixRequest).decode


def read_matrix(body: bytes) -> MatrixRequest | None:
    """A request of this kind, whose shape fits its data; None for any other, good or bad."""
    try:
        request = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # More quotes mean a key that stands twice (msgspec keeps the last), or an escaped quote.
    quotes = _QUOTES if request.id is UNSET else _QUOTES + _QUOTES_OF_ID
    if body.count(b'"') != quotes:
        return None
    (matrix,) = request.inputs
    rows, width = matrix.shape
    return request if rows > 0 and rows * width == len(matrix.data) else None
