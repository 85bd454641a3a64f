"""The whole explanation of a challenger, from the rows it was judged on."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.evaluation import Candidate
from mlops_assets.lifecycle.explaining.changes import changes
from mlops_assets.lifecycle.explaining.coefficients import linear_terms
from mlops_assets.lifecycle.explaining.dependence import FEATURES, dependences
from mlops_assets.lifecycle.explaining.importance import REPEATS, importances
from mlops_assets.lifecycle.explaining.results import (
    Dependence,
    Explanation,
    Importance,
    LinearTerms,
)
from mlops_assets.lifecycle.explaining.sampling import part, sample
from mlops_assets.lifecycle.explaining.slices import error_table, slice_columns
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.tasks import Cases
from mlops_assets.lifecycle.training import join_windows

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec

# Slices and changes are counted on at most so many rows; the gate judges on all of them.
MOST_ROWS = 50_000
ASKED_FOR_UNITS = (
    "a recommender is asked for a unit and has no columns that could be shuffled or varied"
)


def explain(
    spec: "ModelSpec",
    training: dict[str, pd.DataFrame],
    hold_out: dict[str, pd.DataFrame],
    challenger: Candidate,
    champion: Candidate | None,
) -> Explanation:
    """What the challenger leans on, where it errs, and what it changes against the champion.

    Parameters
    ----------
    training, hold_out : dict of DataFrame
        Feature windows by key, as the judge gets them.
    champion : Candidate or None
        None for a first model.
    """
    frame = join_windows(hold_out)
    cases = spec.task_type.cases(frame, join_windows(training), spec.columns)
    metric = METRICS[spec.gate.metric]
    rows = sample(cases.units, MOST_ROWS)
    few, columns, names = _few(spec, frame, cases, rows)
    ours = spec.task_type.scores(challenger.estimator, few.asked)
    theirs = None
    if champion is not None:
        theirs = spec.task_type.scores(champion.estimator, few.asked)

    missing: dict[str, str] = {}
    importance, importance_rows, dependence, dependence_rows = _inspected(
        spec, challenger, cases, missing
    )
    linear = _linear(challenger, cases, missing)
    if theirs is None:
        missing["changes"] = "there is no champion to compare with"
    return Explanation(
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        level=1 - spec.gate.alpha,
        rows=len(cases.truth),
        importance_rows=importance_rows,
        repeats=REPEATS,
        importance=importance,
        dependence_rows=dependence_rows,
        dependence=dependence,
        linear=linear,
        slices=error_table(columns, few, ours, theirs, metric, spec.gate.alpha),
        changes=None
        if theirs is None or champion is None
        else changes(spec.task, few, ours, theirs, champion.version.number, columns, names),
        missing=missing,
    )


def _few(
    spec: "ModelSpec", frame: pd.DataFrame, cases: Cases, rows: np.ndarray
) -> tuple[Cases, pd.DataFrame, list[str]]:
    """The sampled cases, the columns to slice them by, and how each is called."""
    few = part(cases, rows)
    if not spec.task_type.tabular:
        # A case is a unit: a column tells cases apart where it is one value a unit.
        by_unit = frame.groupby(spec.columns.unit, observed=True)
        one = [c for c in slice_columns(spec, frame) if (by_unit[c].nunique() <= 1).all()]
        columns = by_unit[one].first().reindex(few.units) if one else pd.DataFrame(index=few.units)
        return few, columns, [str(unit) for unit in few.units]
    shown = frame.iloc[rows]
    named = [c for c in (*spec.columns.key, spec.columns.unit) if c is not None]
    if not named:
        return few, shown[slice_columns(spec, frame)], [f"row {row}" for row in rows]
    texts = shown[list(dict.fromkeys(named))].astype(str).agg(", ".join, axis=1)
    return few, shown[slice_columns(spec, frame)], texts.tolist()


def _inspected(
    spec: "ModelSpec", challenger: Candidate, cases: Cases, missing: dict[str, str]
) -> tuple[list[Importance], int, list[Dependence], int]:
    if not spec.task_type.tabular:
        missing |= {"importance": ASKED_FOR_UNITS, "dependence": ASKED_FOR_UNITS}
        return [], 0, [], 0
    task, metric = spec.task_type, METRICS[spec.gate.metric]
    found, rows = importances(task, challenger.estimator, cases, metric, spec.gate.alpha)
    top = [i.feature for i in found[:FEATURES]]
    named = {str(name): name for name in cases.asked.columns}
    curves, averaged = dependences(
        task, challenger.estimator, cases, [named[feature] for feature in top]
    )
    return found, rows, curves, averaged


def _linear(challenger: Candidate, cases: Cases, missing: dict[str, str]) -> LinearTerms | None:
    if not hasattr(cases.asked, "columns"):
        return None
    try:
        return linear_terms(challenger.estimator, list(map(str, cases.asked.columns)))
    except EvidenceError as error:
        missing["linear"] = str(error)
        return None
