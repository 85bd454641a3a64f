"""Packing a whole estimator."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.packed import plan as plans
from mlops_assets.lifecycle.packed.errors import NotPackable
from mlops_assets.lifecycle.packed.outputs import RANKING
from mlops_assets.lifecycle.packed.packers import (  # noqa: F401  each registers its classes
    boosting,
    forests,
    linear,
    pipelines,
    preprocessing,
    recalibrated,
)
from mlops_assets.lifecycle.packed.packers.columns import Columns
from mlops_assets.lifecycle.packed.packers.recommenders import pack_recommender
from mlops_assets.lifecycle.packed.packers.registry import predict
from mlops_assets.lifecycle.packed.plan import Kind, PlannedFeature

if TYPE_CHECKING:
    from mlops_assets.lifecycle.artifact import Feature


def pack(estimator: Any, features: "list[Feature]", task: str, folder: Path) -> None:
    """Write a fitted estimator as a plan and arrays.

    Parameters
    ----------
    estimator : fitted estimator
    features : list of Feature
        The columns of the frames it is asked with, in order.
    task : str
        Name of a task.
    folder : Path
        Must not exist.

    Raises
    ------
    NotPackable
        Naming what is not supported. That it is supported is no proof: see ``proving``.
    """
    if task == RANKING:
        kind, arrays, options = pack_recommender(estimator)
        asked = [PlannedFeature(name=features[0].name, kind="text")]
        plans.write(folder, task, asked, [(kind, arrays, options)])
        return
    kinds = [kind_of(feature) for feature in features]
    last = predict(estimator, Columns.of(kinds), task)
    last.columns.numbers(last.kind)
    planned = [
        PlannedFeature(
            name=feature.name,
            kind=kind,
            words=last.columns.words(place) if kind == "text" else [],
        )
        for place, (feature, kind) in enumerate(zip(features, kinds, strict=True))
    ]
    steps = [(last.kind, last.arrays, last.options), *last.after]
    if len(last.columns) != len(features) or not last.columns.untouched:
        steps.insert(0, ("columns", last.columns.step(planned), {}))
    plans.write(folder, task, planned, steps)


def kind_of(feature: "Feature") -> Kind:
    """What a feature's values are.

    Raises
    ------
    NotPackable
        For a dtype in which scikit-learn would not compute in float64, or whose missing values
        are not NaN.
    """
    dtype = feature.dtype
    if dtype == "float64" or dtype in {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}:
        return "number"
    if dtype == "bool":
        return "truth"
    if dtype in ("object", "category"):
        return "text"
    raise NotPackable(f"feature {feature.name!r} has the dtype {dtype}")
