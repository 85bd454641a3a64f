"""A canary in Dagster: let in by the gate, moved on by evidence, taken back by evidence."""

import time
from datetime import UTC, datetime

import dagster as dg
import httpx
import pytest

from mlops_assets.assets.keys import DEPLOYMENT
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record, new_prediction_id
from mlops_assets.lifecycle.registry import CANARY, CHALLENGER, CHAMPION, PREVIOUS, SHADOW
from mlops_assets_tests.harness import checks, errors, visits, week, weekly

POLICY = {
    "strategy": "canary",
    "steps": [25, 50],
    "guardrails": {"error_rate": 2.0},
    "min_requests": 60,
    "min_duration": "0s",
    "negligible_error_rate": 0.1,
}


def declare(lab, **changes):
    """A weekly model whose challengers come by canary."""
    return lab.declare(weekly(deployment=POLICY | changes, gate__margin=0.2))


@pytest.fixture
def shop(lab):
    """v1 is champion; the data of v2's window are there. A running server."""
    lab.write(visits(4))
    declare(lab)
    assert lab.fill(0, 3).success
    with lab.server() as url:
        first = lab.run("lifecycle", week(2))
        assert first.success, errors(first)
        assert serves(lab) == {CHAMPION: 1}, "a first model has nobody to be compared with"
        lab.url = url
        yield lab


@pytest.fixture
def canary(shop):
    """v2 is on its way."""
    second = shop.run("lifecycle", week(3))
    assert second.success, errors(second)
    assert checks(second)["deployment/endpoint"].passed
    return shop


def serves(lab):
    """The aliases of what serves: the challenger's stays with it on its way."""
    return {alias: n for alias, n in lab.aliases().items() if alias != CHALLENGER}


def tick(lab, cursor=None):
    """One evaluation of the rollout's sensor, as the daemon makes it."""
    definitions = lab.definitions
    sensor = definitions.resolve_sensor_def("shop_on_rollout")
    with dg.build_sensor_context(
        instance=lab.instance, definitions=definitions, cursor=cursor, resources=resources()
    ) as context:
        return sensor.evaluate_tick(context)


def run_job(lab, kind):
    job = lab.definitions.resolve_job_def(f"shop_{kind}")
    result = job.execute_in_process(instance=lab.instance, raise_on_error=False)
    assert result.success, errors(result)
    return result


def shown(lab):
    """The metadata of the newest materialization of ``deployment``, and its window."""
    asset = dg.AssetKey(["shop", DEPLOYMENT])
    (record,) = lab.instance.fetch_materializations(asset, limit=1).records
    return {k: v.value for k, v in record.asset_materialization.metadata.items()}, (
        record.partition_key
    )


def ask(lab, units):
    """One request a unit; how many the canary answered."""
    answered = []
    with httpx.Client(base_url=lab.url) as client:
        for unit in units:
            asked = {"interest": 0.5, "minutes": 3.0, "customer": f"c{unit}", "visit": f"x{unit}"}
            reply = client.post("/predict/shop", json=asked)
            assert reply.status_code == 200, reply.text
            answered.append(reply.json()["version"])
    return answered.count(2)


def follows(lab, share):
    """Wait until the server has the share: half of a unit more or less does not matter."""
    for _ in range(100):
        if abs(ask(lab, range(120)) / 120 - share) < 0.12:
            return
        time.sleep(0.05)
    raise TimeoutError(share)


def answered_with_errors(lab, version, variant, count, share):
    """What a server logs when a version answers some requests with an error."""
    log = PredictionLog(lab.settings.prediction_log)
    now = datetime.now(UTC)
    bad = round(count * share)
    log.append(
        [
            Record(
                prediction_id=new_prediction_id(),
                model="shop",
                version=version,
                run_id="",
                unit=f"{variant}-{number}",
                at=now,
                logged_at=now,
                features={},
                key={},
                answer={} if number < bad else {"prediction": 0, "score": 0.1},
                latency_ms=1.0,
                variant=variant,
                status=500 if number < bad else 200,
            )
            for number in range(count)
        ]
    )
    log.close()


def test_a_canary_goes_up_on_evidence_and_becomes_champion(canary):
    assert serves(canary) == {CHAMPION: 1, CANARY: 2}
    state = canary.stored("deployment", week(3))
    assert (state.version, state.champion, state.share) == (2, 1, 0.25)
    early = tick(canary)
    assert early.run_requests == []
    assert "v2 holds: " in early.skip_message
    assert "of 60 canary answers in this step" in early.skip_message

    cursor = None
    for before, after in ((0.25, 0.5), (0.5, 1.0)):
        follows(canary, before)
        ask(canary, range(300))
        data = tick(canary, cursor)
        (request,) = data.run_requests
        assert request.run_key.startswith(f"shop:rollout:v2 at {before}: advance:")
        assert serves(canary) == {CHAMPION: 1, CANARY: 2}, "the run moves it, not the sensor"
        cursor = data.cursor
        run_job(canary, "rollout")
        metadata, window = shown(canary)
        assert window == week(3)
        assert (metadata["decision"], metadata["share"]) == ("advance", after)
        assert "error_rate" in metadata["guardrails"]
        assert metadata["evidence over time"].startswith("![guardrails over time](data:image/png")
    assert serves(canary) == {CHAMPION: 2, PREVIOUS: 1}
    assert canary.stored("deployment", week(3)).share == 1.0
    follows(canary, 1.0)
    assert tick(canary, cursor).skip_message == "no version is on its way"
    done = canary.journal.entries("shop")[-1]
    assert done.evidence["rollout"]["error_rate"]["verdict"] == "ok"
    canary.journal.verify()
    steps = [("begin", "v2"), ("advance", "v2"), ("promote", "v2")]
    assert canary.decisions(2) == steps
    assert canary.decisions(1) == [("promote", "v1"), *steps]


def test_a_canary_that_answers_errors_is_taken_back_by_the_sensor_at_once(canary, capsys):
    answered_with_errors(canary, 1, "champion", 1500, 0.01)
    answered_with_errors(canary, 2, "canary", 500, 0.2)
    data = tick(canary)
    assert serves(canary) == {CHAMPION: 1}, "before any run"
    (request,) = data.run_requests
    assert "roll_back" in request.run_key
    assert "ALERT shop rollout: v2 at 0.25: roll_back" in capsys.readouterr().err
    assert tick(canary, data.cursor).skip_message == "no version is on its way"
    run_job(canary, "rollout")
    metadata, window = shown(canary)
    assert window == week(3)
    assert (metadata["decision"], metadata["share"]) == ("roll_back", 0.0)
    assert "violated" in metadata["guardrails"]
    assert "evidence over time" in metadata
    entry = canary.journal.entries("shop")[-1]
    assert (entry.action, entry.who) == ("abort", "sensor shop_on_rollout")
    assert entry.evidence["rollout"]["error_rate"]["verdict"] == "violated"
    assert canary.decisions(2) == [("begin", "v2"), ("abort", "v2")]

    again = canary.run("lifecycle", week(3), only=["deployment"])
    assert not again.success
    assert "shop v2 was rolled back" in errors(again)
    assert serves(canary) == {CHAMPION: 1}


def test_a_log_that_cannot_be_read_advances_nothing(canary):
    ask(canary, range(400))
    folder = canary.settings.prediction_log / "shop"
    file = max(folder.glob("*.log"), key=lambda f: f.stat().st_size)
    file.write_bytes(file.read_bytes().replace(b'"shop"', b'"sh0p"', 1))
    data = tick(canary)
    assert data.run_requests == []
    assert "the prediction log could not be read" in data.skip_message
    assert serves(canary) == {CHAMPION: 1, CANARY: 2}


def test_the_rollback_job_takes_the_canary_back_and_then_the_champion(canary):
    run_job(canary, "rollback")
    assert serves(canary) == {CHAMPION: 1}
    metadata, window = shown(canary)
    assert (metadata["share"], metadata["version"], metadata["champion"]) == (0.0, 2, 1)
    assert window == week(3)
    job = canary.definitions.resolve_job_def("shop_rollback")
    nothing = job.execute_in_process(instance=canary.instance, raise_on_error=False)
    assert not nothing.success
    assert "no version before the champion was ever in production" in errors(nothing)


def test_the_rollback_job_brings_the_former_champion_back(shop):
    shop.declare(weekly(gate__margin=0.2))
    assert shop.run("lifecycle", week(3)).success
    assert serves(shop) == {CHAMPION: 2, PREVIOUS: 1}
    run_job(shop, "rollback")
    assert serves(shop) == {CHAMPION: 1}
    metadata, window = shown(shop)
    assert (metadata["version"], metadata["share"], window) == (1, 1.0, week(2))
    assert shop.decisions(2) == [("promote", "v2"), ("rollback", "v1")]
    assert shop.decisions(1) == [("promote", "v1"), ("promote", "v2"), ("rollback", "v1")]


def test_a_shadow_answers_nobody(shop):
    shop.declare(
        weekly(
            gate__margin=0.2,
            deployment={"strategy": "shadow", "guardrails": {"error_rate": 2.0}},
        )
    )
    second = shop.run("lifecycle", week(3))
    assert second.success, errors(second)
    assert serves(shop) == {CHAMPION: 1, SHADOW: 2}
    assert checks(second)["deployment/endpoint"].passed
    assert ask(shop, range(100)) == 0
    assert "v2 holds" in tick(shop).skip_message
