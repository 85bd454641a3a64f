"""Decision trees and forests."""

from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed import kernels
from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.outputs import MULTICLASS
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.packers.registry import Predictor, check_task, predictor


@predictor(
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.DecisionTreeRegressor",
    "sklearn.tree._classes.ExtraTreeClassifier",
    "sklearn.tree._classes.ExtraTreeRegressor",
)
def tree(estimator: Any, columns: Columns, task: str) -> Predictor:
    """A lone tree."""
    return _forest(estimator, [estimator], columns, task, averaged=False)


@predictor(
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._forest.RandomForestRegressor",
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.ensemble._forest.ExtraTreesRegressor",
)
def forest(estimator: Any, columns: Columns, task: str) -> Predictor:
    """The mean of trees, added one after the other as one thread does."""
    return _forest(estimator, list(estimator.estimators_), columns, task, averaged=True)


def _forest(
    estimator: Any, trees: list[Any], columns: Columns, task: str, *, averaged: bool
) -> Predictor:
    if estimator.n_outputs_ != 1:
        raise NotPackable(f"the {type(estimator).__name__} has {estimator.n_outputs_} outputs")
    check_task(estimator, task)
    parts, values, first, leaves = [], [], 0, 0
    roots = []
    for fitted in trees:
        part, answers = tree_nodes(fitted.tree_, first, leaves)
        roots.append(first)
        parts.append(part)
        values.append(answers)
        first, leaves = first + len(part), leaves + len(answers)
    nodes, leaf_values = np.concatenate(parts), np.concatenate(values)
    if task != MULTICLASS:
        # What is asked is the probability of class 1, or the one prediction.
        at_leaf = nodes["left"] < 0
        nodes["number"][at_leaf] = leaf_values[nodes["right"][at_leaf], -1]
        leaf_values = np.zeros((1, 1))
    # NaN is taken also where training had none; of a sparse matrix, never.
    nan_allowed = not columns.sparse and trees[0]._support_missing_values(np.zeros((1, 1)))
    return Predictor(
        "forest",
        {"nodes": nodes, "roots": np.array(roots, np.int32), "values": leaf_values},
        {"averaged": averaged, "nan_allowed": bool(nan_allowed)},
        columns,
    )


def tree_nodes(tree: Any, first: int, leaves: int) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of a scikit-learn tree, and the values of its leaves.

    Parameters
    ----------
    tree : sklearn.tree._tree.Tree
    first : int
        Place of its root among all nodes.
    leaves : int
        Place of its first leaf among all leaves.

    Returns
    -------
    nodes : ndarray of NODE
    values : ndarray of float64, shape (n_leaves, n_values)
    """
    state = tree.__getstate__()["nodes"]
    is_leaf = state["left_child"] < 0
    nodes = np.zeros(len(state), kernels.NODE)
    nodes["feature"] = np.where(is_leaf, 0, state["feature"])
    nodes["left"] = np.where(is_leaf, -1, state["left_child"] + first)
    place = np.cumsum(is_leaf) - 1 + leaves
    nodes["right"] = np.where(is_leaf, place, state["right_child"] + first)
    nodes["flags"] = np.where(is_leaf, 0, state["missing_go_to_left"] * kernels.MISSING_LEFT)
    nodes["number"] = np.where(is_leaf, 0.0, state["threshold"])
    return nodes, np.ascontiguousarray(tree.value[is_leaf, 0, :])
