"""Gradient boosting: HistGradientBoosting and GradientBoosting."""

from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed import kernels
from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.packers.forests import tree_nodes
from mlops_assets.lifecycle.packed.packers.registry import (
    Predictor,
    check_task,
    predictor,
    transform,
)

LINKS = {
    "IdentityLink": "identity",
    "LogLink": "log",
    "LogitLink": "logit",
    "HalfLogitLink": "half_logit",
    "MultinomialLogit": "multinomial_logit",
}


@predictor(
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    # Rebalanced in its baseline, which is packed as it is.
    "mlops_assets.defs.motor_claims.estimator.RebalancedBoosting",
)
def histogram(estimator: Any, columns: Columns, task: str) -> Predictor:
    """HistGradientBoosting, categorical splits and missing values included."""
    check_task(estimator, task)
    if columns.sparse:
        raise NotPackable("HistGradientBoosting gets a sparse matrix")
    if estimator._preprocessor is not None:
        # Codes of the categorical features come first, then the numbers.
        columns = transform(estimator._preprocessor, columns)
    parts, sets, roots = [], [], []
    first = n_sets = 0
    for iteration in estimator._predictors:
        for grown in iteration:
            roots.append(first)
            parts.append(_histogram_nodes(grown.nodes, first, n_sets))
            sets.append(grown.raw_left_cat_bitsets)
            first, n_sets = first + len(grown.nodes), n_sets + len(grown.raw_left_cat_bitsets)
    return Predictor(
        "boosting",
        {
            "nodes": np.concatenate(parts),
            "roots": np.array(roots, np.int32),
            # Added to zeros, as there: -0.0 would stay otherwise.
            "baseline": 0.0 + np.ravel(estimator._baseline_prediction).astype(np.float64),
            "sets": _padded(np.concatenate(sets)),
            "known": _known(estimator, len(columns)),
        },
        {"link": _link(estimator), "single": False},
        columns,
    )


@predictor(
    "sklearn.ensemble._gb.GradientBoostingClassifier",
    "sklearn.ensemble._gb.GradientBoostingRegressor",
)
def classic(estimator: Any, columns: Columns, task: str) -> Predictor:
    """GradientBoosting with an initial prediction that is a constant."""
    check_task(estimator, task)
    kind = type(estimator.init_).__name__
    if estimator.init_ != "zero" and kind not in ("DummyClassifier", "DummyRegressor"):
        raise NotPackable(f"GradientBoosting that starts from a {kind} can't be packed")
    parts, roots, first = [], [], 0
    for iteration in estimator.estimators_:
        for grown in iteration:
            part, values = tree_nodes(grown.tree_, first, 0)
            at_leaf = part["left"] < 0
            # Multiplied here or at every request: it is one rounding either way.
            part["number"][at_leaf] = estimator.learning_rate * values[:, 0]
            roots.append(first)
            parts.append(part)
            first += len(part)
    baseline = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))
    return Predictor(
        "boosting",
        {
            "nodes": np.concatenate(parts),
            "roots": np.array(roots, np.int32),
            "baseline": np.ravel(baseline).astype(np.float64),
            "sets": np.zeros((1, kernels.SET_WORDS), np.uint32),
            "known": np.zeros((len(columns), kernels.SET_WORDS), np.uint32),
        },
        {"link": _link(estimator), "single": True},
        columns,
    )


def _link(estimator: Any) -> str:
    link = type(estimator._loss.link).__name__
    if link not in LINKS:
        raise NotPackable(f"{type(estimator).__name__} with a {link} can't be packed")
    return LINKS[link]


def _histogram_nodes(grown: np.ndarray, first: int, n_sets: int) -> np.ndarray:
    is_leaf = grown["is_leaf"].astype(bool)
    categorical = grown["is_categorical"].astype(bool) & ~is_leaf
    nodes = np.zeros(len(grown), kernels.NODE)
    nodes["feature"] = np.where(is_leaf, 0, grown["feature_idx"])
    nodes["left"] = np.where(is_leaf, -1, grown["left"].astype(np.int64) + first)
    nodes["right"] = np.where(is_leaf, 0, grown["right"].astype(np.int64) + first)
    place = np.where(categorical, grown["bitset_idx"].astype(np.int64) + n_sets, 0)
    flags = grown["missing_go_to_left"].astype(np.int64) * kernels.MISSING_LEFT
    flags = flags | (categorical * kernels.CATEGORICAL) | (place << kernels.SET_SHIFT)
    nodes["flags"] = np.where(is_leaf, 0, flags)
    nodes["number"] = np.where(is_leaf, grown["value"], grown["num_threshold"])
    return nodes


def _known(estimator: Any, width: int) -> np.ndarray:
    known = np.zeros((width, kernels.SET_WORDS), np.uint32)
    if estimator._is_categorical_remapped is not None:
        sets, places = estimator._bin_mapper.make_known_categories_bitsets()
        for feature in np.flatnonzero(estimator._bin_mapper.is_categorical_):
            known[feature] = sets[places[feature]]
    return known


def _padded(sets: np.ndarray) -> np.ndarray:
    # An empty array can't be mapped.
    return sets if len(sets) else np.zeros((1, kernels.SET_WORDS), np.uint32)
