"""KPIs of alerts that people can look into only so many of a day (fraud).

Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud
Detection" (2022), chapter 4: what counts is what is found among the alerts that can be checked.
"""

from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from mlops_assets.lifecycle.kpi.base import GreaterIsBetter, Kpi, LessIsBetter

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.lifecycle.gate.evidence import Scored
    from mlops_assets.lifecycle.metrics.base import Resampled


class _AtBudget(Kpi):
    """The highest scores of each day (UTC) are alerts, ties in an order drawn once."""

    tasks = ("binary_classification",)

    alerts_per_day: PositiveInt = Field(description="Rows that can be looked into.")

    def cells(self, evidence):
        return 4 * len(evidence.rows)


class BlockedValueAtBudget(GreaterIsBetter, _AtBudget):
    """Total ``columns.kpi`` of the frauds among the ``alerts_per_day`` highest scores a day."""

    name = "blocked_value_at_budget"
    roles = ("kpi", "time")

    def resampled(self, evidence, scores):
        worth = evidence.numbers(evidence.spec.columns.kpi) * evidence.cases.truth
        taken = alerted(evidence, scores, self.alerts_per_day, worth[:, None])
        return lambda counts: taken(counts)[:, 0]


class FalsePositivesPerTruePositive(LessIsBetter, _AtBudget):
    """False alarms for each fraud among the ``alerts_per_day`` highest scores a day."""

    name = "false_positives_per_true_positive"
    roles = ("time",)

    def resampled(self, evidence, scores):
        import numpy as np

        truth = evidence.cases.truth.astype(float)
        parts = np.column_stack([1 - truth, truth])
        taken = alerted(evidence, scores, self.alerts_per_day, parts)

        def ratio(counts):
            false, true = taken(counts).T
            return false / true

        return ratio


def alerted(
    evidence: "Scored", scores: "np.ndarray", budget: int, parts: "np.ndarray"
) -> "Resampled":
    """Sums of parts over the ``budget`` highest scores of each day.

    A row that a draw holds several times takes as many alerts, the last of them only in part
    where the budget ends.

    Parameters
    ----------
    parts : ndarray of shape (n_rows, n_parts)

    Returns
    -------
    callable
        From counts of shape (n_draws, n_units) to sums, shape (n_draws, n_parts).
    """
    import numpy as np

    day = evidence.rows[evidence.spec.columns.time].dt.floor("D")
    _, day = np.unique(day.to_numpy(), return_inverse=True)
    chance = np.random.default_rng(0).permutation(len(scores))
    order = np.lexsort((chance, -scores, day))
    starts = np.searchsorted(day[order], np.arange(day.max() + 1))
    rank = np.arange(len(order)) - starts[day[order]]

    def taken(counts, depth):
        kept = np.flatnonzero(rank < depth)  # what lies deeper is hardly ever reached
        rows, days = order[kept], day[order[kept]]
        first = np.searchsorted(days, np.arange(day.max() + 1))
        drawn = counts[:, evidence.cluster[rows]].astype(float)
        upto = np.cumsum(drawn, axis=1)
        before = np.where(first > 0, upto[:, first - 1], 0.0)
        used = np.clip(budget - (upto - drawn - before[:, days]), 0, drawn)
        total = np.add.reduceat(used, first, axis=1)
        cut = np.bincount(day) > depth
        if (total[:, cut] < budget).any():
            return taken(counts, 4 * depth)
        return used @ parts[rows]

    return lambda counts: taken(counts, 4 * budget + 50)
