"""Slow answers."""

from mlops_assets.lifecycle.rollout.guardrails.base import RatioGuardrail, nothing


class LatencyP95(RatioGuardrail):
    """Answers slower than the champion's p95 are at most ``tolerated`` times as frequent.

    The threshold is fixed from the champion's answers before those that are compared, so that it
    can't follow them; the champion's concurrent answers are held against the same threshold, so
    that load that slows both is no fault of the canary's.
    """

    name = "latency_p95"

    def judge(self, traffic, tolerated, budget):
        from mlops_assets.lifecycle.rollout.guardrails.ratio import judge_ratio

        blocks = traffic.blocks()
        problem = traffic.unreadable("latency") or traffic.why_empty()
        if problem or traffic.baseline is None:
            return nothing(self.name, tolerated, budget, problem or traffic.why_no_baseline())
        return judge_ratio(
            self.name,
            blocks.slow,
            blocks.ends,
            tolerated,
            budget,
            what=f"answers slower than the champion's p95 of {traffic.baseline.p95:.3g} ms",
        )
