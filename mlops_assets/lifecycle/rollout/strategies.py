"""What to do next with a rollout: one class a strategy, found by name in YAML."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from mlops_assets.lifecycle.declaration import format_duration
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.reports import Report
from mlops_assets.lifecycle.rollout.guardrails import GUARDRAILS, Budget, GuardrailEvidence

if TYPE_CHECKING:
    from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
    from mlops_assets.lifecycle.rollout.traffic import Traffic

KPI = "kpi"
SILENCE = 100  # canary answers that should have come, and did not


@dataclass(frozen=True)
class RolloutState:
    """Where a rollout stands.

    Parameters
    ----------
    share : float
        Of the units that the canary answers now, 0 to 1; 0 before the first step and in shadow.
    since : datetime
        When this share began (aware).
    """

    share: float
    since: datetime


class Decision(Report):
    """What to do, why, and on what evidence.

    ``share`` is the canary's share from now on: the next step's after ``advance`` (1 is a
    promotion), 0 after ``roll_back``, the present one else. ``more_traffic`` is ``hold`` that
    took longer than ``deployment.max_duration``: a person, or more traffic, has to decide.
    """

    kind: Literal["advance", "hold", "roll_back", "more_traffic"]
    share: float
    reason: str
    evidence: list[GuardrailEvidence]

    @model_validator(mode="after")
    def _advance_only_on_evidence(self) -> Self:
        open_ = [e.guardrail for e in self.evidence if e.verdict != "ok"]
        if self.kind == "advance" and open_:
            raise ValueError(f"no advance while {', '.join(open_)} is not ok")
        return self


class Strategy(ABC):
    """A way from the first request to all of them."""

    name: ClassVar[str]
    watched: ClassVar[bool]
    stepwise: ClassVar[bool]

    def first_share(self, policy: "DeploymentPolicy") -> float:
        """The share of the units that a challenger begins with; 0 answers nobody."""
        return 0.0

    def names(self, policy: "DeploymentPolicy") -> tuple[str, str] | None:
        """What champion and challenger are called beside each other, where they have names."""
        return None

    @abstractmethod
    def decide(
        self,
        policy: "DeploymentPolicy",
        state: RolloutState,
        traffic: "Traffic | None",
        now: datetime,
    ) -> Decision:
        """The next move.

        Parameters
        ----------
        policy : DeploymentPolicy
        state : RolloutState
        traffic : Traffic or None
            None when nothing could be read: nothing advances then.
        now : datetime
            Aware.

        Raises
        ------
        EvidenceError
            When state, traffic and time do not belong together.
        """


class Direct(Strategy):
    """All traffic at once: the gate's verdict is all the evidence there is."""

    name = "direct"
    watched = False
    stepwise = False

    def decide(self, policy, state, traffic, now):
        return Decision(
            kind="advance", share=1.0, reason="strategy direct: all traffic at once", evidence=[]
        )


class Canary(Strategy):
    """A rising share of the units; up only on evidence, down at the first sound alarm."""

    name = "canary"
    watched = True
    stepwise = True

    def first_share(self, policy):
        return policy.steps[0] / 100

    def decide(self, policy, state, traffic, now):
        shares = [step / 100 for step in policy.steps]
        if state.share <= 0:
            return Decision(
                kind="advance",
                share=shares[0],
                reason=f"the first step: {shares[0]:.3g} of the units",
                evidence=[],
            )
        following = next((s for s in shares if s > state.share + 1e-9), 1.0)
        return _judge(policy, state, traffic, now, following)


class Shadow(Strategy):
    """Answers everything and serves nothing, until all guardrails are shown to hold; then serves.

    It sees all the traffic beside the champion, so that there is nothing to learn from a share.
    What a shadow can't show is what users do with its answers.
    """

    name = "shadow"
    watched = True
    stepwise = False

    def decide(self, policy, state, traffic, now):
        if state.share > 0:
            raise EvidenceError(f"a shadow serves nothing, and this one has share {state.share}")
        return _judge(policy, state, traffic, now, 1.0)


class Split(Strategy):
    """Two versions side by side under names and at fixed shares, until one is shown to be better.

    The champion has the first name of ``split``, the challenger the second. A guardrail that is
    violated ends it for the champion, as it ends a canary. Else the guardrail ``kpi`` decides,
    when its confidence sequence leaves zero out, on either side with the error ``alpha``; without
    it, or before, a person concludes (``mlops-assets conclude``).
    """

    name = "ab"
    watched = True
    stepwise = False

    def first_share(self, policy):
        _, challenger = policy.split
        return policy.split[challenger] / 100

    def names(self, policy):
        champion, challenger = policy.split
        return champion, challenger

    def decide(self, policy, state, traffic, now):
        # Neither side is in doubt more than the other: both claims have the same error.
        even = policy.model_copy(update={"beta": policy.alpha})
        seen = _judge(even, state, traffic, now, 1.0)
        kpi = next((e for e in seen.evidence if e.guardrail == KPI), None)
        if kpi is not None and kpi.high is not None and kpi.high < 0 and seen.kind != "roll_back":
            reason = f"the champion is better: {kpi.words}"
            return Decision(kind="roll_back", share=0.0, reason=reason, evidence=seen.evidence)
        better = kpi is not None and kpi.low is not None and kpi.low > 0
        if seen.kind != "advance" or better:
            return seen
        why = (
            f"{kpi.words}; neither is shown to be better"
            if kpi
            else ("the guardrails hold, and no kpi is declared that could tell which is better")
        )
        return _wait(policy, state, now, [why], seen.evidence)


STRATEGIES: dict[str, Strategy] = {cls.name: cls() for cls in (Direct, Canary, Shadow, Split)}


def weigh(policy: "DeploymentPolicy", traffic: "Traffic") -> list[GuardrailEvidence]:
    """The evidence of every declared guardrail.

    All together raise a false alarm with probability ``alpha`` at most, over the whole rollout.
    ``beta`` is not shared out: a canary passes only where every guardrail lets it pass.
    """
    budget = Budget(
        alpha=policy.alpha / len(policy.guardrails),
        beta=policy.beta,
        negligible=policy.negligible_error_rate,
    )
    return [
        GUARDRAILS[name].judge(traffic, tolerated, budget)
        for name, tolerated in policy.guardrails.items()
    ]


def _judge(policy, state, traffic, now, following: float) -> Decision:
    if now.tzinfo is None or state.since.tzinfo is None:
        raise EvidenceError("a rollout is judged by times with a time zone")
    if traffic is None:
        return _wait(policy, state, now, ["the prediction log could not be read"], [])
    if abs(traffic.periods[-1].share - state.share) > 1e-9:
        raise EvidenceError(
            f"the traffic is of share {traffic.periods[-1].share:g}, the rollout is at "
            f"{state.share:g}"
        )
    evidence = weigh(policy, traffic)
    violated = [e for e in evidence if e.verdict == "violated"]
    if violated:
        words = "; ".join(e.words for e in violated)
        return Decision(kind="roll_back", share=0.0, reason=words, evidence=evidence)
    missing = [*_too_early(policy, state, traffic, now), *_silence(state, traffic)]
    missing += [e.words for e in evidence if e.verdict != "ok"]
    if missing:
        return _wait(policy, state, now, missing, evidence)
    words = "; ".join(e.words for e in evidence)
    return Decision(
        kind="advance", share=following, reason=f"to {following:.3g}: {words}", evidence=evidence
    )


def _too_early(policy, state, traffic, now):
    canary, _ = traffic.requests(state.since)
    if canary < policy.min_requests:
        yield f"{canary:,} of {policy.min_requests:,} canary answers in this step"
    if now - state.since < policy.min_duration:
        lasted = format_duration(
            timedelta(seconds=max(int((now - state.since).total_seconds()), 0))
        )
        yield f"{lasted} of {format_duration(policy.min_duration)} of this step"


def _silence(state, traffic):
    """A canary that stopped answering has no errors either."""
    alone = traffic.champion_alone()
    expected = alone * (state.share / (1 - state.share) if state.share else 1.0)
    if expected >= SILENCE:
        yield f"the canary has been silent while the champion gave {alone:,} answers"


def _wait(policy, state, now, missing: list[str], evidence) -> Decision:
    late = now - state.since >= policy.max_duration
    reason = "; ".join(missing)
    if late:
        reason = (
            f"undecided after {format_duration(policy.max_duration)}: more traffic or a person's "
            f"decision is needed: {reason}"
        )
    kind: Literal["hold", "more_traffic"] = "more_traffic" if late else "hold"
    return Decision(kind=kind, share=state.share, reason=reason, evidence=evidence)
