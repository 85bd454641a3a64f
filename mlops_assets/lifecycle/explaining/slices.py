"""Where a model errs: the gate's metric by the values of a few columns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.explaining.results import SliceRow, Spread
from mlops_assets.lifecycle.explaining.sampling import spread, without_a_group
from mlops_assets.lifecycle.metrics import Metric
from mlops_assets.lifecycle.tasks import Cases

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec

COLUMNS = 4
VALUES = 12
FEWEST_VALUES = 2
REST = "other values"
MISSING = "missing"


def slice_columns(spec: "ModelSpec", rows: pd.DataFrame) -> list[str]:
    """The declared slices; without any, the first four columns of two to twelve values."""
    declared = list(spec.gate.slices)
    if declared:
        return declared
    columns = spec.columns
    taken = columns.roles - set(columns.ignore)
    few = [
        str(c)
        for c in rows.columns
        if c not in taken
        and rows[c].dtype.kind != "f"
        and FEWEST_VALUES <= rows[c].nunique() <= VALUES
    ]
    return few[:COLUMNS]


def groups(column: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """The twelve most frequent values with the positions of their rows, then all others'."""
    names = column.astype(object).where(column.notna(), MISSING).astype(str).to_numpy()
    values, counts = np.unique(names, return_counts=True)
    order = np.lexsort((values, -counts))
    shown = values[order[:VALUES]]
    for value in np.sort(shown):
        yield str(value), np.flatnonzero(names == value)
    if len(values) > VALUES:
        yield REST, np.flatnonzero(~np.isin(names, shown))


def error_table(
    columns: pd.DataFrame,
    cases: Cases,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    metric: Metric,
    alpha: float,
) -> list[SliceRow]:
    """The metric of both models in every slice, with intervals over units.

    Parameters
    ----------
    columns : DataFrame of shape (n_rows, n_columns)
        The columns to slice by, in the order of the cases.
    challenger, champion : ndarray of shape (n_rows, ...)
        Their scores.
    """
    made = []
    for name in columns.columns:
        for value, rows in groups(columns[name]):
            weights = without_a_group(cases.units[rows]) * cases.weights[rows]
            truth = cases.truth[rows]
            ours = _level(metric, truth, challenger[rows], weights, alpha)
            theirs = None
            if champion is not None:
                theirs = _level(metric, truth, champion[rows], weights, alpha)
            made.append(
                SliceRow(
                    column=str(name),
                    value=value,
                    rows=len(rows),
                    units=len(np.unique(cases.units[rows])),
                    challenger=ours,
                    champion=theirs,
                    reason="" if ours else f"{metric.name} is not defined on these rows",
                )
            )
    return made


def _level(metric: Metric, truth, scores, weights, alpha: float) -> Spread | None:
    with np.errstate(invalid="ignore", divide="ignore"):
        values = metric.weighted(truth, scores, weights)
    if not np.isfinite(values[0]):
        return None
    found = spread(values, alpha)
    low, high = metric.bounds
    if not np.isfinite(found.low):
        return found
    return Spread(value=found.value, low=max(found.low, low), high=min(found.high, high))
