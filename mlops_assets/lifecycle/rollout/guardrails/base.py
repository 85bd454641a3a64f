"""What a guardrail is asked and what it answers."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from mlops_assets.lifecycle.reports import Report

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.traffic import Traffic

MAX_POINTS = 200  # of a trajectory: a plot shows no more


@dataclass(frozen=True)
class Budget:
    """How often one guardrail may be wrong.

    Parameters
    ----------
    alpha : float
        Probability of ever calling a canary worse that is no worse than the champion, however
        often it is looked at.
    beta : float
        Probability of ever calling a canary safe that is worse by the declared ratio or more.
    negligible : float
        Rate of errors below which a canary is safe whatever the champion's rate.
    """

    alpha: float
    beta: float
    negligible: float


class Point(Report):
    """What was known at one look; None where nothing was."""

    at: datetime
    estimate: float | None
    low: float | None
    high: float | None
    e_value: float


class GuardrailEvidence(Report):
    """What one guardrail has seen of a canary and its concurrent champion.

    ``estimate`` is the canary's rate over the champion's (for ``kpi`` the relative change of the
    mean); ``low`` and ``high`` hold at all looks together, with probability ``low_level`` and
    ``high_level``; None is unbounded. ``violated`` is ``e_value >= threshold`` (the canary is
    worse) and an estimate beyond ``tolerated`` (by more than was declared). ``ok`` is a bound
    within ``tolerated``: the absence of an alarm is not enough. ``needed`` is a rough number of
    canary events for a canary that equals the champion, in what ``canary_seen`` counts.
    """

    guardrail: str
    verdict: Literal["ok", "violated", "not_enough"]
    tolerated: float
    estimate: float | None
    low: float | None
    low_level: float
    high: float | None
    high_level: float
    e_value: float
    threshold: float
    canary_events: float | None
    canary_seen: int
    champion_events: float | None
    champion_seen: int
    needed: int | None
    trajectory: list[Point]
    words: str

    @model_validator(mode="after")
    def _decided_only_on_evidence(self) -> Self:
        if self.verdict != "not_enough" and not (self.canary_seen and self.champion_seen):
            raise ValueError(f"{self.guardrail}: {self.verdict} without traffic on both sides")
        numbers = (self.estimate, self.low, self.high, self.e_value)
        if any(x is not None and not math.isfinite(x) for x in numbers):
            raise ValueError(f"{self.guardrail}: evidence that is not finite decides nothing")
        return self


class Guardrail(ABC):
    """One comparison of the canary with the champion that is valid at every look."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def check(cls, tolerated: float) -> str | None:
        """Why a declared number makes no sense, or None when it does."""

    @abstractmethod
    def judge(self, traffic: "Traffic", tolerated: float, budget: Budget) -> GuardrailEvidence:
        """Compare what both sides did so far."""


class RatioGuardrail(Guardrail):
    """Base of those that tolerate a ratio of two rates."""

    @classmethod
    def check(cls, tolerated):
        if not (math.isfinite(tolerated) and tolerated > 1):
            return f"is the tolerated ratio to the champion, more than 1, not {tolerated:g}"
        return None


def nothing(name: str, tolerated: float, budget: Budget, why: str) -> GuardrailEvidence:
    """The evidence of a guardrail that has none, which lets nothing pass."""
    return GuardrailEvidence(
        guardrail=name,
        verdict="not_enough",
        tolerated=tolerated,
        estimate=None,
        low=None,
        low_level=1 - budget.alpha,
        high=None,
        high_level=1 - budget.beta,
        e_value=1.0,
        threshold=1 / budget.alpha,
        canary_events=None,
        canary_seen=0,
        champion_events=None,
        champion_seen=0,
        needed=None,
        trajectory=[],
        words=f"{name}: {why}",
    )
