"""Requests that a version could not answer."""

from mlops_assets.lifecycle.rollout.guardrails.base import RatioGuardrail, nothing


class ErrorRate(RatioGuardrail):
    """The canary fails to answer at most ``tolerated`` times as often as the champion.

    One error a unit and window counts: a unit stays with its variant, so that its errors are one
    piece of evidence.
    """

    name = "error_rate"

    def judge(self, traffic, tolerated, budget):
        from mlops_assets.lifecycle.rollout.guardrails.ratio import judge_ratio

        blocks = traffic.blocks()
        if not len(blocks.ends):
            return nothing(self.name, tolerated, budget, traffic.why_empty())
        return judge_ratio(
            self.name,
            blocks.errors,
            blocks.ends,
            tolerated,
            budget,
            what="errors answered",
            negligible=budget.negligible,
        )
