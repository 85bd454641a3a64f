"""Coefficients of linear models; relativities where the link is a logarithm."""

import math
from typing import Any, Literal

import numpy as np
from sklearn.linear_model import (
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.pipeline import Pipeline

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.explaining.results import Coefficient, LinearTerms

TERMS = 40
Link = Literal["identity", "log", "logit", "softmax"]


def linear_terms(estimator: Any, features: list[str]) -> LinearTerms | None:
    """The terms of a fitted linear model, also at the end of a pipeline; None for other models.

    Parameters
    ----------
    features : list of str
        The columns that the estimator was fitted on.

    Raises
    ------
    EvidenceError
        When a step of the pipeline does not name the columns it makes.
    """
    model, steps = _last(estimator)
    coefficients = getattr(model, "coef_", None)
    if coefficients is None:
        return None
    names = _names(steps, features)
    link = _link(model)
    table = np.atleast_2d(np.asarray(coefficients, float))
    if table.shape[1] != len(names):
        return None  # a kernel's coefficients belong to rows, not to columns
    outputs = _outputs(model, len(table))
    multiplies = link in ("log", "logit")
    terms = [
        Coefficient(
            term=name,
            output=output,
            value=float(value),
            factor=_exp(float(value)) if multiplies else None,
        )
        for output, row in zip(outputs, table, strict=True)
        for name, value in zip(names, row, strict=True)
    ]
    terms.sort(key=lambda t: -abs(t.value))
    intercepts = np.broadcast_to(np.asarray(getattr(model, "intercept_", 0.0), float), len(table))
    return LinearTerms(
        link=link,
        steps=[type(step).__name__ for step in steps],
        intercepts=dict(zip(outputs, map(float, intercepts), strict=True)),
        terms=terms[:TERMS],
        left_out=max(0, len(terms) - TERMS),
    )


def _last(estimator: Any) -> tuple[Any, list[Any]]:
    if not isinstance(estimator, Pipeline):
        return estimator, []
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    model, before = _last(steps[-1])
    return model, [*steps[:-1], *before]


def _names(steps: list[Any], features: list[str]) -> list[str]:
    names = np.asarray(features, dtype=object)
    for step in steps:
        if not hasattr(step, "get_feature_names_out"):
            raise EvidenceError(f"the step {type(step).__name__} does not name its columns")
        names = step.get_feature_names_out(names)
    return [str(name) for name in names]


def _link(model: Any) -> Link:
    if isinstance(model, PoissonRegressor | GammaRegressor):
        return "log"
    if isinstance(model, TweedieRegressor):
        # As scikit-learn chooses it: the identity for a normal distribution only.
        logarithm = model.link == "log" or (model.link == "auto" and model.power > 0)
        return "log" if logarithm else "identity"
    if isinstance(model, LogisticRegression):
        return "logit" if len(model.classes_) == 2 else "softmax"
    if isinstance(model, SGDClassifier) and model.loss == "log_loss" and len(model.classes_) == 2:
        return "logit"
    return "identity"


def _outputs(model: Any, count: int) -> list[str]:
    if count == 1:
        return [""]
    classes = getattr(model, "classes_", range(count))
    return [f"class {c}" for c in classes]


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
