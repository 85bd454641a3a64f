"""Telling two samples of rows apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate import default_test
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.lifecycle.gate.evidence import Live
    from mlops_assets.lifecycle.spec import ModelSpec

MOST_ROWS, FOLDS, REPEATS = 5_000, 5, 3


@dataclass(frozen=True)
class Importance:
    """How much worse the classifier gets (in AUC) when one feature is shuffled."""

    name: str
    observed: float


@dataclass(frozen=True)
class ToldApart:
    """How well the samples can be told apart, from how many live rows, and by what."""

    auc: Interval
    rows: int
    features: list[Importance]


def tell_apart(
    spec: "ModelSpec", hold_out: "pd.DataFrame", live: "Live", alpha: float
) -> ToldApart:
    """Train a classifier to tell the hold-out from live rows, on the features of the model.

    At most 5,000 rows a side. Rows of one unit are in one fold, and are drawn together for the
    interval.

    Parameters
    ----------
    spec : ModelSpec
    hold_out : DataFrame of shape (n_rows, n_columns)
    live : Live
    alpha : float
        Of each one-sided bound.

    Raises
    ------
    EvidenceError
        When the live rows have none of the features, or a side has fewer units than folds.
    """
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import StratifiedGroupKFold

    features = spec.task_type.features(hold_out, spec.columns)
    if not spec.task_type.tabular:
        features = [c for c in (spec.columns.unit,) if c is not None]
    common = [c for c in features if c in live.rows.columns]
    if not common:
        raise EvidenceError(f"{spec.name}: the live rows of {live.window} have none of {features}")
    held, seen = (_sample(rows) for rows in (hold_out, live.rows))
    asked = _coded(pd.concat([held[common], seen[common]], ignore_index=True))
    is_live = np.repeat([0, 1], [len(held), len(seen)])
    units = np.concatenate([_units(held, spec.columns.unit), _units(seen, "unit", "live ")])
    if spec.columns.unit is None:
        units = np.arange(len(asked)).astype(str)
    fewest = min(len(np.unique(units[is_live == side])) for side in (0, 1))
    if fewest < FOLDS:
        raise EvidenceError(
            f"{spec.name}: {fewest} units on a side tell nothing: {FOLDS} are needed to tell the "
            f"hold-out from the live rows of {live.window}"
        )
    score = np.zeros(len(asked))
    drops = []
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(asked, is_live, units):
        model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
        model.fit(asked.iloc[train], is_live[train])
        score[test] = model.predict_proba(asked.iloc[test])[:, 1]
        shuffled = permutation_importance(
            model,
            asked.iloc[test],
            is_live[test],
            scoring="roc_auc",
            n_repeats=REPEATS,
            random_state=0,
        )
        drops.append(shuffled.importances_mean)
    metric = METRICS["roc_auc"]
    auc = default_test(metric).level(metric, is_live, score, units, alpha)
    means = np.mean(drops, axis=0)
    ranked = sorted(zip(common, means, strict=True), key=lambda pair: -pair[1])
    return ToldApart(auc, len(seen), [Importance(n, float(v)) for n, v in ranked if v > 0])


def _sample(rows: "pd.DataFrame") -> "pd.DataFrame":
    return rows.sample(min(len(rows), MOST_ROWS), random_state=0)


def _coded(asked: "pd.DataFrame") -> "pd.DataFrame":
    """Text as whole numbers: trees split on them as well."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: values.astype(float)
            if values.dtype.kind in "biuf"
            else pd.factorize(values.astype(str))[0].astype(float)
            for name, values in asked.items()
        }
    )


def _units(rows, column, prefix=""):
    import numpy as np

    if column is None or column not in rows:
        return np.array([f"{prefix}{i}" for i in range(len(rows))])
    return rows[column].astype(str).to_numpy()
