"""Two versions side by side by names: declared, served, logged, judged and concluded."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops_assets import cli
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.lifecycle.registry import CANARY, CHAMPION, PREVIOUS
from mlops_assets.lifecycle.rollout.periods import Period
from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
from mlops_assets.lifecycle.rollout.strategies import STRATEGIES, RolloutState
from mlops_assets.lifecycle.rollout.traffic import tally
from mlops_assets_tests.harness import checks, errors, visits, week, weekly
from mlops_assets_tests.test_rollout_in_dagster import ask, follows, serves, shown

SPLIT = {
    "strategy": "ab",
    "split": {"control": 50, "treatment": 50},
    "guardrails": {"error_rate": 2.0},
    "min_requests": 60,
    "min_duration": "0s",
    "negligible_error_rate": 0.1,
}
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def compared(lab):
    """v1 and v2 of a shop side by side, behind a running server."""
    lab.write(visits(4))
    lab.declare(weekly(deployment=SPLIT, gate__margin=0.2))
    assert lab.fill(0, 3).success
    with lab.server() as url:
        lab.url = url
        for window in (2, 3):
            done = lab.run("lifecycle", week(window))
            assert done.success, errors(done)
        assert checks(done)["deployment/endpoint"].passed
        yield lab


def test_a_split_is_served_by_names_and_concluded_by_a_person(compared, capsys):
    assert serves(compared) == {CHAMPION: 1, CANARY: 2}
    follows(compared, 0.5)
    units = range(200)
    first, again = ask(compared, units), ask(compared, units)
    assert first == again
    assert 60 < first < 140
    log = PredictionLog(compared.settings.prediction_log).read("shop").records
    named = {(r.variant, r.version) for r in log if r.variant in SPLIT["split"]}
    assert named == {("control", 1), ("treatment", 2)}
    state = compared.stored("deployment", week(3))
    assert (state.strategy, state.share, state.champion, state.version) == ("ab", 0.5, 1, 2)

    job = compared.definitions.resolve_job_def("shop_rollout")
    assert job.execute_in_process(instance=compared.instance).success
    assert serves(compared) == {CHAMPION: 1, CANARY: 2}, "no kpi says which is better"
    seen, _ = shown(compared)
    assert "no kpi is declared" in seen["reason"]

    assert cli.main(["conclude", "shop", "other", "--why", "x"]) == 1
    assert "compares control and treatment" in capsys.readouterr().err
    command = ["--defs", str(compared.folder), "conclude", "shop", "treatment"]
    assert cli.main([*command, "--why", "people like it"]) == 0
    assert serves(compared) == {CHAMPION: 2, PREVIOUS: 1}
    last = compared.journal.entries("shop")[-1]
    assert (last.action, last.why) == ("promote", "people like it")
    assert compared.decisions(2) == [("begin", "v2"), ("promote", "v2")]
    assert cli.main(["conclude", "shop", "treatment", "--why", "again"]) == 1


def traffic(gain, units=6000, seed=0):
    """Answers and their worth of two named variants; the second earns ``gain`` more."""
    random = np.random.default_rng(seed)
    records, values = [], {}
    for number in range(units):
        second = number % 2
        made = Record(
            prediction_id=new_prediction_id(),
            model="shop",
            version=1 + second,
            run_id="",
            unit=f"u{number}",
            at=START,
            logged_at=START + timedelta(seconds=number / 10),
            features={},
            key={},
            answer={"prediction": 1.0},
            latency_ms=1.0,
            variant=("control", "treatment")[second],
            status=200,
        )
        records.append(made)
        values[made.prediction_id] = random.normal(10 * (1 + gain * second), 3.0)
    return tally(
        records,
        [Period(START, None, 0.5)],
        canary=2,
        champion=1,
        values=values,
        names=("control", "treatment"),
    )


@pytest.mark.parametrize(
    ("gain", "kind", "share"), [(0.1, "advance", 1.0), (-0.1, "roll_back", 0.0), (0, "hold", 0.5)]
)
def test_the_kpi_concludes_where_its_confidence_sequence_leaves_zero_out(gain, kind, share):
    policy = DeploymentPolicy(**SPLIT | {"guardrails": {"kpi": 0.3}, "max_duration": "30d"})
    decided = STRATEGIES["ab"].decide(
        policy, RolloutState(0.5, START), traffic(gain), START + timedelta(hours=1)
    )
    assert (decided.kind, decided.share) == (kind, share), decided.reason
    (kpi,) = decided.evidence
    assert kpi.low_level == kpi.high_level == 1 - policy.alpha


def test_equal_versions_are_seldom_told_apart_however_often_they_are_looked_at():
    policy = DeploymentPolicy(**SPLIT | {"guardrails": {"kpi": 0.3}, "max_duration": "30d"})
    now = START + timedelta(hours=1)
    kinds = [
        STRATEGIES["ab"].decide(policy, RolloutState(0.5, START), traffic(0, 600, seed), now).kind
        for seed in range(40)
    ]
    # With an error of 1 % on each side, 4 of 40 come by chance once in a hundred times or less.
    assert kinds.count("hold") >= 37


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": None}, "two names"),
        ({"split": {"a": 50, "b": 40}}, "make 100"),
        ({"split": {"a": 100}}, "two names"),
        ({"split": {"champion": 50, "b": 50}}, "means something else"),
        ({"steps": [5, 25]}, "has no steps"),
        ({"strategy": "canary"}, "has no split"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        DeploymentPolicy(**SPLIT | changes)
