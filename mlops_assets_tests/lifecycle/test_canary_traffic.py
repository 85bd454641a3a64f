"""From prediction-log records to counts: who is compared with whom, and what counts once."""

from datetime import timedelta

import numpy as np
import pytest
from msgspec.structs import replace

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.rollout.blocks import MIN_REQUESTS
from mlops_assets.lifecycle.rollout.guardrails import GUARDRAILS, Budget
from mlops_assets.lifecycle.rollout.periods import Period
from mlops_assets.lifecycle.rollout.traffic import Traffic, tally
from mlops_assets_tests.lifecycle.canary_world import (
    CANARY,
    CHAMPION,
    START,
    Side,
    past,
    record,
    service,
)

BUDGET = Budget(alpha=0.005, beta=0.05, negligible=0.001)
FIRST = Period(START, None, 0.1)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def counted(records, periods=(FIRST,), **options) -> Traffic:
    return tally(records, list(periods), canary=CANARY, champion=CHAMPION, **options)


def judged(traffic, name="error_rate", tolerated=1.5):
    return GUARDRAILS[name].judge(traffic, tolerated, BUDGET)


def both(seconds, **canary):
    """A champion's and a canary's answer at each of some moments."""
    return [r for at in seconds for r in (record(at), record(at, "canary", **canary))]


# --- what is counted ------------------------------------------------------------------------


def test_answers_of_both_sides_in_the_rollout_are_counted_and_nothing_else():
    inside = both(range(30))
    outside = [
        record(-5, "canary"),
        record(3, "probe"),
        record(4, "canary", version=7),
        record(5, version=CANARY),
        record(4000, "canary"),
    ]
    traffic = counted(inside + outside, [Period(START, START + timedelta(hours=1), 0.1)])
    assert traffic.requests(START) == (30, 30)
    found = judged(traffic)
    assert (found.canary_seen, found.champion_seen) == (30, 30)


def test_what_a_version_could_not_answer_is_an_error():
    # What a client did wrong never reaches a version, and so is not in the log.
    statuses = [200, 299, 422, 500, 503]
    traffic = counted(both(range(20)) + [record(30, "canary", status=s, unit=s) for s in statuses])
    traffic.extend([record(31) for _ in range(MIN_REQUESTS)])
    assert judged(traffic).canary_events == 3


def test_a_unit_counts_once_in_a_window_up_to_its_first_error():
    # One unit fails from its third request on, for an hour and a half.
    stuck = [
        record(600 * i, "canary", unit="stuck", status=200 if i < 2 else 500) for i in range(10)
    ]
    calm = [record(at) for at in range(0, 6000, 60)]
    found = judged(counted(stuck + calm))
    assert (found.canary_events, found.canary_seen) == (2, 4)  # 3 in the first hour, 1 after
    often = judged(counted(stuck + calm, unit_window=timedelta(minutes=10)))
    assert (often.canary_events, often.canary_seen) == (8, 10)


def test_who_names_no_unit_counts_each_time():
    failing = [record(i, "canary", status=500) for i in range(12)]
    found = judged(counted(failing + [record(i) for i in range(12)]))
    assert found.canary_events == 12


def test_more_records_can_follow(rng):
    records = [*past(rng), *service(rng, 4000, 5000, share=0.3)]
    records = [replace(r, unit=f"u{int(rng.integers(200))}") for r in records]
    periods = [Period(START, START + timedelta(seconds=2000), 0.3)]
    later = Period(START + timedelta(seconds=2000), None, 0.3)
    at_once = counted(records, [*periods, later])
    growing = Traffic(periods, canary=CANARY, champion=CHAMPION)
    growing.extend(r for r in records if r.logged_at < later.start)
    growing.begin(later)
    for minute in range(33, 90):
        first, last = (START + timedelta(minutes=m) for m in (minute, minute + 1))
        first = max(first, later.start)
        growing.extend(r for r in records if first <= r.logged_at < last)
    for name in ("error_rate", "latency_p95", "prediction"):
        assert judged(growing, name) == judged(at_once, name)
    assert growing.requests(later.start) == at_once.requests(later.start)


@pytest.mark.parametrize(
    ("periods", "message"),
    [
        ([], "without a period"),
        ([Period(START.replace(tzinfo=None), None, 0.1)], "no time zone"),
        ([Period(START, START, 0.1)], "ends before it begins"),
        ([Period(START, None, 0.1), Period(START + timedelta(1), None, 0.2)], "overlap"),
        ([Period(START, None, 5)], "has the share 5"),
    ],
)
def test_periods_that_make_no_rollout_are_refused(periods, message):
    with pytest.raises(EvidenceError, match=message):
        counted([], periods)


# --- what it is measured with ---------------------------------------------------------------


def test_slow_is_slower_than_the_champion_was_at_its_p95_before(rng):
    before = past(rng)
    usual = [r.latency_ms for r in before if r.status < 500]
    records = service(rng, 2000, 3600, share=0.2)
    found = judged(counted(before + records), "latency_p95")
    limit = np.quantile(usual, 0.95)
    ours = [r.latency_ms for r in records if r.variant == "canary" and r.status < 500]
    assert found.canary_events == sum(latency > limit for latency in ours)
    assert found.canary_seen == len(ours)
    assert f"p95 of {limit:.3g} ms" in found.words


def test_without_a_past_the_champion_s_first_answers_stand_in_and_are_not_compared(rng):
    records = service(rng, 2000, 3600, share=0.2, champion=Side(errors=0), canary=Side(errors=0))
    found = judged(counted(records), "latency_p95")
    champion = [r for r in records if r.variant == "champion"]
    after = champion[199].logged_at
    assert found.champion_seen == len(champion) - 200
    assert found.canary_seen == sum(r.variant == "canary" and r.logged_at > after for r in records)
    few = judged(counted(records[:150]), "latency_p95")
    assert few.verdict == "not_enough"
    assert "fewer than 200 answers of the champion" in few.words


def test_shifted_scores_are_found_and_named(rng):
    records = past(rng) + service(rng, 6000, 3600, share=0.3, canary=Side(power=3))
    found = judged(counted(records), "prediction")
    assert found.verdict == "violated"
    edge = float(found.words.split("answers up to ")[1].split(":")[0])
    assert edge == pytest.approx(0.1, abs=0.03)
    same = judged(counted(past(rng) + service(rng, 6000, 3600, share=0.3)), "prediction", 2.0)
    assert same.verdict == "ok"


@pytest.mark.parametrize(
    ("third", "named"), [(["eggs", "tea"], "answers eggs"), ([], "answers without an item")]
)
def test_classes_and_items_are_compared_by_name(rng, third, named):
    lists = [["milk", "tea"], ["bread", "tea"], third]

    def answers(records, shares):
        picked = rng.choice(3, size=len(records), p=shares)
        return [
            replace(r, answer={"prediction": lists[n], "scores": [2.0, 1.0][: len(lists[n])]})
            for r, n in zip(records, picked, strict=True)
        ]

    calm = {"champion": Side(errors=0), "canary": Side(errors=0)}
    before = answers(service(rng, 1000, 3600, start=-3600.0, **calm), [0.6, 0.3, 0.1])
    during = service(rng, 3000, 3600, share=0.3, **calm)
    champion = answers([r for r in during if r.variant == "champion"], [0.6, 0.3, 0.1])
    canary = answers([r for r in during if r.variant == "canary"], [0.4, 0.3, 0.3])
    found = judged(counted(before + champion + canary), "prediction", 2.0)
    assert found.verdict == "violated"
    assert named in found.words


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("latency_p95", {"latency_ms": float("nan")}, "without a finite latency"),
        ("latency_p95", {"latency_ms": -1.0}, "without a finite latency"),
        ("prediction", {"answer": {}}, "without a finite prediction"),
        ("prediction", {"answer": {"prediction": float("nan")}}, "without a finite prediction"),
        ("prediction", {"answer": {"prediction": None}}, "without a finite prediction"),
    ],
)
def test_what_can_not_be_read_lets_nothing_pass(rng, name, change, words):
    records = past(rng) + service(rng, 8000, 3600, share=0.3)
    assert judged(counted(records), name, 2.0).verdict == "ok"
    broken = [*records, replace(record(100, "canary"), **change)]
    found = judged(counted(broken), name, 2.0)
    assert found.verdict == "not_enough"
    assert words in found.words


# --- the KPI --------------------------------------------------------------------------------


def worth(rng, records, lift):
    return {
        r.prediction_id: float(rng.normal(20 * (1 + lift * (r.variant == "canary")), 5))
        for r in records
    }


@pytest.mark.parametrize(("lift", "verdict"), [(-0.15, "violated"), (0.0, "ok"), (0.1, "ok")])
def test_a_canary_that_earns_less_is_seen(rng, lift, verdict):
    records = service(rng, 4000, 3600, share=0.25)
    found = judged(counted(records, values=worth(rng, records, lift)), "kpi", 0.05)
    assert found.verdict == verdict
    assert found.low <= found.estimate <= found.high
    assert found.estimate == pytest.approx(lift, abs=0.04)


def test_values_of_one_unit_are_one_value(rng):
    records = service(rng, 4000, 3600, share=0.25)
    ten = [replace(r, prediction_id=f"{r.prediction_id}/{i}") for r in records for i in range(10)]
    values = worth(rng, records, 0)
    once = judged(counted(records, values=values), "kpi", 0.05)
    copied = {r.prediction_id: values[r.prediction_id.rsplit("/", 1)[0]] for r in ten}
    again = judged(counted(ten, values=copied), "kpi", 0.05)
    assert (again.canary_seen, again.champion_seen) == (once.canary_seen, once.champion_seen)
    assert again.low == pytest.approx(once.low)


@pytest.mark.parametrize(
    "value", [lambda i: float("nan") if i == 7 else 20 + i % 3, lambda i: 0.0, lambda i: 20.0]
)
def test_values_that_say_nothing_let_nothing_pass(rng, value):
    records = service(rng, 2000, 3600, share=0.25)
    values = {r.prediction_id: value(i) for i, r in enumerate(records)}
    assert judged(counted(records, values=values), "kpi", 0.05).verdict == "not_enough"


def test_without_values_there_is_no_kpi(rng):
    found = judged(counted(service(rng, 2000, 3600, share=0.25)), "kpi", 0.05)
    assert found.verdict == "not_enough"
    assert "50 units with a known value" in found.words


# --- sticky units ---------------------------------------------------------------------------


def test_bursts_of_errors_of_single_units_raise_no_false_alarm(rng):
    """Equal versions; now and then a unit, wherever it is, has an hour that goes wrong."""

    def rollout():
        in_canary = rng.random(200) < 0.1
        since = np.full(200, np.inf)
        since[rng.choice(200, 10, replace=False)] = rng.uniform(0, 600, 10)
        asking = rng.integers(200, size=4000)
        return [
            record(
                float(at),
                "canary" if in_canary[u] else "champion",
                unit=f"u{u}",
                status=500 if at > since[u] else 200,
            )
            for at, u in zip(rng.uniform(0, 3600, 4000), asking, strict=True)
        ]

    by_unit = by_request = 0
    for _ in range(40):
        records = rollout()
        by_unit += judged(counted(records)).verdict == "violated"
        nameless = [replace(r, unit=None, prediction_id=str(i)) for i, r in enumerate(records)]
        by_request += judged(counted(nameless)).verdict == "violated"
    assert by_unit <= 1
    assert by_request >= 4


@pytest.mark.parametrize("named", [True, False])
def test_a_request_of_many_rows_is_judged_as_one_answer(rng, named):
    """Its rows failed together and took one time; the unit of the first drew the side of all."""
    alone = past(rng, 300) + service(rng, 800, 3600, share=0.3, canary=Side(errors=0.2))
    alone = [r if named else replace(r, unit=None) for r in alone]
    values = {r.prediction_id: float(rng.normal(20, 5)) for r in alone}
    many = [
        replace(r, prediction_id=f"{r.prediction_id}-{row}", unit=f"other {row}" if row else r.unit)
        for r in alone
        for row in rng.permutation(12)
    ]
    each = {r.prediction_id: values[r.prediction_id.partition("-")[0]] for r in many}
    of_one, of_many = counted(alone, values=values), counted(many, values=each)
    assert of_many.requests(START) == of_one.requests(START)
    for guardrail in ("error_rate", "latency_p95", "prediction"):
        assert judged(of_many, guardrail) == judged(of_one, guardrail)
    kpi, of_each = judged(of_one, "kpi"), judged(of_many, "kpi")
    assert (of_each.canary_seen, of_each.champion_seen) == (kpi.canary_seen, kpi.champion_seen)
    assert of_each.high == pytest.approx(kpi.high)


@pytest.mark.parametrize("guardrail", ["error_rate", "latency_p95"])
def test_units_that_are_bad_all_the_time_are_left_out_on_both_sides(rng, guardrail):
    """Equal versions; two of four units that always fail, or are slow, fell to the canary."""
    bad = np.arange(100) < 4
    in_canary = np.isin(np.arange(100), [0, 1, *range(20, 28)])

    def traffic(start, hours):
        asking = rng.integers(100, size=1000 * hours)
        moments = start + rng.uniform(0, 3600 * hours, len(asking))
        return [
            record(
                float(at),
                "canary" if in_canary[u] and start >= 0 else "champion",
                unit=f"u{u}",
                status=500 if guardrail == "error_rate" and bad[u] else 200,
                latency_ms=float(rng.lognormal()) * (50 if bad[u] else 1),
            )
            for at, u in zip(moments, asking, strict=True)
        ]

    before, during = traffic(-7200, 2), traffic(0, 6)
    window = timedelta(minutes=10)
    found = judged(counted(before + during, unit_window=window), guardrail)
    assert found.verdict != "violated"
    assert found.estimate is None or found.estimate < 1.5
    strangers = [replace(r, unit=f"new {r.unit}") for r in before]
    naive = judged(counted(strangers + during, unit_window=window), guardrail)
    assert naive.verdict == "violated"


def test_the_trajectory_is_short_enough_for_a_plot_and_ends_where_the_evidence_does(rng):
    records = past(rng) + service(rng, 30_000, 20_000, share=0.3)
    found = judged(counted(records))
    assert len(found.trajectory) == 200
    assert found.trajectory[-1].estimate == found.estimate
    assert found.trajectory[-1].e_value == found.e_value
    moments = [point.at for point in found.trajectory]
    assert moments == sorted(set(moments))
