"""The three forms in which predictions are asked and answered, over the same rows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from mlops_assets.serving.answers import Answered
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.inference import parse_request, read_values
from mlops_assets.serving.invocations import check_content_type, read_invocation
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.matrices import read_matrix
from mlops_assets.serving.outputs import PREDICTION_ID, Wanted, output_tensors, wanted_of
from mlops_assets.serving.payload import RecordReader
from mlops_assets.serving.replies import InferenceResponse
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.tensors import TensorReader

Headers = Mapping[bytes, bytes]
JSON = (b"content-type", b"application/json")
HEADER_LENGTH = b"inference-header-content-length"
_encode = msgspec.json.Encoder().encode

# What a reply is: its own headers, and its body.
Reply = tuple[list[tuple[bytes, bytes]], bytes]


class Form(ABC):
    """How a request becomes rows, and answers become a reply."""

    name: ClassVar[str]

    def check(self, headers: Headers) -> None:
        """Refuse a request by its headers alone."""
        return None

    @abstractmethod
    def rows(
        self, model: ServedModel, readers: "Readers", body: bytes, headers: Headers
    ) -> tuple[Rows, Any]:
        """The checked rows, and what `reply` has to know of the request.

        Raises
        ------
        RequestError
            Saying what is wrong and where.
        """

    @abstractmethod
    def reply(self, model: ServedModel, answered: Answered, asked: Any, request_id: str) -> Reply:
        """Headers and body of the reply."""


class Readers:
    """How a version reads what it is asked.

    Parameters
    ----------
    model : ServedModel
    """

    def __init__(self, model: ServedModel):
        self.records: RecordReader = model.reader
        self.tensors = TensorReader(model.reader)


class Records(Form):
    """A list of plain records, or one of them: for people and scripts."""

    name = "predict"

    def rows(self, model, readers, body, headers):
        return readers.records.read(body), None

    def reply(self, model, answered, asked, request_id):
        columns, name = answered.columns, _encode(model.version.model)
        rows = _encode(list(map(_row_type(tuple(columns)), *columns.values(), answered.ids)))
        body = b'{"model":%s,"version":%d,"predictions":%s}' % (name, model.version.number, rows)
        return [JSON], body


class Inference(Form):
    """The Open Inference Protocol v2, with its binary tensor extension."""

    name = "infer"

    def rows(self, model, readers, body, headers):
        if HEADER_LENGTH not in headers and readers.tensors.takes_matrices:
            found = read_matrix(body)
            if found and (rows := readers.tensors.matrix(found.inputs[0])):
                return rows, Wanted(found.id, None)
        length = _header_length(headers, len(body))
        request = parse_request(body if length is None else body[:length])
        wanted = wanted_of(model.serving.task, request)
        tail = memoryview(b"" if length is None else body)[length or 0 :]
        return readers.tensors.rows(read_values(request, tail)), wanted

    def reply(self, model, answered, asked: Wanted, request_id):
        version = model.version
        outputs, tail = output_tensors(model.serving.task, answered, asked)
        header = _encode(
            InferenceResponse(
                version.model,
                str(version.number),
                request_id if asked.id is UNSET else asked.id,
                outputs,
                # The protocol's parameters hold no lists.
                {"prediction_ids": answered.joined_ids},
            )
        )
        if not tail:
            return [JSON], header
        length = (HEADER_LENGTH, b"%d" % len(header))
        kind = (b"content-type", b"application/octet-stream")
        return [kind, length], b"".join([header, *tail])


class Invocation(Form):
    """The payloads of MLflow's scoring server."""

    name = "invocations"

    def check(self, headers):
        check_content_type(headers.get(b"content-type", b"").decode("latin-1"))

    def rows(self, model, readers, body, headers):
        return read_invocation(readers.records, body), None

    def reply(self, model, answered, asked, request_id):
        return [JSON], _encode(
            {
                "predictions": answered.columns["prediction"],
                "prediction_ids": answered.ids,
            }
        )


@cache
def _row_type(fields: tuple[str, ...]) -> type[msgspec.Struct]:
    """One prediction of the plain form; a struct is encoded twice as fast as a mapping."""
    return msgspec.defstruct("Prediction", [*fields, PREDICTION_ID], gc=False)


PREDICT, INFER, INVOCATIONS = Records(), Inference(), Invocation()


def _header_length(headers: Headers, size: int) -> int | None:
    sent = headers.get(HEADER_LENGTH)
    if sent is None:
        return None
    if not sent.isdigit() or len(sent) > 12 or int(sent) > size:
        raise RequestError(
            400, f"Inference-Header-Content-Length is no number of bytes up to the body's {size}"
        )
    return int(sent)
