"""An inference request of the Open Inference Protocol v2: JSON, with or without binary tensors."""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from mlops_assets.serving.datatypes import from_bytes
from mlops_assets.serving.documents import parse_document
from mlops_assets.serving.errors import RequestError, shown
from mlops_assets.serving.fields import kind_of

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "FP32", "FP64", "BYTES",
]  # fmt: skip
Size = Annotated[int, Meta(ge=0, le=2**40)]
Parameters = dict[str, Any]


class InputTensor(msgspec.Struct):
    """One input; ``data`` stays unparsed until its datatype says how to read it."""

    name: str
    shape: Annotated[list[Size], Meta(min_length=1, max_length=8)]
    datatype: Datatype
    data: Raw | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET


class WantedOutput(msgspec.Struct):
    """An output the client asks for."""

    name: str
    parameters: Parameters | UnsetType = UNSET


class InferenceRequest(msgspec.Struct):
    """What is posted to ``/infer``."""

    inputs: Annotated[list[InputTensor], Meta(min_length=1, max_length=10_000)]
    id: str | UnsetType = UNSET
    outputs: list[WantedOutput] | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET


class Values(msgspec.Struct):
    """The values of an input, flat in row-major order.

    ``finite`` says that they are finite floats already, so that no further check is needed.
    """

    name: str
    shape: list[int]
    datatype: str
    flat: list[Any]
    finite: bool


_REQUEST = msgspec.json.Decoder(InferenceRequest)
_PLAIN: dict[str, msgspec.json.Decoder] = {
    **dict.fromkeys(("FP16", "FP32", "FP64"), msgspec.json.Decoder(list[float])),
    "BYTES": msgspec.json.Decoder(list[str]),
    "BOOL": msgspec.json.Decoder(list[bool]),
}
_WHOLE = msgspec.json.Decoder(list[int])


def parse_request(header: bytes) -> InferenceRequest:
    """The JSON part of a request.

    Raises
    ------
    RequestError
        400 for what is no JSON, 422 for what is not of the protocol's form, saying where.
    """
    try:
        request = _REQUEST.decode(header)
    except msgspec.ValidationError as error:
        parse_document(header)
        raise RequestError(422, f"not an inference request: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        parse_document(header)
        # Python's reader takes NaN, Infinity and halves of surrogate pairs, msgspec doesn't.
        raise RequestError(
            400,
            "the body is not JSON (NaN and Infinity are none: null means missing, strings are "
            f"valid Unicode): {error}",
        ) from None
    if header.count(b'"') != _quotes(request):
        parse_document(header)
    return request


def read_values(request: InferenceRequest, tail: memoryview) -> list[Values]:
    """The values of every input, from its JSON or, in order, from the bytes behind it.

    Raises
    ------
    RequestError
        422 when an input has no data, or other than its shape says.
    """
    found, at = [], 0
    for tensor in request.inputs:
        size = _binary_size(tensor)
        if size is None:
            found.append(_from_json(tensor))
            continue
        where = f"input {shown(tensor.name)}"
        if size > len(tail) - at:
            raise RequestError(
                422,
                f"{where}: binary_data_size {size} is more than the {len(tail) - at} left",
            )
        flat = from_bytes(where, tensor.datatype, tail[at : at + size], math.prod(tensor.shape))
        found.append(Values(tensor.name, tensor.shape, tensor.datatype, flat, False))
        at += size
    if at != len(tail):
        raise RequestError(422, f"{len(tail) - at} bytes follow the last binary input")
    return found


def _binary_size(tensor: InputTensor) -> int | None:
    if not tensor.parameters:
        return None
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return None
    where = f"input {shown(tensor.name)}"
    if type(size) is not int or size < 0:
        raise RequestError(422, f"{where}: binary_data_size is no number of bytes")
    if tensor.data is not UNSET:
        raise RequestError(422, f"{where}: has data in JSON and binary_data_size as well")
    return size


def _from_json(tensor: InputTensor) -> Values:
    where = f"input {shown(tensor.name)}"
    if tensor.data is UNSET:
        raise RequestError(422, f"{where}: has neither data nor binary_data_size")
    count, kind = math.prod(tensor.shape), tensor.datatype
    try:
        flat = _PLAIN.get(kind, _WHOLE).decode(tensor.data)
        finite = kind.startswith("FP")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # Nested, with null, or wrong: read value by value.
        flat = _flattened(where, parse_document(bytes(tensor.data)), tensor.shape)
        finite = False
    if len(flat) != count:
        raise RequestError(
            422, f"{where}: {len(flat)} values where its shape {tensor.shape} asks for {count}"
        )
    return Values(tensor.name, tensor.shape, kind, flat, finite)


def _flattened(where: str, data: Any, shape: list[int]) -> list[Any]:
    if not isinstance(data, list):
        raise RequestError(422, f"{where}: data is {kind_of(data)} where a list is expected")
    if not any(isinstance(value, list) for value in data):
        return data
    level = [data]
    for depth, size in enumerate(shape):
        for part in level:
            if not isinstance(part, list) or len(part) != size:
                raise RequestError(
                    422, f"{where}: data is not nested as its shape {shape} says, at depth {depth}"
                )
        level = [value for part in level for value in part]
    return level


def _quotes(request: InferenceRequest) -> int:
    """How many quotes a request has whose objects have no key twice; -1 when it can't be told."""
    quotes = 2  # "inputs"
    for tensor in request.inputs:
        if tensor.parameters is not UNSET:
            return -1
        # Three keys and the values of two of them.
        quotes += 10
        if tensor.data is not UNSET:
            quotes += 2 + bytes(tensor.data).count(b'"')
    if request.id is not UNSET:
        quotes += 4
    if request.outputs is not UNSET or request.parameters is not UNSET:
        return -1
    return quotes
