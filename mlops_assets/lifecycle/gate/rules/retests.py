"""Asking the same hold-out again until it says yes."""

from mlops_assets.lifecycle.gate.rules.base import GateRule
from mlops_assets.lifecycle.reports import Rule


class Retests(GateRule):
    """The hold-out was not asked more often than declared; see :mod:`..looks` for the level."""

    name = "retests"

    def judge(self, evidence):
        policy = evidence.spec.gate
        allowed = 1 + policy.retests
        words = f"look {evidence.look} of {allowed} at this hold-out, alpha {evidence.alpha:g}"
        spent = evidence.look > allowed
        if spent:
            words += ": it is used up, judge on newer data"
        return [
            Rule(
                name=self.name,
                status="failed" if spent else "passed",
                observed=evidence.look,
                limit=f"<= {allowed}",
                words=words,
            )
        ]
