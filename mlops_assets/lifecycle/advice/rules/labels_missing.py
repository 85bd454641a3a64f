"""Labels that should have come by now."""

from mlops_assets.lifecycle.advice.evidence import LABELS_DUE
from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding


class LabelsMissing(AdviceRule):
    """All labels of the window are due, and fewer than 95 % of the answers have one.

    A model that is fitted on the labels that did come learns who gets one.
    """

    action = "fix_the_data"

    def look(self, evidence):
        p = evidence.performance
        if not (evidence.joins_labels and evidence.labels_due and p.predictions):
            return []
        if p.labelled >= LABELS_DUE * p.predictions:
            return []
        delay = evidence.spec.columns.label_delay
        words = (
            f"labels: {p.labelled} of {p.predictions} answers have one, and all are due (the "
            f"window is over for more than columns.label_delay, {delay}): look at the label feed"
        )
        return [Finding(words, needs_person=True)]
