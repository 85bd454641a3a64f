"""The server's OpenAPI 3.1 document, from the types that decode its requests."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from mlops_assets.serving import replies
from mlops_assets.serving.feedback import label_schema
from mlops_assets.serving.inference import InferenceRequest
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.payload import MAX_ROWS
from mlops_assets.version import __version__

Schema = dict[str, Any]
_REF = "#/components/schemas/{name}"
_REPLIES = (
    replies.Error, replies.Live, replies.Ready, replies.ModelReady, replies.Server,
    replies.Model, replies.ModelSummary, replies.IndexEntry, replies.InferenceResponse,
    replies.Predictions, replies.ScoringResponse, replies.Accepted,
)  # fmt: skip


def document(models: Iterable[ServedModel], keyed: bool) -> Schema:
    """The document for what is served now.

    Parameters
    ----------
    models : iterable of ServedModel
        Each has addresses of its own, with the fields it was trained on.
    keyed : bool
        Whether a key is asked for.
    """
    _, components = msgspec.json.schema_components((*_REPLIES, InferenceRequest), ref_template=_REF)
    components["InputTensor"]["properties"]["data"] = {"type": "array"}
    paths = _server_paths()
    for model in models:
        paths |= _model_paths(model)
    found: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "mlops_assets",
            "version": __version__,
            "description": "The Open Inference Protocol v2, MLflow's payloads, and plain records.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if keyed:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        found["security"] = [{"bearer": []}, {"header": []}]
    return found


def _server_paths() -> Schema:
    index = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    model = [_parameter("model", "Name of a model")]
    version = [*model, _parameter("version", "Number of a version that serves")]
    open_to_all: Schema = {"security": []}
    return {
        "/v2": {"get": _operation("What answers here", replies.Server)},
        "/v2/health/live": {
            "get": _operation("Is the process worth keeping?", replies.Live) | open_to_all
        },
        "/v2/health/ready": {
            "get": _operation("Should requests come here?", replies.Ready) | open_to_all
        },
        "/v2/models": {"get": _operation("The models that are served", [replies.ModelSummary])},
        "/v2/repository/index": {
            "post": _operation("The models, ready or not", [replies.IndexEntry], index)
        },
        "/v2/models/{model}": {
            "get": _operation("A model", replies.Model),
            "parameters": model,
        },
        "/v2/models/{model}/ready": {
            "get": _operation("Can it answer?", replies.ModelReady),
            "parameters": model,
        },
        "/v2/models/{model}/versions/{version}": {
            "get": _operation("A version of a model", replies.Model),
            "parameters": version,
        },
        "/v2/models/{model}/versions/{version}/ready": {
            "get": _operation("Can it answer?", replies.ModelReady),
            "parameters": version,
        },
    }


def _model_paths(model: ServedModel) -> Schema:
    name = model.version.model
    record = _record_schema(model) | {"title": f"A record for {name}"}
    records = {"type": "array", "items": record, "minItems": 1, "maxItems": MAX_ROWS}
    path = quote(name, safe="")
    infer, tag = f"/v2/models/{path}/infer", {"tags": [name]}
    found = {
        f"/predict/{path}": _operation(
            f"Ask {name} with plain records", replies.Predictions, {"anyOf": [records, record]}
        ),
        infer: _operation(
            f"Ask {name} by the Open Inference Protocol", replies.InferenceResponse, _infer_schema()
        ),
        f"/v2/models/{path}/versions/{model.version.number}/infer": _operation(
            f"Ask this version of {name}", replies.InferenceResponse, _infer_schema()
        ),
        f"/v2/models/{path}/invocations": _operation(
            f"Ask {name} as MLflow's scoring server", replies.ScoringResponse,
            _invocation_schema(records),
        ),
    }  # fmt: skip
    for address, operation in found.items():
        if address.endswith("/infer"):
            # The binary tensor extension.
            operation["responses"]["200"]["content"]["application/octet-stream"] = {}
    found[f"/v2/models/{path}/feedback"] = _operation(
        f"Tell {name} what turned out to be true", replies.Accepted,
        label_schema(model.serving.task),
    )  # fmt: skip
    return {address: {"post": operation | tag} for address, operation in found.items()}


def _record_schema(model: ServedModel) -> Schema:
    if model.reader.record is None:
        return {"type": "object", "required": model.reader.names}
    _, made = msgspec.json.schema_components((model.reader.record,), ref_template=_REF)
    (record,) = made.values()
    return record


def _infer_schema() -> Schema:
    return {"$ref": _REF.format(name="InferenceRequest")}


def _invocation_schema(records: Schema) -> Schema:
    rows = {"type": "array", "items": {"type": "array"}, "minItems": 1}
    split = {
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "index": {"type": "array"},
            "data": rows,
        },
        "required": ["data"],
    }
    columns = {"type": "object", "additionalProperties": {"type": "array"}}
    forms = {
        "dataframe_split": split,
        "dataframe_records": records,
        "inputs": {"anyOf": [columns, rows]},
        "instances": {"anyOf": [records, rows]},
    }
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {form: schema},
                "required": [form],
                "additionalProperties": False,
            }
            for form, schema in forms.items()
        ]
    }


def _operation(summary: str, reply: Any, body: Schema | None = None) -> Schema:
    kind, schema = (reply[0], True) if isinstance(reply, list) else (reply, False)
    one = {"$ref": _REF.format(name=kind.__name__)}
    answer = {"type": "array", "items": one} if schema else one
    refusal = _content({"$ref": _REF.format(name="Error")})
    # Health has its own form when it is not well.
    unwell = _content(answer) if kind in (replies.Live, replies.Ready) else refusal
    found: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "done", **_content(answer)},
            "4XX": {"description": "refused, saying what is wrong and where", **refusal},
            "503": {"description": "not now; come again", **unwell},
        },
    }
    if body is not None:
        found["requestBody"] = {"required": True, **_content(body)}
    return found


def _content(schema: Schema) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}


def _parameter(name: str, text: str) -> Schema:
    kind = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": kind}
