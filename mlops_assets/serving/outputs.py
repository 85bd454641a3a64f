"""A version's answers as the protocol's output tensors."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from msgspec import UNSET

from mlops_assets.serving.datatypes import BYTES, to_bytes
from mlops_assets.serving.errors import RequestError, shown
from mlops_assets.serving.inference import InferenceRequest

Answers = list[dict[str, Any]]
Output = tuple[str, list[int], list[Any]]  # datatype, shape, values in row-major order
PREDICTION_ID = "prediction_id"


def _labels(answers: Answers) -> Output:
    return "INT64", [len(answers)], [a["prediction"] for a in answers]


def _numbers(answers: Answers) -> Output:
    return "FP64", [len(answers)], [a["prediction"] for a in answers]


def _both_probabilities(answers: Answers) -> Output:
    pairs = [(1.0 - a["score"], a["score"]) for a in answers]
    return "FP64", [len(answers), 2], list(chain.from_iterable(pairs))


def _probabilities(answers: Answers) -> Output:
    return _matrix("FP64", [a["scores"] for a in answers])


def _items(answers: Answers) -> Output:
    return _matrix(BYTES, [a["prediction"] for a in answers])


def _matrix(datatype: str, rows: list[list[Any]]) -> Output:
    return datatype, [len(rows), len(rows[0])], list(chain.from_iterable(rows))


OUTPUTS: dict[str, dict[str, Callable[[Answers], Output]]] = {
    "binary_classification": {"predict": _labels, "predict_proba": _both_probabilities},
    "multiclass_classification": {"predict": _labels, "predict_proba": _probabilities},
    "regression": {"predict": _numbers},
    "count_regression": {"predict": _numbers},
    "ranking": {"items": _items, "scores": _probabilities},
}

_DESCRIBED: dict[Callable[[Answers], Output], tuple[str, list[int]]] = {
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


def check_wanted(task: str, request: InferenceRequest) -> None:
    """Refuse outputs that the model has not, before anything is scored.

    Raises
    ------
    RequestError
        422, naming the outputs there are.
    """
    if request.outputs is UNSET:
        return
    known = [*OUTPUTS[task], PREDICTION_ID]
    for wanted in request.outputs:
        if wanted.name not in known:
            raise RequestError(
                422, f"output {shown(wanted.name)}: unknown; known are {', '.join(known)}"
            )
        if (wanted.parameters or {}).get("classification"):
            raise RequestError(
                422, f"output {shown(wanted.name)}: the classification extension is not offered"
            )


def output_tensors(
    task: str, answers: Answers, ids: list[str], request: InferenceRequest
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The outputs a request wants, and the bytes of those it wants binary, in their order."""
    made, tail = [], []
    for name, binary in _wanted(task, request):
        if name == PREDICTION_ID:
            datatype, shape, values = BYTES, [len(ids)], ids
        else:
            datatype, shape, values = OUTPUTS[task][name](answers)
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if binary:
            tail.append(to_bytes(datatype, values))
            tensor["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = values
        made.append(tensor)
    return made, tail


def _wanted(task: str, request: InferenceRequest) -> list[tuple[str, bool]]:
    everything = bool((request.parameters or {}).get("binary_data_output", False))
    if not request.outputs:
        return [(name, everything) for name in OUTPUTS[task]]
    return [
        (wanted.name, bool((wanted.parameters or {}).get("binary_data", everything)))
        for wanted in request.outputs
    ]
