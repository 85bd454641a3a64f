"""DeLong's test of two areas under the ROC curve."""

import math

from mlops_assets.lifecycle.gate.base import Interval, LevelTest, numbered, student, too_few


class Delong(LevelTest):
    """The test of two correlated AUCs by their structural components, clustered by unit.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves: a nonparametric approach", Biometrics 44, 1988, with midranks
    (Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21,
    2014), in n log n. Rows of one unit: Obuchowski, "Nonparametric analysis of clustered ROC curve
    data", Biometrics 53, 1997, which is DeLong's with one row a unit. A row's weight stands for as
    many rows of its unit. Student's t stands in for the normal, with as many degrees of freedom as
    the rarer class has units, less one: with many units they are the same.
    """

    name = "delong"

    def supports(self, metric):
        if metric.name == "roc_auc":
            return None
        return f"compares AUCs, and the metric is {metric.name}: leave test: to its default"

    def gain(self, metric, paired, alpha):
        ours = _components(paired.truth, paired.challenger, paired.weights)
        theirs = _components(paired.truth, paired.rival, paired.weights)
        return _interval(paired.truth, ours - theirs, paired.units, paired.weights, alpha)

    def level(self, metric, truth, predicted, units, alpha, weights=None):
        import numpy as np

        weights = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
        components = _components(truth, predicted, weights)
        return _interval(truth, components, units, weights, alpha)


def _components(truth, scores, weights):
    """For each row the share of the other class that it is ranked right against, (n_rows,)."""
    import numpy as np

    positive = np.asarray(truth, bool)
    if np.isnan(scores).any():
        return np.full(len(truth), np.nan)
    shares = np.empty(len(truth))
    for own, sign in ((positive, 1), (~positive, -1)):
        other = np.sort(sign * scores[~own])
        order = np.argsort(sign * scores[~own], kind="stable")
        cumulated = np.concatenate([[0.0], np.cumsum(weights[~own][order])])
        below = cumulated[np.searchsorted(other, sign * scores[own], "left")]
        upto = cumulated[np.searchsorted(other, sign * scores[own], "right")]
        total = cumulated[-1] or np.nan  # without a row of the other class there is no AUC
        shares[own] = (below + upto) / 2 / total
    return shares


def _interval(truth, components, units, weights, alpha) -> Interval:
    import numpy as np

    positive = np.asarray(truth, bool)
    cluster, count = numbered(units)
    if positive.all() or not positive.any():
        return Interval.unknown(math.nan, count)
    estimate = float(np.average(components[positive], weights=weights[positive]))
    residuals, clusters = [], []
    for own in (positive, ~positive):
        residual = weights[own] * (components[own] - estimate)
        residuals.append(np.bincount(cluster[own], residual, count) / weights[own].sum())
        clusters.append(len(np.unique(cluster[own])))
    if too_few(min(clusters), alpha) or not math.isfinite(estimate):
        return Interval.unknown(estimate, count)
    own_variance = sum(c / (c - 1) * float(r @ r) for r, c in zip(residuals, clusters, strict=True))
    shared = 2 * count / (count - 1) * float(residuals[0] @ residuals[1])
    error = math.sqrt(max(own_variance + shared, 0.0))
    return student(estimate, error, count, min(clusters) - 1, alpha)
