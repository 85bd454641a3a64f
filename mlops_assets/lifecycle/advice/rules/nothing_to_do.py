"""What is no reason to do anything, and what is not there to give one."""

from mlops_assets.lifecycle.advice.evidence import named
from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding
from mlops_assets.lifecycle.declaration import format_duration


class OnlyFeaturesMoved(AdviceRule):
    """Features drifted; the answers did not, or labels say that they are right."""

    action = "leave"

    def look(self, evidence):
        moved = evidence.drifted_features
        if not moved or evidence.decayed:
            return []
        answers = evidence.drift.prediction_drifted
        if answers and not evidence.judged_on_labels:
            return []
        together = " (most features moved together: another population)"
        words = f"drifted: {named(moved)}{together if evidence.moved_together else ''}; "
        words += "the answers moved with them" if answers else "the answers did not move"
        if evidence.judged_on_labels:
            words += f", and labels are as promised: {evidence.performance.reason}"
        return [Finding(words)]


class OnlyAnswersMoved(AdviceRule):
    """The answers drifted and no feature did: nothing in the data explains it."""

    action = "leave"

    def look(self, evidence):
        if not evidence.drift.prediction_drifted or evidence.drifted_features:
            return []
        if evidence.judged_on_labels:
            words = "labels say how good they are"
            return [Finding(f"the answers drifted, and no feature alone did; {words}")]
        words = (
            "the answers drifted, no feature alone did, and no label says how good they are "
            f"({evidence.performance.reason or evidence.performance.verdict}): have a person look"
        )
        return [Finding(words, needs_person=True)]


class LabelsMoved(AdviceRule):
    """What is true drifted: a sign of another world, which decay and calibration weigh."""

    action = "leave"

    def look(self, evidence):
        moved = [c for c in evidence.drift.columns if c.role == "label" and c.verdict == "drifted"]
        return [Finding(f"the labels drifted: {named(moved)}")] if moved else []


class DriftUnknown(AdviceRule):
    """The drift report could not tell."""

    action = "leave"

    def look(self, evidence):
        d = evidence.drift
        if d.verdict != "insufficient_data":
            return []
        why = next((c.reason for c in d.columns if c.reason), "it has no column to compare")
        if d.rows == 0:
            words = f"nobody asked for a prediction in {d.window}: is traffic reaching the server?"
            return [Finding(words, needs_person=True)]
        return [Finding(f"drift is not known: {why}", needs_person=True)]


class LabelsUnknown(AdviceRule):
    """The performance report could not tell."""

    action = "leave"

    def look(self, evidence):
        p = evidence.performance
        if p.verdict != "insufficient_data":
            return []
        if not evidence.joins_labels:
            words = "labels can't be joined: columns.key is not declared"
            return [Finding(f"how good the answers are is not known: {words}")]
        due = evidence.labels_due and p.predictions > 0
        words = f"how good the answers are is not known: {p.reason or 'no reason is given'}"
        if not due and p.predictions:
            delay = format_duration(evidence.spec.columns.label_delay)
            words += f"; labels are due {delay} after the answers"
        return [Finding(words, needs_person=due)]


class AllIsWell(AdviceRule):
    """Nothing drifted, and labels are as promised."""

    action = "leave"

    def look(self, evidence):
        if evidence.drift.verdict != "stable" or evidence.performance.verdict != "healthy":
            return []
        words = f"no column drifted; {evidence.performance.reason or 'the metric is healthy'}"
        return [Finding(words)]
