"""The answers moved, and no label says yet whether they were right to."""

from mlops_assets.lifecycle.advice.evidence import named
from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding


class MovedUnjudged(AdviceRule):
    """Answers and features drifted, and labels say nothing: they are late, few, or not watched."""

    action = "refit"

    def look(self, evidence):
        if evidence.judged_on_labels or not evidence.drift.prediction_drifted:
            return []
        moved = evidence.drifted_features
        if not moved:
            return []
        words = (
            f"the answers drifted and so did {named(moved)}, and no label says how good they are "
            f"({evidence.performance.reason or evidence.performance.verdict})"
        )
        return [Finding(words + _estimated(evidence), tuple(c.column for c in moved))]


def _estimated(evidence) -> str:
    e = evidence.performance.estimated
    if e is None:
        return ""
    trust = "its assumptions held" if e.trusted else "not to be trusted: an assumption failed"
    value = f"{e.estimate.metric} {e.estimate.value:.4g} [{e.estimate.low:.4g}, "
    return f"; estimated without labels: {value}{e.estimate.high:.4g}] ({e.method}, {trust})"
