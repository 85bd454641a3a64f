"""The forms of the server's replies, for its OpenAPI document."""

from typing import Any, Literal

import msgspec

from mlops_assets.serving.inference import Datatype, Size


class Error(msgspec.Struct):
    """What was wrong and where."""

    error: str


class Live(msgspec.Struct):
    """Whether the process is worth keeping."""

    live: bool


class Ready(msgspec.Struct):
    """Whether requests should come here."""

    ready: bool


class ModelReady(msgspec.Struct):
    """Whether a model can answer."""

    name: str
    ready: bool


class Server(msgspec.Struct):
    """What answers here."""

    name: str
    version: str
    extensions: list[str]


class TensorDescription(msgspec.Struct):
    """An input or output; -1 is the number of rows."""

    name: str
    datatype: Datatype
    shape: list[int]


class Model(msgspec.Struct):
    """A served version: what it is asked, what it answers, where it comes from."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]
    task: str
    version: int
    run_id: str
    digest: str
    loaded_at: str
    problem: str | None


class ModelSummary(msgspec.Struct):
    """A served version in brief."""

    model: str
    version: int
    since: str
    task: str


class IndexEntry(msgspec.Struct):
    """A model of the repository."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class OutputTensor(msgspec.Struct):
    """One output; without data where it follows the JSON as bytes."""

    name: str
    datatype: Datatype
    shape: list[Size]
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class InferenceResponse(msgspec.Struct):
    """The outputs; parameters has the ids of the predictions, joined by commas."""

    model_name: str
    model_version: str
    id: str
    outputs: list[OutputTensor]
    parameters: dict[str, str]


class Predictions(msgspec.Struct):
    """One prediction a record."""

    model: str
    version: int
    predictions: list[dict[str, Any]]


class ScoringResponse(msgspec.Struct):
    """MLflow's form, with the ids of the predictions."""

    predictions: list[Any]
    prediction_ids: list[str]


class Accepted(msgspec.Struct):
    """How many labels were stored."""

    model: str
    accepted: int
