"""The recommenders of the platform as arrays."""

from typing import Any

import numpy as np

from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.packers.registry import class_name
from mlops_assets.lifecycle.packed.plan import Option

EASE = "mlops_assets.defs.recommendations.estimator.Ease"
POPULARITY = "mlops_assets.defs.recommendations.estimator.Popularity"
KINDS = {EASE: "ease", POPULARITY: "popularity"}


def pack_recommender(estimator: Any) -> tuple[str, dict[str, np.ndarray], dict[str, Option]]:
    """The kind, arrays and options of a fitted recommender.

    Raises
    ------
    NotPackable
        When it is not one of the platform's.
    """
    name = class_name(estimator)
    if name not in KINDS:
        raise NotPackable(f"{name} can't be packed")
    arrays = {
        "units": estimator.units_,
        "items": estimator.items_,
        "data": estimator.data_,
        "indices": estimator.indices_.astype(np.int32),
        "indptr": estimator.indptr_.astype(np.int32),
        "popularity": estimator.popularity_,
    }
    if name == EASE:
        arrays["weights"] = np.ascontiguousarray(estimator.weights_)
        arrays["recent"] = estimator.recent_
    return KINDS[name], arrays, {"exclude_seen": bool(estimator.exclude_seen)}
