"""The retrain loop: every report is answered, and the loop can't run away."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from mlops_assets.lifecycle.retrain import PastRetrain, Request, Skip, decide
from mlops_assets.lifecycle.spec import RetrainPolicy

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def answer(past=(), verdict="drifted", now=NOW, window="2026-02-23", report="r9", **policy):
    spec = SimpleNamespace(name="fraud", retrain=RetrainPolicy(**policy))
    return decide(spec, now, window, report, verdict, "amount drifted", list(past))


def retrained(ago=3 * DAY, trigger="drift", report="r1", window="2026-02-16", state="succeeded"):
    return PastRetrain(NOW - ago, trigger, report, window, state)


@pytest.mark.parametrize(("verdict", "trigger"), [("drifted", "drift"), ("decayed", "decay")])
def test_alarm_starts_a_retrain(verdict, trigger):
    assert answer(verdict=verdict) == Request(f"fraud:{trigger}:r9", "2026-02-23", "amount drifted")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("broken", "fix the data: amount drifted"),
        ("stable", "nothing to do: stable"),
        ("healthy", "nothing to do: healthy"),
        ("insufficient_data", "not enough data to tell: amount drifted"),
    ],
)
def test_no_alarm_no_retrain(verdict, words):
    assert answer(verdict=verdict) == Skip(words)


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


def test_loop_can_not_run_away():
    """A new alarm every ten minutes for 60 days, whatever becomes of the retrains."""
    rng = random.Random(0)
    past: list[PastRetrain] = []
    for tick in range(60 * 24 * 6):
        now = NOW + tick * HOUR / 6
        past = [
            PastRetrain(
                p.at, p.trigger, p.report_id, p.window,
                rng.choice(["succeeded", "failed", "rejected"])
                if p.state == "running" and now - p.at > 3 * HOUR else p.state,
            )
            for p in past
        ]  # fmt: skip
        window = f"{now.date()}"
        found = answer(past, now=now, window=window, report=f"r{tick // 3}")
        if isinstance(found, Request):
            past.append(PastRetrain(now, "drift", f"r{tick // 3}", window, "running"))
    starts = [p.at for p in past]
    assert 20 <= len(starts) <= 27
    assert all(b - a >= DAY for a, b in itertools.pairwise(starts))
    assert all(sum(a <= b < a + 7 * DAY for b in starts) <= 3 for a in starts)
    assert len({p.report_id for p in past}) == len({p.window for p in past}) == len(past)
