"""What a rollout does next: steps, evidence, and everything that must not let it advance."""

from datetime import timedelta

import numpy as np
import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.rollout.periods import Period
from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
from mlops_assets.lifecycle.rollout.strategies import STRATEGIES, Decision, RolloutState
from mlops_assets.lifecycle.rollout.traffic import tally
from mlops_assets_tests.lifecycle.canary_world import (
    CANARY,
    CHAMPION,
    START,
    Side,
    past,
    record,
    service,
)

HOUR = timedelta(hours=1)
CLEAN = Side(errors=0)


@pytest.fixture
def rng():
    return np.random.default_rng(17)


def policy(**change):
    given = {"strategy": "canary", "guardrails": {"error_rate": 1.5, "latency_p95": 1.5}}
    return DeploymentPolicy(**given | change)


def traffic(records, *periods):
    return tally(records, list(periods), canary=CANARY, champion=CHAMPION)


def decided(records, *, share=0.05, after=HOUR, periods=None, **change) -> Decision:
    """The decision on records of one step that began at START."""
    declared = policy(**change)
    seen = traffic(records, *(periods or [Period(START, None, share)]))
    state = RolloutState(share, START)
    return STRATEGIES[declared.strategy].decide(declared, state, seen, START + after)


def verdicts(decision):
    return {e.guardrail: e.verdict for e in decision.evidence}


# --- up -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "following"), [(0.05, 0.25), (0.25, 0.5), (0.5, 1.0)])
def test_an_equal_canary_climbs_the_steps(rng, share, following):
    records = past(rng) + service(rng, int(4000 / share), 3500, share=share)
    decision = decided(records, share=share)
    assert (decision.kind, decision.share) == ("advance", following)
    assert set(verdicts(decision).values()) == {"ok"}
    assert "within limits" in decision.reason


def test_the_first_step_needs_no_evidence_for_there_can_be_none():
    declared = policy(steps=[2, 60])
    decision = STRATEGIES["canary"].decide(declared, RolloutState(0.0, START), None, START)
    assert (decision.kind, decision.share, decision.evidence) == ("advance", 0.02, [])


def test_a_step_that_is_no_longer_declared_goes_on_to_the_next_higher(rng):
    records = past(rng) + service(rng, 20_000, 3500, share=0.1)
    assert decided(records, share=0.1).share == 0.25


def test_evidence_of_earlier_steps_counts_and_requests_of_this_one_are_needed(rng):
    change = timedelta(minutes=50)
    first, now = Period(START, START + change, 0.1), Period(START + change, None, 0.25)
    before = past(rng) + service(rng, 30_000, 2990, share=0.1)
    few = service(rng, 1000, 500, share=0.25, start=3000.0)
    many = service(rng, 4000, 500, share=0.25, start=3000.0)
    state, late = RolloutState(0.25, now.start), START + HOUR
    canary = STRATEGIES["canary"]
    held = canary.decide(policy(), state, traffic(before + few, first, now), late)
    assert held.kind == "hold"
    assert "of 500 canary answers in this step" in held.reason
    assert set(verdicts(held).values()) == {"ok"}
    up = canary.decide(policy(), state, traffic(before + many, first, now), late)
    assert (up.kind, up.share) == ("advance", 0.5)


def test_a_canary_without_any_error_passes_once_its_rate_is_shown_to_be_negligible(rng):
    names = {"error_rate": 1.5}
    clean = {"champion": CLEAN, "canary": CLEAN, "share": 0.25}
    enough = decided(service(rng, 20_000, 3500, **clean), share=0.25, guardrails=names)
    assert (enough.kind, enough.share) == ("advance", 0.5)
    assert "below 0.001" in enough.reason
    few = decided(service(rng, 10_000, 3500, **clean), share=0.25, guardrails=names)
    assert few.kind == "hold"
    # Of n clean requests the beta mixture gives (exp(n p) - 1) / (n p) = 20 at about n p = 4.5.
    assert few.evidence[0].needed == pytest.approx(4500, rel=0.02)
    assert f"about {few.evidence[0].needed:,} canary requests" in few.reason


# --- down -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("canary", "guardrail"),
    [(Side(errors=0.15), "error_rate"), (Side(slower=1.5), "latency_p95")],
)
def test_a_bad_canary_is_rolled_back_and_the_guardrail_named(rng, canary, guardrail):
    records = past(rng) + service(rng, 10_000, 1000, share=0.1, canary=canary)
    decision = decided(records, share=0.1, after=timedelta(minutes=1))  # before min_duration
    assert (decision.kind, decision.share) == ("roll_back", 0.0)
    assert verdicts(decision)[guardrail] == "violated"
    assert decision.reason.startswith(guardrail)


def test_an_outage_is_rolled_back_within_a_minute_of_traffic(rng):
    records = past(rng) + service(rng, 400, 60, share=0.05, canary=Side(errors=1))
    decision = decided(records, after=timedelta(minutes=1))
    assert decision.kind == "roll_back"


def test_a_storm_that_hits_both_sides_is_not_the_canary_s_fault(rng):
    calm = service(rng, 10_000, 1700, share=0.1)
    storm = service(
        rng, 5000, 300, share=0.1, start=1700.0, champion=Side(0.5, 4), canary=Side(0.5, 4)
    )
    after = service(rng, 20_000, 1500, share=0.1, start=2000.0)
    decision = decided(past(rng) + calm + storm + after, share=0.1)
    assert decision.kind == "advance"


def test_a_champion_that_worsens_when_the_share_rises_does_not_count_against_the_canary(rng):
    # Pooled over both steps the canary's error rate is 2.9 times the champion's.
    switch = timedelta(minutes=30)
    periods = [Period(START, START + switch, 0.02), Period(START + switch, None, 0.5)]
    usual, worse = Side(errors=0.01), Side(errors=0.1)
    records = service(rng, 15_000, 1790, share=0.02, champion=usual, canary=usual)
    records += service(rng, 3000, 1700, share=0.5, start=1800.0, champion=worse, canary=worse)
    rates = {
        v: np.mean([r.status >= 500 for r in records if r.variant == v])
        for v in ("canary", "champion")
    }
    assert rates["canary"] > 2.5 * rates["champion"]
    declared = policy(guardrails={"error_rate": 1.5})
    state = RolloutState(0.5, START + switch)
    seen = traffic(records, *periods)
    decision = STRATEGIES["canary"].decide(declared, state, seen, START + HOUR)
    assert decision.kind in ("hold", "advance")
    assert decision.evidence[0].estimate == pytest.approx(1, abs=0.35)


def test_the_budget_is_shared_by_the_guardrails(rng):
    records = past(rng) + service(rng, 5000, 1000, share=0.1)
    four = {"error_rate": 1.5, "latency_p95": 1.5, "prediction": 2, "kpi": 0.05}
    decision = decided(records, share=0.1, guardrails=four, alpha=0.02)
    assert [e.guardrail for e in decision.evidence] == list(four)
    assert {e.threshold for e in decision.evidence} == {200}
    assert {e.low_level for e in decision.evidence[:3]} == {1 - 0.005}


# --- neither --------------------------------------------------------------------------------


def test_it_holds_until_time_and_requests_of_a_step_are_reached(rng):
    records = past(rng) + service(rng, 40_000, 500, share=0.05)
    early = decided(records, after=timedelta(minutes=9))
    assert early.kind == "hold"
    assert early.reason == "9m of 10m of this step"
    assert decided(records, after=timedelta(minutes=10)).kind == "advance"
    assert decided(records, min_requests=10_000).kind == "hold"


def test_no_alarm_is_not_enough(rng):
    decision = decided(past(rng) + service(rng, 6000, 3500, share=0.05))
    assert decision.kind == "hold"
    assert verdicts(decision)["error_rate"] == "not_enough"
    assert decision.share == 0.05
    assert "not enough evidence, an equal canary needs about" in decision.reason


def test_a_step_that_stays_undecided_asks_for_traffic_or_a_person(rng):
    records = past(rng) + service(rng, 6000, 3500, share=0.05)
    decision = decided(records, after=timedelta(days=1))
    assert (decision.kind, decision.share) == ("more_traffic", 0.05)
    assert "undecided after 1d" in decision.reason


def test_worse_but_tolerated_is_no_reason_to_roll_back(rng):
    names = {"error_rate": 2.0}
    records = service(rng, 40_000, 3500, share=0.25, canary=Side(errors=0.065))
    decision = decided(records, share=0.25, guardrails=names)
    assert decision.kind == "advance"
    assert decision.evidence[0].low > 1


def test_a_canary_that_went_silent_does_not_advance(rng):
    records = past(rng) + service(rng, 40_000, 2000, share=0.05)
    silent = records + service(rng, 3000, 1000, share=0.0, start=2100.0)
    assert decided(records).kind == "advance"
    decision = decided(silent)
    assert decision.kind == "hold"
    assert "silent while the champion gave 3,000 answers" in decision.reason


@pytest.mark.parametrize(
    "broken",
    [
        lambda rng: [],
        lambda rng: service(rng, 5000, 3500, share=0.0),
        lambda rng: [r for r in service(rng, 20_000, 3500, share=0.1) if r.variant == "canary"],
        lambda rng: service(rng, 20_000, 3500, share=0.1),  # nothing from before: see below
    ],
    ids=["empty", "no canary", "no champion", "nan"],
)
def test_missing_evidence_never_advances(rng, broken, request):
    records = broken(rng)
    if "nan" in request.node.callspec.id:
        records = [replace(r, latency_ms=float("nan")) for r in records]
    for after, kind in ((HOUR, "hold"), (timedelta(days=2), "more_traffic")):
        decision = decided(records, share=0.1, after=after)
        assert decision.kind == kind
        assert "not_enough" in verdicts(decision).values()


def test_an_unreadable_log_never_advances():
    state = RolloutState(0.05, START)
    decision = STRATEGIES["canary"].decide(policy(), state, None, START + HOUR)
    assert decision.kind == "hold"
    assert "could not be read" in decision.reason


def test_a_clock_that_runs_backwards_holds(rng):
    records = past(rng) + service(rng, 40_000, 3500, share=0.05)
    assert decided(records, after=-HOUR).kind == "hold"


def test_traffic_of_another_step_is_refused(rng):
    seen = traffic([record(1)], Period(START, None, 0.25))
    with pytest.raises(EvidenceError, match=r"share 0\.25, the rollout is at 0\.05"):
        STRATEGIES["canary"].decide(policy(), RolloutState(0.05, START), seen, START + HOUR)
    naive = (START + HOUR).replace(tzinfo=None)
    with pytest.raises(EvidenceError, match="time zone"):
        STRATEGIES["canary"].decide(policy(), RolloutState(0.25, START), seen, naive)


def test_nobody_can_write_down_an_advance_without_evidence(rng):
    held = decided(past(rng) + service(rng, 2000, 3500, share=0.05))
    with pytest.raises(ValidationError, match="no advance while error_rate"):
        Decision(kind="advance", share=0.25, reason="trust me", evidence=held.evidence)
    first = held.evidence[0].model_dump()
    with pytest.raises(ValidationError, match="without traffic on both sides"):
        type(held.evidence[0])(**first | {"verdict": "ok", "champion_seen": 0})
    with pytest.raises(ValidationError, match="not finite"):
        type(held.evidence[0])(**first | {"verdict": "ok", "estimate": float("nan")})


def test_a_decision_comes_back_from_json_as_it_was(rng):
    decision = decided(past(rng) + service(rng, 5000, 3500, share=0.05))
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


# --- the other strategies -------------------------------------------------------------------


def test_direct_goes_to_everybody_at_once():
    direct = STRATEGIES["direct"]
    decision = direct.decide(DeploymentPolicy(), RolloutState(0.0, START), None, START)
    assert (decision.kind, decision.share) == ("advance", 1.0)


@pytest.mark.parametrize(
    ("canary", "requests", "kind", "share"),
    [
        (Side(), 9000, "advance", 1.0),
        (Side(), 600, "hold", 0.0),
        (Side(errors=0.15), 4000, "roll_back", 0.0),
    ],
)
def test_a_shadow_serves_nothing_until_all_is_shown_to_hold(rng, canary, requests, kind, share):
    records = past(rng) + service(rng, requests, 3500, shadow=True, canary=canary)
    decision = decided(records, share=0.0, strategy="shadow")
    assert (decision.kind, decision.share) == (kind, share)


def test_a_shadow_with_a_share_is_refused(rng):
    with pytest.raises(EvidenceError, match="a shadow serves nothing"):
        decided(service(rng, 100, 100, share=0.1), share=0.1, strategy="shadow")
