"""Moving a rollout on: what it has seen so far, the decision, and its being carried out.

The daemon's sensor, a run that a person starts and the UI's button all come here, so that the
decision is the same whoever asks.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import EvidenceError, RolloutError
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.rollout import steps
from mlops_assets.lifecycle.rollout.history import PROMOTE, Rollout, latest_rollout
from mlops_assets.lifecycle.rollout.journal import Entry, Journal
from mlops_assets.lifecycle.rollout.strategies import KPI, STRATEGIES, Decision, RolloutState, weigh

if TYPE_CHECKING:
    from mlops_assets.lifecycle.ground_truth import FeedbackLog
    from mlops_assets.lifecycle.prediction_log import PredictionLog
    from mlops_assets.lifecycle.rollout.guardrails import GuardrailEvidence
    from mlops_assets.lifecycle.rollout.traffic import Traffic
    from mlops_assets.lifecycle.spec import ModelSpec

# How far before a rollout the champion's usual answers are taken from.
BEFORE = timedelta(days=1)


@dataclass(frozen=True)
class Look:
    """A rollout, and what it has shown.

    ``decision`` of a rollout that has ended is what its end was, with the evidence of all of it.
    """

    rollout: Rollout
    decision: Decision


def look(
    spec: "ModelSpec",
    journal: Journal,
    log: "PredictionLog",
    feedback: "FeedbackLog",
    now: datetime,
) -> Look | None:
    """The rollout that began last, and what should be done with it; None when none ever began.

    Parameters
    ----------
    feedback : FeedbackLog
        What answers turned out to be worth, for the guardrail ``kpi``: labels that are numbers.
    now : datetime
        Aware.

    Raises
    ------
    EvidenceError
        When journal and traffic do not belong together.
    """
    rollout = latest_rollout(journal, spec.name)
    if rollout is None:
        return None
    if rollout.ended is not None:
        evidence = weigh(spec.deployment, _traffic(spec, rollout, log, feedback))
        return Look(rollout, _as_it_ended(rollout, rollout.ended, evidence))
    traffic: Traffic | None
    try:
        traffic = _traffic(spec, rollout, log, feedback)
    except (EvidenceError, OSError):
        # Fails closed: without the log nothing advances, and the decision says why.
        traffic = None
    state = RolloutState(rollout.share, rollout.periods[-1].start)
    strategy = STRATEGIES[rollout.strategy]
    return Look(rollout, strategy.decide(spec.deployment, state, traffic, now))


def carry(registry: Registry, journal: Journal, seen: Look, who: str) -> Entry | None:
    """Do what a look decided; None where it decided to wait.

    Raises
    ------
    RolloutError, ArtifactError
        When the rollout has moved on since, or its files changed.
    """
    rollout, decision = seen.rollout, seen.decision
    if rollout.ended is not None:
        raise RolloutError(f"{rollout.model} v{rollout.version} is not on its way any more")
    if decision.kind == "roll_back":
        return steps.abort(
            registry,
            journal,
            rollout.model,
            rollout.version,
            who=who,
            why=decision.reason,
            evidence=summary(decision),
        )
    if decision.kind == "advance":
        return steps.advance(
            registry,
            journal,
            rollout.model,
            rollout.version,
            share=decision.share,
            who=who,
            why=decision.reason,
            evidence=summary(decision),
        )
    return None


def summary(decision: Decision) -> dict[str, Any]:
    """The evidence as the journal keeps it: without its course over time."""
    return {
        e.guardrail: e.model_dump(mode="json", exclude={"guardrail", "trajectory", "words"})
        for e in decision.evidence
    }


def _traffic(
    spec: "ModelSpec", rollout: Rollout, log: "PredictionLog", feedback: "FeedbackLog"
) -> "Traffic":
    from mlops_assets.lifecycle.rollout.traffic import tally

    records = list(log.logged_since(spec.name, rollout.periods[0].start - BEFORE))
    values = None
    if KPI in spec.deployment.guardrails:
        known = feedback.known(spec.name, records).by_prediction
        values = {i: float(v) for i, v in known.items() if isinstance(v, int | float)}
    return tally(
        records,
        list(rollout.periods),
        canary=rollout.version,
        champion=rollout.champion,
        values=values,
        unit_window=spec.deployment.unit_window,
        names=rollout.names,
    )


def _as_it_ended(rollout: Rollout, ended: Entry, evidence: list["GuardrailEvidence"]) -> Decision:
    promoted = ended.action == PROMOTE and ended.version == rollout.version
    if promoted:
        # What was logged in the moment of the last step may tip a bound; it was ok when decided.
        evidence = [e for e in evidence if e.verdict == "ok"]
    return Decision(
        kind="advance" if promoted else "roll_back",
        share=1.0 if promoted else 0.0,
        reason=ended.why,
        evidence=evidence,
    )
