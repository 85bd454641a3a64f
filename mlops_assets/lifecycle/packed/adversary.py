"""Rows that are there to find a difference between a packed model and its estimator.

Real rows seldom stand exactly on a threshold, hold a minus zero or a category that training did
not see. These do: each is a row of the hold-out with one value changed.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.lifecycle.packed.kernels import CATEGORICAL
from mlops_assets.lifecycle.packed.steps import BoostingStep, ColumnsStep, ForestStep

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.packed.model import PackedModel

THRESHOLDS = 12
SEEN = 6
# Within float32, beyond it, next to nothing, and both zeros.
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-320, 3e38, -3e38, 1e39, -1e300, 1e300)
WHOLE = (0, 1, -1, 2**24 + 1, 2**31, -(2**31), 2**53)
UNSEEN = ("", "no such category", "\u00e9\U0001f600")


def rows(model: "PackedModel", frame: "pd.DataFrame") -> "pd.DataFrame":
    """Rows with the columns and dtypes of ``frame``, in an order that depends on nothing else."""
    import pandas as pd

    changed = []
    for place, name in enumerate(frame.columns):
        values = _values(model, place, frame[name])
        taken = frame.iloc[np.arange(len(values)) % len(frame)].copy()
        taken[name] = pd.Series(values, index=taken.index, dtype=frame[name].dtype)
        changed.append(taken)
    return pd.concat(changed, ignore_index=True).astype(frame.dtypes.to_dict())


def _values(model: "PackedModel", place: int, column: "pd.Series") -> list[Any]:
    kind = model.features[place].kind
    if kind == "truth":
        return [True, False]
    if kind == "text":
        missing = [None] if column.isna().any() else []
        return [*spread(model.features[place].words, 50), *UNSEEN, *missing]
    known = [
        *spread(np.unique(column.dropna().to_numpy()), SEEN),
        *spread(np.unique(thresholds(model, place)), THRESHOLDS),
    ]
    if column.dtype.kind == "f":
        near = [float(value) for number in known for value in _neighbours(float(number))]
        return [*near, *NUMBERS, float("nan")]
    limits = np.iinfo(column.dtype)
    whole = [int(np.floor(number)) + step for number in known for step in (-1, 0, 1)]
    return [value for value in (*whole, *WHOLE) if limits.min <= value <= limits.max]


def thresholds(model: "PackedModel", place: int) -> np.ndarray:
    """The numbers that a feature is compared with, where no preprocessing stands between."""
    *before, last = model.steps
    if not isinstance(last, ForestStep | BoostingStep):
        return np.empty(0)
    where = np.array([place])
    for step in before:
        where = step.copies(place) if isinstance(step, ColumnsStep) else where[:0]
    nodes = last.nodes
    splits = nodes[(nodes["left"] >= 0) & ((nodes["flags"] & CATEGORICAL) == 0)]
    return splits["number"][np.isin(splits["feature"], where)]


def _neighbours(number: float) -> list[float]:
    """The number, its neighbours in float64, and those in float32."""
    single = np.float32(number)
    with np.errstate(over="ignore"):
        return [
            number,
            np.nextafter(number, -np.inf),
            np.nextafter(number, np.inf),
            float(single),
            float(np.nextafter(single, np.float32(-np.inf))),
            float(np.nextafter(single, np.float32(np.inf))),
        ]


def spread(values, most: int) -> list:
    """At most ``most`` of the values, evenly spread, both ends included."""
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).astype(int))
    return [values[place] for place in places]
