"""The distribution of what is answered."""

from mlops_assets.lifecycle.rollout.guardrails.base import RatioGuardrail, nothing

SCARCE = 0.02  # share of the champion's answers below which a bin can't be shown to be safe


class Prediction(RatioGuardrail):
    """No bin of the answers is more than ``tolerated`` times as frequent as the champion's.

    Bins are tenths of the champion's earlier answers (or its most frequent ones, for classes and
    items). One e-process a bin, averaged: an average of e-values is one (Vovk and Wang, "E-values:
    calibration, combination and applications", Annals of Statistics 49, 2021). A bin that empties
    fills another. Safe is a canary whose every bin of weight is within limits. One answer a unit
    and window counts.
    """

    name = "prediction"

    def judge(self, traffic, tolerated, budget):
        import numpy as np
        from scipy.special import logsumexp

        from mlops_assets.lifecycle.rollout.guardrails.eprocess import (
            Counts,
            log_e,
            prior_beyond,
        )
        from mlops_assets.lifecycle.rollout.guardrails.ratio import judge_ratio

        blocks = traffic.blocks()
        problem = traffic.unreadable("prediction") or traffic.why_empty()
        if problem or traffic.baseline is None:
            return nothing(self.name, tolerated, budget, problem or traffic.why_no_baseline())
        bins = traffic.baseline.bins
        ours, theirs = blocks.canary_bins, blocks.champion_bins
        each = Counts(
            ours,
            np.broadcast_to(ours.sum(axis=0), ours.shape),
            theirs,
            np.broadcast_to(theirs.sum(axis=0), theirs.shape),
        )
        if not ours.sum() or not theirs.sum():
            return nothing(self.name, tolerated, budget, "no answers on one of the sides")
        paths = log_e(each, 0.0, prior_beyond(tolerated), 1)
        harm = logsumexp(paths, axis=0) - np.log(len(paths))
        bin_ = self._worst(each, bins.shares, tolerated, budget, paths)
        return judge_ratio(
            self.name,
            each.row(bin_),
            blocks.ends,
            tolerated,
            budget,
            what=f"answers {bins.label(bin_)}",
            harm=harm,
        )

    def _worst(self, each, shares, tolerated, budget, paths) -> int:
        """The bin that alarms, or else the one that is furthest from being safe."""
        import numpy as np

        from mlops_assets.lifecycle.rollout.guardrails.eprocess import (
            bound,
            mantel_haenszel,
            prior_around,
        )

        loudest = int(np.argmax(paths.max(axis=1)))
        # NaN compares as false: a bin that neither side fills is no alarm.
        if mantel_haenszel(each.row(loudest))[-1] > tolerated and paths.max() > -np.log(
            budget.alpha
        ):
            return loudest
        prior = prior_around(tolerated)
        highest = {
            int(i): bound(each.row(i), budget.beta, prior, -1) or np.inf
            for i in np.flatnonzero(shares >= SCARCE)
        }
        return max(highest, key=lambda i: highest[i])
