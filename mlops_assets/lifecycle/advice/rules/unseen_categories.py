"""A burst of categories that the reference does not have: a recoding upstream."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding

BURST = 0.2


class UnseenCategories(AdviceRule):
    """A drifted column with 20 points or more of its rows in new categories, while others held.

    New customers bring some new categories in several columns; a code list that was replaced
    makes one column new.
    """

    action = "fix_the_data"

    def look(self, evidence):
        if evidence.moved_together:
            return []
        return [
            Finding(
                f"{c.column}: {c.live.unseen:.1%} of the rows are in categories that the reference "
                f"does not have, {_expected(c.reference):.1%} expected: were they recoded?",
                (c.column,),
            )
            for c in evidence.drifted_features
            if c.live is not None and _burst(c.reference, c.live)
        ]


def _burst(reference, live) -> bool:
    if live.unseen is None:
        return False
    return live.unseen - _expected(reference) >= BURST


def _expected(reference) -> float:
    return (reference.unseen if reference is not None else None) or 0.0
