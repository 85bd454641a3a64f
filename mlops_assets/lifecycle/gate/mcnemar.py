"""The exact McNemar test of two accuracies."""

from mlops_assets.lifecycle.gate.base import Interval, PairedTest, refuse_clusters, too_few
from mlops_assets.lifecycle.gate.paired_t import PairedT


class Mcnemar(PairedTest):
    """The exact binomial test on the rows that only one of two classifiers gets right.

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 1947; Dietterich, "Approximate statistical tests for comparing
    supervised classification learning algorithms", Neural Computation 10, 1998. The bounds are the
    Clopper-Pearson bounds of the challenger's share of these rows, as a difference of accuracies,
    or those of the paired t-test where they are wider: the former take the number of these rows
    for given. Rows are independent: with several a unit it refuses.
    """

    name = "mcnemar"

    def supports(self, metric):
        if metric.name == "accuracy":
            return None
        return f"compares accuracies, and the metric is {metric.name}: leave test: to its default"

    def gain(self, metric, paired, alpha):
        from scipy.stats import beta, binom

        refuse_clusters(self.name, paired, PairedT.name)
        loose = PairedT().gain(metric, paired, alpha)
        ours = metric.rows(paired.truth, paired.challenger)
        theirs = metric.rows(paired.truth, paired.rival)
        won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
        differ = won + lost
        if too_few(differ, alpha) and differ:
            # The few rows in which they differ may be all of one side, or none, by chance.
            return Interval(loose.estimate, *_widest(differ, loose), loose.spread, loose.units, 1.0)
        low = beta.ppf(alpha, won, lost + 1) if won else 0.0
        high = beta.ppf(1 - alpha, won + 1, lost) if lost else 1.0
        scale = differ / len(ours)
        return Interval(
            estimate=loose.estimate,
            low=min((2 * low - 1) * scale, loose.low),
            high=max((2 * high - 1) * scale, loose.high),
            spread=loose.spread,
            units=loose.units,
            p_value=float(binom.sf(won - 1, differ, 0.5)),
        )


def _widest(differ: int, loose: Interval) -> tuple[float, float]:
    reach = differ / loose.units
    return min(-reach, loose.low), max(reach, loose.high)
