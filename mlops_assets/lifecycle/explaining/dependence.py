"""Partial dependence: what a model answers as one column changes and the others stay."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import partial_dependence

from mlops_assets.lifecycle.explaining.results import Dependence
from mlops_assets.lifecycle.explaining.sampling import sample
from mlops_assets.lifecycle.explaining.scored import Scored
from mlops_assets.lifecycle.tasks import Cases, Task

ROWS = 500
POINTS = 12
FEATURES = 6
OUTPUTS = 10
# Beyond these a curve would be drawn from a handful of rows.
TAILS = (0.05, 0.95)


def dependences(
    task: Task, estimator: Any, cases: Cases, features: list[str]
) -> tuple[list[Dependence], int]:
    """Partial dependence on each of ``features``, and the rows that were averaged over.

    Friedman, "Greedy function approximation", Annals of Statistics 29 (2001), section 8.2. Numbers
    are tried at twelve quantiles between the 5th and the 95th percent, other columns at their
    twelve most frequent values. At most ten classes are drawn.
    """
    rows = sample(cases.units, ROWS)
    asked, weights = cases.asked.iloc[rows].reset_index(drop=True), cases.weights[rows]
    model = Scored(task, estimator)
    return [_dependence(model, asked, weights, name) for name in features], len(rows)


def _dependence(model: Scored, asked: pd.DataFrame, weights: np.ndarray, name: str) -> Dependence:
    values = _values(asked[name])
    found = partial_dependence(
        model,
        asked,
        [name],
        # As categories, so that whole numbers stay whole: the values tried are given anyhow.
        categorical_features=[name],
        custom_values={name: values},
        sample_weight=weights,
        method="brute",
        kind="average",
    )
    means = found["average"][:OUTPUTS]
    numeric = _is_numeric(asked[name])
    return Dependence(
        feature=str(name),
        kind="numeric" if numeric else "categorical",
        at=[float(v) if numeric else str(v) for v in values],
        outputs=["answer"] if len(means) == 1 else [f"class {n}" for n in range(len(means))],
        means=[[float(mean) for mean in row] for row in means],
    )


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _values(column: pd.Series) -> np.ndarray:
    known = column.dropna()
    if not _is_numeric(column):
        return known.value_counts().index[:POINTS].to_numpy()
    if known.nunique() <= POINTS:
        return np.sort(known.unique())
    quantiles = np.quantile(known, np.linspace(*TAILS, POINTS), method="nearest")
    return np.unique(quantiles).astype(known.dtype)
