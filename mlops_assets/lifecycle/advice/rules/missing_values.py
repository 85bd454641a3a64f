"""A column whose values stopped coming."""

from mlops_assets.lifecycle.advice.rules.base import AdviceRule, Finding

# Points, and times the odds: 40 to 52 % may be other customers, 5 to 16 % are a feed.
JUMP = 0.1
ODDS = 3.0


class MissingValues(AdviceRule):
    """Missing values of a feature jumped by 10 points or more, and their odds threefold.

    In however many columns: what most columns miss at once is a join that failed, and a model
    that is fitted on a gap learns the gap.
    """

    action = "fix_the_data"

    def look(self, evidence):
        findings = []
        for c in evidence.features:
            if c.reference is None or c.live is None:
                if c.statistic == "missing_share" and c.verdict == "drifted":
                    findings.append(Finding(f"{c.column}: {c.reason}", (c.column,)))
            elif jumped(c.reference.missing, c.live.missing):
                words = f"{c.reference.missing:.1%} in the reference, {c.live.missing:.1%} live"
                findings.append(Finding(f"{c.column}: missing values: {words}", (c.column,)))
        return findings


def jumped(before: float, now: float) -> bool:
    """Whether a share of missing values rose as it does when a feed breaks."""
    return now - before >= JUMP and now * (1 - before) >= ODDS * before * (1 - now)
