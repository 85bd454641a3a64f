"""Labels that are all the same."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding


class LabelsAlike(AdviceRule):
    """The labels of a window are all alike, and by the hold-out's that is no chance.

    Either the feed tells one thing, or the world does: nothing can be fitted or judged on it.
    The first answers of a window that are due may be of one hour of the day: they are not asked.
    """

    action = "fix_the_data"

    def look(self, evidence):
        words = evidence.performance.one_label
        if not words or not evidence.labels_tell:
            return []
        return [Finding(f"labels: {words}: look at the label feed", needs_person=True)]
