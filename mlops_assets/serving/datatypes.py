"""The Open Inference Protocol's datatypes, and the bytes of the binary tensor extension."""

import struct
from typing import Any, Final

import numpy as np

from mlops_assets.serving.dtypes import plain_dtype
from mlops_assets.serving.errors import RequestError

NUMPY = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
BYTES: Final = "BYTES"
DATATYPES = (*NUMPY, BYTES)


def datatype_of(dtype: str) -> str:
    """The datatype in which a feature of this pandas dtype is described."""
    plain = plain_dtype(dtype)
    if plain.kind == "O":
        return BYTES
    return next((n for n, d in NUMPY.items() if d == plain.newbyteorder("<")), "FP64")


def accepts(described: str, sent: str) -> bool:
    """Whether values of a datatype may be sent for an input described with another.

    Any kind of number may be: the value is checked, so that nothing is rounded or wraps.
    """
    exact = ("BOOL", BYTES)
    return sent == described if described in exact or sent in exact else sent in NUMPY


def from_bytes(where: str, datatype: str, raw: memoryview, count: int) -> list[Any]:
    """The values of a binary tensor, in row-major order; a NaN is None, a missing number.

    Raises
    ------
    RequestError
        When the bytes are not ``count`` values.
    """
    if datatype == BYTES:
        return _texts(where, raw, count)
    kind = NUMPY[datatype]
    if len(raw) != count * kind.itemsize:
        raise RequestError(
            422,
            f"{where}: {len(raw)} bytes where its shape asks for {count} values of {kind.itemsize}",
        )
    values = np.frombuffer(raw, kind)
    if kind.kind == "b":
        if count and values.view("u1").max() > 1:
            raise RequestError(422, f"{where}: a BOOL is a byte of 0 or 1")
    elif kind.kind == "f" and np.isnan(values).any():
        return [None if value != value else value for value in values.tolist()]
    return values.tolist()


def to_bytes(datatype: str, values: list[Any]) -> bytes:
    """The binary form of a flat list of values."""
    if datatype != BYTES:
        return np.array(values, NUMPY[datatype]).tobytes()
    encoded = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def _texts(where: str, raw: memoryview, count: int) -> list[str]:
    values, at, end = [], 0, len(raw)
    while at < end:
        if at + 4 > end:
            raise RequestError(422, f"{where}: byte {at} begins a length that is cut off")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if length > end - at:
            raise RequestError(422, f"{where}: a string of {length} bytes ends beyond the tensor")
        try:
            values.append(str(raw[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise RequestError(422, f"{where}: value {len(values)} is not UTF-8") from None
        at += length
    if len(values) != count:
        raise RequestError(422, f"{where}: {len(values)} strings where its shape asks for {count}")
    return values
