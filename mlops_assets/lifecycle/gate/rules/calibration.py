"""Predictions mean what they say."""

from mlops_assets.lifecycle.gate.band import Band
from mlops_assets.lifecycle.gate.resampling import over_units, sums_over_units
from mlops_assets.lifecycle.gate.rules.base import GateRule, held_against


class Calibration(GateRule):
    """The expected calibration error of classes, or |A/E - 1| of a number, within its limit.

    Expected calibration error: the mean distance between predicted probability and observed share
    over bins of equal size (Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities
    Using Bayesian Binning", AAAI 2015; bins of equal size: Nixon et al., "Measuring Calibration in
    Deep Learning", 2019). With several classes it is that of the most probable one (Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017). Chance alone puts it above 0, the more so
    the fewer the rows.
    """

    name = "calibration"

    def judge(self, evidence):
        import numpy as np

        policy = evidence.spec.gate.calibration
        if policy is None:
            return []
        truth, predicted = _said_and_true(evidence)
        weights = evidence.cases.weights
        if evidence.spec.task.endswith("classification"):
            what = "expected calibration error"
            bins = _equal_bins(predicted, policy.bins)
            chosen = bins[:, None] == np.arange(bins.max() + 1)
            parts = chosen * ((truth - predicted) * weights)[:, None]
            parts = np.column_stack([parts, weights])

            def error(sums):
                return abs(sums[:, :-1]).sum(axis=1) / sums[:, -1]
        else:
            what = "|actual / expected - 1|"
            parts = np.column_stack([truth * weights, predicted * weights])

            def error(sums):
                return abs(sums[:, 0] / sums[:, 1] - 1)

        sums = sums_over_units(parts, evidence.cluster, evidence.count)
        found = over_units(lambda counts: error(sums(counts)), evidence.count, evidence.alpha)
        band = Band(high=policy.max_error)
        return [held_against(self.name, what, found, band, policy.decide)]


def _said_and_true(evidence):
    import numpy as np

    truth, scores = evidence.cases.truth, evidence.scores
    if scores.ndim == 1:
        return truth.astype(float), scores.astype(float)
    best = scores.argmax(axis=1)
    return (best == truth).astype(float), scores[np.arange(len(scores)), best]


def _equal_bins(predicted, bins):
    """The bin of each row; equal predictions share one."""
    import numpy as np

    inner = np.quantile(predicted, np.arange(1, bins) / bins)
    return np.searchsorted(np.unique(inner), predicted, side="right")
