"""Labels that should have come by now."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding
from mlops_assets.lifecycle.decay.maturity import LEAST_LABELS, LEAST_SHARE
from mlops_assets.lifecycle.declaration import format_duration

# Labels come in batches: the first answers of a window that are due wait for the next one.
LEAST_DUE = 0.05


class LabelsMissing(AdviceRule):
    """Labels are due, far fewer than should be there are, and the performance report can't judge.

    As many are expected as ``monitoring.decay.coverage`` says, else as the label maturity of
    earlier windows does, else one for each answer. A model that is fitted on the labels that did
    come learns who gets one.

    Fewer than 50 answers that are due, or than 5 % of the window's, say nothing until all of the
    window's labels are due.
    """

    action = "fix_the_data"

    def look(self, evidence):
        p, expected = evidence.performance, _expected(evidence)
        if p.verdict != "insufficient_data" or not evidence.joins_labels:
            return []
        due = p.due if p.due is not None else p.predictions * evidence.labels_due
        known = p.known if p.known is not None else p.labelled
        enough = due >= max(LEAST_LABELS, LEAST_DUE * p.predictions) or evidence.labels_due
        if not due or not enough or known >= LEAST_SHARE * expected * due:
            return []
        delay = format_duration(evidence.spec.columns.label_delay)
        words = (
            f"labels: {known} of {due} answers that are older than columns.label_delay ({delay}) "
            f"have one, {expected:.0%} should: look at the label feed"
        )
        return [Finding(words, needs_person=True)]


def _expected(evidence) -> float:
    decay, maturity = evidence.spec.monitoring.decay, evidence.performance.maturity
    if decay is not None and decay.coverage is not None:
        return decay.coverage
    return maturity.ever if maturity is not None and maturity.ever else 1.0
