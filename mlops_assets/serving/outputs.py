"""A version's answers as the protocol's output tensors."""

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

from msgspec import UnsetType

from mlops_assets.serving.answers import Answered, Columns
from mlops_assets.serving.datatypes import BYTES, to_bytes
from mlops_assets.serving.errors import RequestError, shown
from mlops_assets.serving.inference import Datatype, InferenceRequest
from mlops_assets.serving.replies import OutputTensor

Output = tuple[Datatype, list[int], list[Any]]  # datatype, shape, values in row-major order
PREDICTION_ID = "prediction_id"


class Wanted(NamedTuple):
    """What an inference request has to be answered with.

    Parameters
    ----------
    id : str or UNSET
        The client's own.
    outputs : list of (str, bool) or None
        Their names, and whether each is wanted binary; None for all of them in JSON.
    """

    id: str | UnsetType
    outputs: list[tuple[str, bool]] | None


def _labels(answers: Columns) -> Output:
    labels = answers["prediction"]
    return "INT64", [len(labels)], labels


def _numbers(answers: Columns) -> Output:
    numbers = answers["prediction"]
    return "FP64", [len(numbers)], numbers


def _both_probabilities(answers: Columns) -> Output:
    scores = answers["score"]
    pairs = [(1.0 - score, score) for score in scores]
    return "FP64", [len(scores), 2], list(chain.from_iterable(pairs))


def _probabilities(answers: Columns) -> Output:
    return _matrix("FP64", answers["scores"], 0.0)


def _items(answers: Columns) -> Output:
    return _matrix(BYTES, answers["prediction"], "")


def _matrix(datatype: Datatype, rows: list[list[Any]], nothing: Any) -> Output:
    """A tensor has rows of one length: where a unit's items run out it is filled."""
    width = max(map(len, rows))
    filled = [row if len(row) == width else row + [nothing] * (width - len(row)) for row in rows]
    return datatype, [len(rows), width], list(chain.from_iterable(filled))


OUTPUTS: dict[str, dict[str, Callable[[Columns], Output]]] = {
    "binary_classification": {"predict": _labels, "predict_proba": _both_probabilities},
    "multiclass_classification": {"predict": _labels, "predict_proba": _probabilities},
    "regression": {"predict": _numbers},
    "count_regression": {"predict": _numbers},
    "ranking": {"items": _items, "scores": _probabilities},
}

_DESCRIBED: dict[Callable[[Columns], Output], tuple[Datatype, list[int]]] = {
    _labels: ("INT64", [-1]),
    _numbers: ("FP64", [-1]),
    _both_probabilities: ("FP64", [-1, 2]),
    _probabilities: ("FP64", [-1, -1]),
    _items: (BYTES, [-1, -1]),
}


def described(task: str) -> list[dict[str, Any]]:
    """The outputs as the model's metadata names them."""
    found = [(name, *_DESCRIBED[make]) for name, make in OUTPUTS[task].items()]
    return [
        {"name": name, "datatype": datatype, "shape": shape}
        for name, datatype, shape in [*found, (PREDICTION_ID, BYTES, [-1])]
    ]


def wanted_of(task: str, request: InferenceRequest) -> Wanted:
    """What a request wants, before anything is scored.

    Raises
    ------
    RequestError
        422 for outputs that the model has not, naming those there are.
    """
    everything = bool((request.parameters or {}).get("binary_data_output", False))
    if not request.outputs:
        return Wanted(request.id, [(name, True) for name in OUTPUTS[task]] if everything else None)
    known = [*OUTPUTS[task], PREDICTION_ID]
    outputs = []
    for output in request.outputs:
        where, parameters = f"output {shown(output.name)}", output.parameters or {}
        if output.name not in known:
            raise RequestError(422, f"{where}: unknown; known are {', '.join(known)}")
        if parameters.get("classification"):
            raise RequestError(422, f"{where}: the classification extension is not offered")
        outputs.append((output.name, bool(parameters.get("binary_data", everything))))
    return Wanted(request.id, outputs)


def output_tensors(
    task: str, answered: Answered, wanted: Wanted
) -> tuple[list[OutputTensor], list[bytes]]:
    """The outputs a request wants, and the bytes of those it wants binary, in their order."""
    made, answers = OUTPUTS[task], answered.columns
    if wanted.outputs is None:
        return [OutputTensor(name, *make(answers)) for name, make in made.items()], []
    tensors: list[OutputTensor] = []
    tail: list[bytes] = []
    for name, binary in wanted.outputs:
        if name == PREDICTION_ID:
            output: Output = BYTES, [answered.rows], answered.ids
        else:
            output = made[name](answers)
        datatype, shape, values = output
        if binary:
            tail.append(to_bytes(datatype, values))
            size = {"binary_data_size": len(tail[-1])}
            tensors.append(OutputTensor(name, datatype, shape, parameters=size))
        else:
            tensors.append(OutputTensor(name, datatype, shape, values))
    return tensors, tail
