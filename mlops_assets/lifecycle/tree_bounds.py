"""Trees whose nodes point where there is nothing.

scikit-learn walks its trees in C without looking at bounds: a node that points out of its array,
or asks for a feature that a row has not, reads foreign memory or ends the process; one that points
back at itself never ends. skops checks which classes a file holds, not what is in their arrays.
"""

import functools
from typing import Any

from mlops_assets.lifecycle.reachable import name, require


def check_trees(held: list[Any]) -> None:
    """Check every tree of an estimator.

    Parameters
    ----------
    held : list of object
        Everything that hangs on the estimator.

    Raises
    ------
    ArtifactError
        Naming the class, the node and what is wrong with it.
    """
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    for tree in (h for h in held if isinstance(h, Tree)):
        _check_tree(tree)
    owned = set()
    for holder in held:
        if isinstance(holder, BaseDecisionTree) and hasattr(holder, "tree_"):
            require(
                _width(holder) == holder.tree_.n_features,
                f"{name(holder)}: rows of {_width(holder)} features for a tree of "
                f"{holder.tree_.n_features}",
            )
        elif isinstance(holder, BaseGradientBoosting) and hasattr(holder, "estimators_"):
            _check_stages(holder)
        elif isinstance(holder, BaseHistGradientBoosting) and hasattr(holder, "_predictors"):
            for predictor in _predictors(holder, TreePredictor):
                _check_predictor(predictor, holder)
                owned.add(id(predictor))
    astray = [h for h in held if isinstance(h, TreePredictor) and id(h) not in owned]
    require(not astray, "a TreePredictor that belongs to no HistGradientBoosting")


def _check_tree(tree: Any) -> None:
    require(tree.node_count > 0, "a tree without nodes")
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    require((right[leaf] == -1).all(), "a tree has a node with one child")
    _check_children(left, right, leaf, "a tree")
    _check_features(tree.feature, leaf, tree.n_features, "a tree")


def _check_stages(boosting: Any) -> None:
    import numpy as np

    stages = boosting.estimators_
    require(
        isinstance(stages, np.ndarray) and stages.ndim == 2 and stages.size > 0,
        f"{name(boosting)}: its stages are no table of trees",
    )
    for tree in (s.tree_ for s in stages.flat):
        # predict_stages reads one value a node, and one row for all trees.
        require(
            (tree.n_features, tree.n_outputs, tree.max_n_classes) == (_width(boosting), 1, 1),
            f"{name(boosting)}: a stage is not a regression tree of its features",
        )
    asked = np.zeros((1, _width(boosting)), dtype=np.float32)
    sums = boosting._raw_predict_init(asked).shape
    require(
        sums == (1, stages.shape[1]),
        f"{name(boosting)}: {stages.shape[1]} trees a stage are added up in {sums[1:]} sums",
    )


def _predictors(boosting: Any, kind: type) -> list[Any]:
    predictors = [predictor for stage in boosting._predictors for predictor in stage]
    require(
        all(type(p) is kind for p in predictors),
        f"{name(boosting)}: its stages hold something other than trees",
    )
    return predictors


def _check_predictor(predictor: Any, boosting: Any) -> None:
    import numpy as np
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    who, nodes, width = name(boosting), predictor.nodes, _columns(boosting)
    require(
        isinstance(nodes, np.ndarray)
        and nodes.dtype == PREDICTOR_RECORD_DTYPE
        and nodes.ndim == 1
        and len(nodes) > 0,
        f"{who}: a tree without proper nodes",
    )
    leaf = nodes["is_leaf"] != 0
    _check_children(nodes["left"], nodes["right"], leaf, who)
    _check_features(nodes["feature_idx"], leaf, width, who)
    categorical = np.asarray(boosting._bin_mapper.is_categorical_).astype(bool)
    require(categorical.shape == (width,), f"{who}: it has {width} columns, its bins other ones")
    asked = ~leaf & (nodes["is_categorical"] != 0)
    require(
        categorical[nodes["feature_idx"][asked]].all(),
        f"{who}: a node splits a number by categories",
    )
    sets = predictor.raw_left_cat_bitsets
    require(
        sets.ndim == 2 and sets.shape[1] == 8 and (nodes["bitset_idx"][asked] < len(sets)).all(),
        f"{who}: a node splits by a set of categories that is not there",
    )


def _columns(boosting: Any) -> int:
    """How many columns the trees of a HistGradientBoosting are asked about."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
    from sklearn.utils.validation import check_array

    width, before = _width(boosting), getattr(boosting, "_preprocessor", None)
    if before is None:
        return width
    # With categories a transformer reorders the columns; it must be the one that fit makes, which
    # keeps their number.
    (_, encoder, which), (_, numbers, others), *rest = before.transformers_
    function = getattr(numbers, "func", None)
    require(
        type(before) is ColumnTransformer
        and type(encoder) is OrdinalEncoder
        and type(numbers) is FunctionTransformer
        and isinstance(function, functools.partial)
        and function.func is check_array
        and _width(before) == width
        and all(what == "drop" for _, what, _ in rest)
        and len(encoder.categories_) == which.sum()
        and which.shape == others.shape == (width,)
        and (which != others).all(),
        f"{name(boosting)}: its preprocessor is not the one that fit makes",
    )
    return width


def _check_children(left: Any, right: Any, leaf: Any, who: str) -> None:
    import numpy as np

    # Every builder of scikit-learn puts a child behind its parent; so no walk goes in circles.
    parents = np.flatnonzero(~leaf)
    for children in (left, right):
        found = children[parents].astype(np.int64)
        wrong = parents[(found <= parents) | (found >= len(leaf))]
        require(not len(wrong), f"{who}: node {wrong[:1]} of {len(leaf)} has no such child")


def _check_features(feature: Any, leaf: Any, width: int, who: str) -> None:
    import numpy as np

    wrong = np.flatnonzero(~leaf & ((feature < 0) | (feature >= width)))
    require(not len(wrong), f"{who}: node {wrong[:1]} asks for a feature beyond the {width}")


def _width(estimator: Any) -> int:
    # scikit-learn checks the rows it is asked only against an estimator that knows its width.
    width = getattr(estimator, "n_features_in_", None)
    require(isinstance(width, int), f"{name(estimator)} does not know its number of features")
    assert isinstance(width, int)
    return width
