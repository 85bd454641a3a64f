"""Values that nothing in the reference prepares for: a poisoned batch, a code for "missing"."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding
from mlops_assets.lifecycle.advice.units import mistaken

# How many times the reference's reach from its median to an extreme is absurd.
ABSURD = 10.0
# A long tail reaches ten times further by chance once in thirty windows, a hundred times hardly.
ABSURD_OF_LONG_TAIL = 100.0
LONG_TAIL = 10.0
CODES = frozenset({9, 99, 999, 9999, 99999, 999999})


class AbsurdValues(AdviceRule):
    """Numbers far outside all that the reference has, in however few rows.

    Beyond ten times the reach of the reference from its median, a hundred times where the
    reference has a long tail itself (more than ten standard deviations from median to extreme);
    more where the window has more rows than the reference. And extremes such as -1 or 9999 that
    stand for "not known", where the reference has nothing near; nine claims are nine claims, so
    that of labels only -1 is one.
    """

    action = "fix_the_data"

    def look(self, evidence):
        findings = []
        for c in evidence.amounts:
            if c.reference is None or c.live is None:
                continue
            if c.verdict == "drifted" and mistaken(c.reference, c.live):
                continue
            absurd = [
                value
                for value, extreme in _extremes(c.reference, c.live)
                if _absurd(value, extreme, c.reference, c.live)
                or (_code(value, c.reference) and (c.role == "feature" or value == -1))
            ]
            if absurd:
                findings.append(Finding(_words(c, absurd), (c.column,)))
        return findings


def _extremes(reference, live):
    known = (reference.minimum, reference.median, reference.maximum, live.minimum, live.maximum)
    # The standard deviation of one value may be a rounding error: it is no measure of anything.
    if any(x is None for x in known) or not reference.sd or reference.minimum == reference.maximum:
        return []
    return [(live.minimum, reference.minimum), (live.maximum, reference.maximum)]


def _absurd(value, extreme, reference, live) -> bool:
    # One side may have no reach at all: most counts have their median at their minimum.
    reach = max(abs(extreme - reference.median), 3 * reference.sd)
    limit = ABSURD_OF_LONG_TAIL if reach > LONG_TAIL * reference.sd else ABSURD
    return abs(value - reference.median) > limit * reach * max(1.0, live.rows / reference.rows)


def _code(value, reference) -> bool:
    """A code for "not known", further outside the reference than half of its range."""
    if not (value == -1 or abs(value) in CODES):
        return False
    if value == -1 and reference.minimum >= 0:
        return True
    outside = max(reference.minimum - value, value - reference.maximum)
    return outside > (reference.maximum - reference.minimum) / 2


def _words(c, absurd) -> str:
    values = " and ".join(f"{value:.4g}" for value in absurd)
    return (
        f"{c.column} has values such as {values}, where the reference goes from "
        f"{c.reference.minimum:.4g} to {c.reference.maximum:.4g}"
    )
