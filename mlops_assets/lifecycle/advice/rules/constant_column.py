"""A column that got stuck at one value."""

import math

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding

BY_CHANCE = 1e-4


class ConstantColumn(AdviceRule):
    """A drifted number that has one value only, where the reference has several.

    The number of a week does so too: what is meant to stand still in a window belongs into
    ``monitoring.drift.ignore``.
    """

    action = "fix_the_data"

    def look(self, evidence):
        return [
            Finding(
                f"{c.column} is {c.live.mean:.4g} in every one of {c.live.rows} rows; in the "
                f"reference it goes from {c.reference.minimum:.4g} to {c.reference.maximum:.4g}: "
                "is it stuck? (If it is meant to stand still, declare it in "
                "monitoring.drift.ignore.)",
                (c.column,),
            )
            for c in evidence.drifted_features
            if c.kind == "numeric"
            and c.reference is not None
            and c.live is not None
            and _stuck(c.reference, c.live)
        ]


def _stuck(reference, live) -> bool:
    known = (reference.sd, reference.minimum, reference.maximum, live.minimum, live.maximum)
    if any(x is None for x in known) or live.minimum != live.maximum or not reference.sd:
        return False
    if live.minimum != reference.median:
        return True
    # A column that nearly always has one value may have no other in a short window. Of values in
    # a range, at least var / range**2 lie off any one of them.
    off = (reference.sd / (reference.maximum - reference.minimum)) ** 2
    return math.exp(-off * live.rows * (1 - live.missing)) < BY_CHANCE
