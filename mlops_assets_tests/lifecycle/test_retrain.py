"""The retrain loop: every report is answered, and the loop can't run away."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mlops_assets.lifecycle.retrain import (
    Finding,
    PastRetrain,
    Request,
    Skip,
    answering,
    decide,
    refused_in_a_row,
)
from mlops_assets.lifecycle.spec import RetrainPolicy

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


TRIGGERS = {"decayed": "decay", "healthy": "decay"}


def answer(
    past=(), verdict="drifted", now=NOW, window="2026-02-23", report="r9", action="refit", **more
):
    named = ("trigger", "newer", "needs_person", "answered_by")
    found = {k: more.pop(k) for k in named if k in more}
    found = {"trigger": TRIGGERS.get(verdict, "drift")} | found
    spec = SimpleNamespace(name="fraud", retrain=RetrainPolicy(**more))
    words = "amount drifted"
    finding = Finding(
        window=window, report_id=report, verdict=verdict, action=action, words=words, **found
    )
    return decide(spec, now, finding, list(past))


def retrained(ago=3 * DAY, trigger="drift", report="r1", window="2026-02-16", state="succeeded"):
    return PastRetrain(NOW - ago, trigger, report, window, state)


@pytest.mark.parametrize("action", ["refit", "recalibrate"])
@pytest.mark.parametrize(("verdict", "trigger"), [("drifted", "drift"), ("decayed", "decay")])
def test_advice_to_train_starts_a_retrain(verdict, trigger, action):
    asked = answer(verdict=verdict, action=action)
    assert asked == Request(f"fraud:{trigger}:r9", "2026-02-23", "amount drifted", action)


def test_advice_to_train_counts_without_an_alarm():
    """The level of the answers may be off while the metric is well."""
    asked = answer(verdict="healthy", action="recalibrate")
    assert asked == Request("fraud:decay:r9", "2026-02-23", "amount drifted", "recalibrate")


@pytest.mark.parametrize(
    ("finding", "words", "tells"),
    [
        ({"verdict": "broken"}, "fix the data, no retrain on it: amount drifted", "data"),
        ({"action": "fix_the_data"}, "fix the data, no retrain on it: amount drifted", "data"),
        ({"verdict": "stable", "action": "fix_the_data"}, "fix the data", "data"),
        ({"verdict": "stable", "action": "leave"}, "nothing to do: stable", None),
        ({"verdict": "stable", "action": None}, "nothing to do: stable", None),
        ({"verdict": "healthy", "action": "leave"}, "nothing to do: healthy", None),
        ({"verdict": "insufficient_data", "action": "leave"}, "not enough data to tell", None),
        ({"action": "leave"}, "drifted, and the advice is to leave it: amount drifted", None),
        ({"action": "leave", "needs_person": True}, "the advice is to leave it", "alarm"),
        ({"action": None}, "drifted, and no advice says what to do: amount drifted", "alarm"),
        ({"verdict": "decayed", "action": None}, "no advice says what to do", "alarm"),
        ({"newer": "2026-03-02"}, "drifted, and old news: window 2026-03-02 has a verdict", None),
        ({"answered_by": "decay"}, "drifted; fraud_on_decay answers for the window", None),
        ({"on": ["decay"]}, "drifted, and retrain.on is decay: amount drifted", "alarm"),
    ],
)
def test_what_starts_no_retrain_and_who_hears_of_it(finding, words, tells):
    skip = answer(**finding)
    assert isinstance(skip, Skip)
    assert words in skip.reason
    assert skip.tells == tells


@pytest.mark.parametrize(
    ("drift", "performance", "on", "sensor"),
    [
        ("drifted", "insufficient_data", ("drift", "decay"), "drift"),
        ("stable", "insufficient_data", ("drift", "decay"), "drift"),
        ("drifted", "decayed", ("drift", "decay"), "decay"),
        ("drifted", "healthy", ("drift", "decay"), "decay"),
        ("stable", "decayed", ("drift", "decay"), "decay"),
        ("drifted", "decayed", ("drift",), "drift"),
        ("stable", "decayed", ("drift",), "decay"),
        ("drifted", "decayed", ("decay",), "decay"),
    ],
)
def test_one_sensor_answers_for_a_window(drift, performance, on, sensor):
    assert answering(drift, performance, on) == sensor


def test_unknown_verdict_is_an_error():
    with pytest.raises(ValueError, match="no report has the verdict 'fine'"):
        answer(verdict="fine")


def test_only_declared_triggers():
    assert "retrain.on is decay: amount drifted" in answer(on=["decay"]).reason
    assert isinstance(answer(verdict="decayed", on=["decay"]), Request)


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (retrained(report="r9"), "report r9 has already started"),
        (retrained(state="running"), "under way since 2026-02-27 12:00"),
        (retrained(trigger="schedule", state="running"), "under way"),
        (retrained(window="2026-02-23", state="rejected"), "was rejected: asks a person"),
        (retrained(window="2026-02-23", state="failed"), "was failed: asks a person"),
        (retrained(window="2026-02-23"), "the next one will tell"),
        (retrained(HOUR), "cooling down until 2026-03-03 11:00"),
        (retrained(HOUR, trigger="schedule"), "cooling down until 2026-03-03 11:00"),
        (retrained(trigger="manual", state="running"), "under way"),
        (retrained(-400 * DAY), "cooling down until 2026-03-03 12:00"),
    ],
)
def test_skip_tells_why(past, words):
    assert words in answer([past]).reason


def test_last_try_on_a_window_counts():
    tries = [
        retrained(4 * DAY, report="r1", window="2026-02-23", state="rejected"),
        retrained(3 * DAY, report="r2", window="2026-02-23", state="failed"),
    ]
    assert "was failed" in answer(tries).reason
    assert "was failed" in answer(tries[::-1]).reason


def test_cooldown_ends():
    assert isinstance(answer([retrained(DAY)]), Request)
    assert isinstance(answer([retrained(DAY - HOUR / 60)]), Skip)
    assert isinstance(answer([retrained(HOUR)], cooldown=timedelta(0)), Request)


def test_retrain_by_hand_neither_cools_down_nor_uses_the_budget():
    by_hand = [retrained(n * HOUR, "manual", None, None) for n in range(9)]
    assert isinstance(answer(by_hand), Request)


def test_weekly_budget_counts_what_reports_asked_for():
    asked = [retrained(d * DAY, report=f"r{d}") for d in (2, 4, 6)]
    assert "retrain.max_per_week is 3" in answer(asked).reason
    assert isinstance(answer([*asked[:2], retrained(8 * DAY)]), Request)
    assert isinstance(answer([*asked[:2], retrained(trigger="schedule")]), Request)


def test_rejected_on_an_older_window_may_try_again():
    assert isinstance(answer([retrained(state="rejected")]), Request)


def rejected(*days_ago, **more):
    return [
        retrained(ago * DAY, report=f"r-{ago}", window=f"w-{ago}", state="rejected", **more)
        for ago in days_ago
    ]


@pytest.mark.parametrize(("refused", "days"), [(0, 1), (1, 2), (2, 4), (3, 8)])
def test_each_refusal_in_a_row_doubles_the_wait(refused, days):
    past = rejected(*range(refused)) or [retrained(0 * DAY)]
    policy = {"give_up_after": 9, "max_per_week": 9}
    assert isinstance(answer(past, now=NOW + days * DAY, **policy), Request)
    early = answer(past, now=NOW + days * DAY - HOUR, **policy)
    assert f"cooling down until {NOW + days * DAY:%Y-%m-%d %H:%M}" in early.reason


def test_after_enough_refusals_a_person_is_asked_whatever_the_clock():
    past = rejected(9, 3)
    for later in (0, 10, 1000):
        skip = answer(past, now=NOW + later * DAY)
        assert "the gate refused 2 retrains in a row" in skip.reason
        assert skip.tells == "escalation"
    assert isinstance(answer(past, now=NOW + 10 * DAY, give_up_after=3), Request)


def test_a_clock_that_was_wrong_does_not_hide_a_refusal():
    """The run by hand says that it is of next year; Dagster recorded it before the refusals."""
    by_hand = PastRetrain(NOW + 365 * DAY, "manual", None, None, "succeeded", number=1)
    refused = [replace(p, number=n) for n, p in enumerate(rejected(9, 3), start=2)]
    assert refused_in_a_row([by_hand, *refused]) == 2


@pytest.mark.parametrize(
    ("since", "asks"),
    [
        (retrained(2 * DAY, "manual", None, None, "failed"), True),
        (retrained(2 * DAY, "manual", None, None, "running"), False),
        (retrained(2 * DAY, "schedule", None, None, "succeeded"), True),
        (retrained(2 * DAY, "schedule", None, None, "failed"), False),
        (retrained(2 * DAY, "drift", "r7", "w7", "failed"), False),
        (retrained(30 * DAY, "manual", None, None, "succeeded"), False),
    ],
)
def test_a_person_or_a_gate_that_passed_begins_anew(since, asks):
    assert isinstance(answer([*rejected(9, 3), since]), Request) is asks


def test_refusals_that_a_report_did_not_ask_for_do_not_count():
    assert refused_in_a_row(rejected(5, 4, 3, trigger="schedule")) == 0
    assert refused_in_a_row([*rejected(5, 4), retrained(3 * DAY, state="failed")]) == 2


def test_without_windows_a_retrain_by_hand_lets_reports_ask_again():
    crashed = retrained(5 * DAY, window="all", state="failed")
    assert "asks a person" in answer([crashed], window="all").reason
    by_hand = retrained(2 * DAY, "manual", None, None)
    assert isinstance(answer([crashed, by_hand], window="all"), Request)


def test_loop_can_not_run_away():
    """A new alarm every ten minutes for 60 days, whether the retrains succeed or crash."""
    rng = random.Random(0)
    past: list[PastRetrain] = []
    for tick in range(60 * 24 * 6):
        now = NOW + tick * HOUR / 6
        past = [
            PastRetrain(
                p.at, p.trigger, p.report_id, p.window,
                rng.choice(["succeeded", "failed"])
                if p.state == "running" and now - p.at > 3 * HOUR else p.state,
            )
            for p in past
        ]  # fmt: skip
        window = f"{now.date()}"
        found = answer(past, now=now, window=window, report=f"r{tick // 3}", give_up_after=99)
        if isinstance(found, Request):
            past.append(PastRetrain(now, "drift", f"r{tick // 3}", window, "running"))
    starts = [p.at for p in past]
    assert 20 <= len(starts) <= 27
    assert all(b - a >= DAY for a, b in itertools.pairwise(starts))
    assert all(sum(a <= b < a + 7 * DAY for b in starts) <= 3 for a in starts)
    assert len({p.report_id for p in past}) == len({p.window for p in past}) == len(past)


def test_a_gate_that_always_refuses_is_asked_as_often_as_declared():
    past: list[PastRetrain] = []
    escalated = 0
    for hour in range(24 * 60):
        now = NOW + hour * HOUR
        found = answer(past, now=now, window=f"{now.date()}", report=f"r{hour}", give_up_after=3)
        if isinstance(found, Request):
            past.append(PastRetrain(now, "drift", f"r{hour}", f"{now.date()}", "rejected"))
        escalated += isinstance(found, Skip) and found.tells == "escalation"
    waits = [b.at - a.at for a, b in itertools.pairwise(past)]
    assert waits == [2 * DAY, 4 * DAY]
    assert escalated > 0
