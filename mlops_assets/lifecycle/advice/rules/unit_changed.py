"""A column that came in another unit."""

from mlops_assets.lifecycle.advice.evidence import times_threshold
from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding
from mlops_assets.lifecycle.advice.units import Mistaken, mistaken


class UnitChanged(AdviceRule):
    """A drifted number whose moments all follow one conversion.

    A factor between a tenth and ten is believed only where most columns held still: amounts that
    double with everything else are another population, not another unit. Of labels it never is:
    claims that cost half as much again are a level, and to be recalibrated; in cents they are not.
    """

    action = "fix_the_data"

    def look(self, evidence):
        findings = []
        for c in sorted(evidence.amounts, key=lambda c: -times_threshold(c)):
            if c.verdict != "drifted" or c.reference is None or c.live is None:
                continue
            found = mistaken(c.reference, c.live)
            may_be_the_world = evidence.moved_together or c.role == "label"
            if found is None or (found.plain and may_be_the_world):
                continue
            findings.append(Finding(_words(c, found), (c.column,)))
        return findings


def _words(c, found: Mistaken) -> str:
    change = f"{found.factor:.4g} times what it was"
    if found.offset:
        change += f" {found.offset:+.4g}"
    likely = f", as from {found.conversion.words}" if found.conversion else ", of no known unit"
    return (
        f"{c.column} looks as if its unit had changed: it is {change}{likely} "
        f"(mean {c.reference.mean:.4g} to {c.live.mean:.4g}, median {c.reference.median:.4g} to "
        f"{c.live.median:.4g}, standard deviation {c.reference.sd:.4g} to {c.live.sd:.4g})"
    )
