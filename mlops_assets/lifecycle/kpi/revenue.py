"""KPIs of revenue, on what was logged: neither tells what another price or list would have sold."""

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate.resampling import sums_over_units
from mlops_assets.lifecycle.kpi.base import GreaterIsBetter, LessIsBetter


class RevenueAtLoggedPrices(LessIsBetter):
    """Weighted absolute percentage error of revenue, at the prices that were logged.

    Revenue is ``columns.kpi`` (the price) times quantity. What a model would have earned with
    prices of its own can't be read from logged prices; how well it foretells revenue at them can.
    """

    name = "revenue_at_logged_prices"
    tasks = ("regression", "count_regression")
    roles = ("kpi",)

    def resampled(self, evidence, scores):
        import numpy as np

        cases = evidence.cases
        price = evidence.numbers(evidence.spec.columns.kpi) * cases.weights
        parts = np.column_stack([abs(price * (scores - cases.truth)), price * cases.truth])
        sums = sums_over_units(parts, evidence.cluster, evidence.count)

        def error(counts):
            off, revenue = sums(counts).T
            return off / np.where(revenue > 0, revenue, np.nan)

        return error


class RevenueProxy(GreaterIsBetter):
    """Mean ``columns.kpi`` a unit of the recommended items that it took up in the hold-out.

    A proxy: a unit might have bought them without being recommended them.
    """

    name = "revenue_proxy"
    tasks = ("ranking",)
    roles = ("kpi",)

    def resampled(self, evidence, scores):
        import numpy as np

        columns = evidence.spec.columns
        evidence.numbers(columns.kpi)
        pair = [columns.unit, columns.item]
        worth = evidence.rows.groupby(pair, observed=True)[columns.kpi].sum().to_dict()
        cases = evidence.cases
        if len(cases.truth) != evidence.count:
            raise EvidenceError("revenue_proxy: a unit is asked about more than once")
        value = np.zeros(evidence.count)
        for place, (unit, new, shown) in enumerate(
            zip(cases.units, cases.truth, scores, strict=True)
        ):
            found = set(new) & set(shown)
            value[evidence.cluster[place]] = sum(worth[unit, item] for item in found)
        return lambda counts: counts @ value / counts.sum(axis=1)
