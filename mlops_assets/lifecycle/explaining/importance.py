"""Permutation importance: how much a model leans on each column."""

from typing import Any

import numpy as np
from sklearn.inspection import permutation_importance

from mlops_assets.lifecycle.explaining.results import Importance
from mlops_assets.lifecycle.explaining.sampling import sample, spread, without_a_group
from mlops_assets.lifecycle.explaining.scored import Scored
from mlops_assets.lifecycle.metrics import Metric
from mlops_assets.lifecycle.tasks import Cases, Task

REPEATS = 5
MOST_PREDICTIONS = 300_000
LEAST_ROWS = 500
# Of what judging a model costs, which asks it for the whole hold-out.
HOLD_OUTS = 5


def importances(
    task: Task, estimator: Any, cases: Cases, metric: Metric, alpha: float
) -> tuple[list[Importance], int]:
    """Permutation importance of every column, largest first, and the rows it was measured on.

    Breiman, "Random forests", Machine Learning 45 (2001), section 10, in the model-agnostic form
    of Fisher, Rudin and Dominici, "All models are wrong, but many are useful", JMLR 20 (2019):
    the metric on the hold-out minus the metric with the column shuffled, mean of five shuffles.
    Intervals are over units (see :func:`~mlops_assets.lifecycle.explaining.sampling.spread`).
    Of two columns that say the same, either may look unimportant.

    Parameters
    ----------
    alpha : float
        Of the two-sided intervals.
    """
    features = cases.asked.shape[1]
    rows = sample(cases.units, rows_for(features, len(cases.truth)))
    asked, truth = cases.asked.iloc[rows].reset_index(drop=True), cases.truth[rows]
    weights = without_a_group(cases.units[rows]) * cases.weights[rows]

    def score(model, shuffled, truth) -> dict[str, float]:
        values = metric.sign * metric.weighted(truth, model.predict(shuffled), weights)
        return {str(number): float(value) for number, value in enumerate(values)}

    found = permutation_importance(
        Scored(task, estimator), asked, truth, scoring=score, n_repeats=REPEATS, random_state=0
    )
    losses = np.array([found[str(n)].importances_mean for n in range(len(weights))])
    made = [
        Importance(feature=str(name), loss=spread(losses[:, place], alpha))
        for place, name in enumerate(asked.columns)
    ]
    return sorted(made, key=lambda i: (-i.loss.value, i.feature)), len(rows)


def rows_for(features: int, hold_out: int) -> int:
    """How many rows may be shuffled, so that explaining stays small beside judging."""
    most = min(MOST_PREDICTIONS, HOLD_OUTS * hold_out)
    return max(LEAST_ROWS, most // (features * REPEATS))
