"""A matrix that is read in one step holds what the reader that explains finds in it, or is left."""

import json

import pytest

from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.inference import parse_request, read_values
from mlops_assets.serving.matrices import read_matrix

TENSOR = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, -0.0, 5e-324, 0.1]}


def body(**changes) -> bytes:
    return json.dumps({"inputs": [TENSOR | changes]}).encode()


@pytest.mark.parametrize(
    "sent",
    [
        body(),
        body(datatype="FP32", name="süß"),
        body(shape=[1, 4], data=[1e308, 9007199254740993, 1.7976931348623157e308, 3]),
        b'{"id": "r-1", "inputs":\n [' + json.dumps(TENSOR, indent=2).encode() + b"]}",
    ],
)
def test_the_numbers_are_those_of_the_reader_that_explains(sent):
    (matrix,) = read_matrix(sent).inputs
    (expected,) = read_values(request := parse_request(sent), memoryview(b""))
    assert list(map(repr, matrix.data)) == list(map(repr, expected.flat))
    assert list(matrix.shape) == expected.shape
    assert read_matrix(sent).id == request.id


@pytest.mark.parametrize(
    "sent",
    [
        body(data=[1, 2, 3]),
        body(shape=[0, 2], data=[]),
        body(shape=[4]),
        body(shape=[-2, -2]),
        body(data=[1, None, 2, 3]),
        body(data=[1, "2", 2, 3]),
        body(data=[1, True, 2, 3]),
        body(data=[[1, 2], [3, 4]]),
        body(datatype="INT64"),
        body(name='a "quoted" name'),
        body(parameters={"binary_data_size": 32}),
        body().replace(b"0.1", b"NaN"),
        body().replace(b"0.1", b"1e999"),
        body().replace(b'"shape"', b'"data": [9, 9, 9, 9], "shape"'),
        body().replace(b"]}", b'], "outputs": [{"name": "predict"}]}'),
        body() + b" {}",
        body().replace(b"x", b"\xff"),
        b"[" * 100_000,
        b"",
    ],
)
def test_everything_else_is_left_to_the_reader_that_explains(sent):
    assert read_matrix(sent) is None


def test_a_key_that_stands_twice_is_refused():
    twice = body().replace(b'"shape"', b'"data": [9, 9, 9, 9], "shape"')
    assert read_matrix(twice) is None
    with pytest.raises(RequestError, match="twice"):
        parse_request(twice)
