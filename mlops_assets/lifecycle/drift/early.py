"""Verdicts on a column that take no distance: broken, too little, missing values, unseen ones."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.drift.between import FEWEST_VALUES
from mlops_assets.lifecycle.drift.report import ColumnDrift, DriftVerdict, Role
from mlops_assets.lifecycle.drift.units import worth

if TYPE_CHECKING:
    from mlops_assets.lifecycle.drift.profile import ColumnProfile

MISSING_EFFECT = 0.05
UNSEEN_EFFECT = 0.05
# Of fewer labels nobody knows which came first.
LABELS_KNOWN = 0.95


@dataclass(frozen=True)
class Sides:
    """A column's profiles, and how often its missing and unseen values may alarm each."""

    reference: "ColumnProfile"
    live: "ColumnProfile"
    role: Role
    probability: float

    def unjudged(self, verdict: DriftVerdict, reason: str) -> ColumnDrift:
        """A verdict that no statistic gave."""
        return self.judged(verdict, "none", None, None, reason)

    def judged(
        self,
        verdict: DriftVerdict,
        statistic: str,
        value: float | None,
        threshold: float | None,
        reason: str = "",
    ) -> ColumnDrift:
        """A verdict with both sides of the column."""
        return ColumnDrift(
            column=self.reference.name,
            kind=self.reference.kind,
            role=self.role,
            statistic=statistic,
            value=value,
            threshold=threshold,
            verdict=verdict,
            reason=reason,
            reference=self.reference.side,
            live=self.live.side,
        )

    def early(self) -> ColumnDrift | None:
        """The verdict where it takes no distance, or None."""
        return self._label_too_young() or self._broken() or self._missing() or self._too_few()

    def _label_too_young(self) -> ColumnDrift | None:
        if self.role != "label":
            return None
        share = self.live.known / max(self.live.rows, 1) if self.live.family != "empty" else 0.0
        if share >= LABELS_KNOWN:
            return None
        reason = f"{share:.1%} of the labels are known, and which come first is no matter of chance"
        return self.unjudged("insufficient_data", reason)

    def _broken(self) -> ColumnDrift | None:
        for side, profile in (("reference", self.reference), ("live", self.live)):
            if profile.problem:
                return self.unjudged("broken", f"the {side} rows hold {profile.problem}")
        before, now = self.reference, self.live
        if before.known and now.known and before.family != now.family:
            words = f"the type changed: {before.family} in the reference, {now.family} live"
            return self.unjudged("broken", words)
        return None

    def _missing(self) -> ColumnDrift | None:
        from scipy.special import ndtri

        counts = worth(self.reference, self.live, self.reference.missing_likeness)
        sizes = self.reference.rows * counts[0], self.live.rows * counts[1]
        before, now = (side.missing / side.rows for side in (self.reference, self.live))
        both = (before * sizes[0] + now * sizes[1]) / sum(sizes)
        error = math.sqrt(both * (1 - both) * (1 / sizes[0] + 1 / sizes[1]))
        limit = max(MISSING_EFFECT, -ndtri(self.probability / 2) * error)
        if abs(now - before) <= limit:
            return None
        words = f"missing values: {before:.1%} in the reference, {now:.1%} live"
        if now == 1:
            return self.unjudged("broken", f"no value in the live rows; {words}")
        return self.judged("drifted", "missing_share", abs(now - before), limit, words)

    def _too_few(self) -> ColumnDrift | None:
        known = min(self.reference.known, self.live.known)
        if known >= FEWEST_VALUES:
            return None
        reason = f"only {known} values that are not missing, and {FEWEST_VALUES} are needed"
        return self.unjudged("insufficient_data", reason)

    def unseen(self) -> ColumnDrift | None:
        """Drifted, when more rows are in new categories than chance has; None else.

        The reference's singletons over its rows are what a further row is expected to be new with
        (Good, "The population frequencies of species", Biometrika 40, 1953). The variance is
        Esty's ("A normal limit law for a nonparametric estimator of the coverage of a random
        sample", Ann. Stat. 11, 1983), at the share of both sides: a reference with few
        singletons by chance would have too little of it.
        """
        from scipy.special import ndtri

        before, now = self.reference.categories, self.live.categories
        if before is None or now is None or not now.asked or not before.hashed:
            return None
        size, ones, twos = before.hashed, before.singletons, before.doubletons
        expected, share = ones / size, now.unseen / now.asked
        both = (ones + now.unseen) / (size + now.asked)
        counts = worth(self.reference, self.live, self.reference.likeness)
        sizes = size * counts[0], now.asked * counts[1]
        variance = both * (1 - both) * (1 / sizes[0] + 1 / sizes[1]) + 2 * twos / (size * sizes[0])
        limit = expected + max(UNSEEN_EFFECT, -ndtri(self.probability) * math.sqrt(variance))
        if share <= limit:
            return None
        words = f"{share:.1%} of the live rows in categories that the reference doesn't have"
        reason = f"{words}, {expected:.1%} expected"
        return self.judged("drifted", "unseen_share", share, limit, reason)
