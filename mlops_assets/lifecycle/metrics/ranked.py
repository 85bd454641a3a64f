"""Metrics of the order in which a binary classifier puts rows."""

from mlops_assets.lifecycle.metrics.base import Metric


class AveragePrecision(Metric):
    """Area under the precision-recall curve as a step function, as scikit-learn defines it."""

    name = "average_precision"

    def weighted(self, truth, predicted, weights):
        import numpy as np

        hits, totals, last = _ranked(truth, predicted, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(totals > 0, hits / totals, 0.0)[:, last]
            recall = (hits / hits[:, -1:])[:, last]
        return (precision * np.diff(recall, axis=1, prepend=0)).sum(axis=1)

    def resampled(self, truth, predicted, weights, cluster, count):
        from mlops_assets.lifecycle.metrics.resampling import steps

        order, last = by_score(predicted, falling=True)
        rows = (cluster[order].astype("int32"), weights[order], (weights * truth)[order], last)
        return lambda counts: steps(counts, *rows)


class RocAuc(Metric):
    """Area under the ROC curve; ties count half."""

    name = "roc_auc"

    def weighted(self, truth, predicted, weights):
        import numpy as np

        hits, totals, last = _ranked(truth, predicted, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            tpr = (hits / hits[:, -1:])[:, last]
            fpr = ((totals - hits) / (totals - hits)[:, -1:])[:, last]
        zero = np.zeros((len(weights), 1))
        return np.trapezoid(np.hstack([zero, tpr]), np.hstack([zero, fpr]), axis=1)

    def resampled(self, truth, predicted, weights, cluster, count):
        from mlops_assets.lifecycle.metrics.resampling import area

        order, last = by_score(predicted, falling=True)
        hits = weights * truth
        rows = (cluster[order].astype("int32"), (weights - hits)[order], hits[order], last)
        return lambda counts: area(counts, *rows)


def by_score(predicted, *, falling: bool):
    """The order of rows by score, and which of them, so ordered, end a run of equal scores."""
    import numpy as np

    order = np.argsort(-predicted if falling else predicted, kind="stable")
    return order, np.append(np.diff(predicted[order]) != 0, True)


def _ranked(truth, predicted, weights):
    """Cumulated weight of positives and of all rows by falling score, and where scores change."""
    import numpy as np

    order, last = by_score(predicted, falling=True)
    ordered = weights[:, order]
    hits = np.cumsum(ordered * truth[order], axis=1)
    return hits, np.cumsum(ordered, axis=1), np.flatnonzero(last)
