"""A model that answers everybody the same has learned nothing."""

from mlops_assets.lifecycle.gate.rules.base import GateRule
from mlops_assets.lifecycle.reports import Rule


class AnswersVary(GateRule):
    """The challenger gives more than one answer to the hold-out.

    A ranking may well give everybody the same list: the most popular items.
    """

    name = "answers"

    def judge(self, evidence):
        import numpy as np

        if not evidence.spec.task_type.tabular:
            return []
        distinct = len(np.unique(evidence.scores, axis=0))
        constant = distinct < 2
        words = "one and the same answer" if constant else f"{distinct} different answers"
        return [
            Rule(
                name=self.name,
                status="failed" if constant else "passed",
                observed=distinct,
                limit=">= 2",
                words=f"{words} to {len(evidence.scores)} rows",
            )
        ]
