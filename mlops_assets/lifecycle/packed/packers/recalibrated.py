"""Recalibrated estimators: the estimator that was fitted, and a step after it."""

from dataclasses import replace
from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.outputs import BINARY
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.packers.registry import Predictor, predict, predictor

# What `decision_function` is the raw prediction of.
RAW = {"linear": ("logit",), "boosting": ("logit", "half_logit")}


@predictor("sklearn.frozen._frozen.FrozenEstimator")
def frozen(estimator: Any, columns: Columns, task: str) -> Predictor:
    """The estimator itself."""
    return predict(estimator.estimator, columns, task)


@predictor("sklearn.calibration.CalibratedClassifierCV")
def calibrated(estimator: Any, columns: Columns, task: str) -> Predictor:
    """Of two classes, with one logistic function."""
    parts = estimator.calibrated_classifiers_
    if task != BINARY or estimator.method != "sigmoid" or len(parts) != 1:
        raise NotPackable(
            f"a CalibratedClassifierCV of {len(parts)} parts by {estimator.method} for a {task} "
            "can't be packed"
        )
    last = predict(parts[0].estimator, columns, task)
    if hasattr(parts[0].estimator, "decision_function"):
        if last.options.get("link") not in RAW.get(last.kind, ()):
            raise NotPackable(f"a {last.kind} without a logistic link can't be recalibrated")
        last = replace(last, options=last.options | {"link": "identity"})
    (found,) = parts[0].calibrators
    return _then(last, "sigmoid", found.a_, found.b_, {})


@predictor("mlops_assets.lifecycle.rescaled.Rescaled")
def rescaled(estimator: Any, columns: Columns, task: str) -> Predictor:
    """The fitted regressor, then its level and slope."""
    last = predict(estimator.estimator, columns, task)
    options = {"link": estimator.link_}
    return _then(last, "rescaled", estimator.slope_, estimator.level_, options)


def _then(last: Predictor, kind: str, slope: float, level: float, options: dict) -> Predictor:
    arrays = {"slope": np.array([slope], np.float64), "level": np.array([level], np.float64)}
    return replace(last, after=(*last.after, (kind, arrays, options)))
