"""Pipelines and column transformers: preprocessing in front of an estimator."""

from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.packers.registry import (
    Predictor,
    predict,
    predictor,
    transform,
    transformer,
)

PIPELINE = "sklearn.pipeline.Pipeline"


@predictor(PIPELINE)
def predicting(pipeline: Any, columns: Columns, task: str) -> Predictor:
    """All steps but the last transform; the last predicts."""
    *before, (_, last) = pipeline.steps
    return predict(last, _through(before, columns), task)


@transformer(PIPELINE)
def transforming(pipeline: Any, columns: Columns) -> Columns:
    """Every step transforms."""
    return _through(pipeline.steps, columns)


@transformer("sklearn.compose._column_transformer.ColumnTransformer")
def column_transformer(fitted: Any, columns: Columns) -> Columns:
    """The outputs of the transformers side by side, the remainder last."""
    if fitted.transformer_weights:
        raise NotPackable("a ColumnTransformer with transformer_weights can't be packed")
    if columns.sparse:
        raise NotPackable("a ColumnTransformer gets a sparse matrix")
    found: list = []
    for name, step, _ in fitted.transformers_:
        places = fitted._transformer_to_input_indices[name]
        if len(places) == 0 or (isinstance(step, str) and step == "drop"):
            continue
        taken = Columns(tuple(columns.columns[place] for place in places))
        through = isinstance(step, str) or _is_identity(step)
        found += (taken if through else transform(step, taken)).columns
    return Columns(tuple(found), sparse=bool(fitted.sparse_output_))


def _is_identity(step: Any) -> bool:
    # "passthrough" becomes such a step; HistGradientBoosting checks its numbers by one.
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.utils import check_array

    if type(step) is not FunctionTransformer:
        return False
    checks = step.func
    if checks is None:
        return True
    return getattr(checks, "func", None) is check_array and checks.keywords["dtype"] == [np.float64]


def _through(steps: list, columns: Columns) -> Columns:
    for _, step in steps:
        if not (step is None or (isinstance(step, str) and step == "passthrough")):
            columns = transform(step, columns)
    return columns
