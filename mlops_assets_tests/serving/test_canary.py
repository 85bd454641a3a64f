"""A server with a canary and a shadow: who is answered by which version."""

import contextlib
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.registry import CANARY, CHAMPION, SHADOW, SHARE_TAG
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets_tests.harness import of_x
from mlops_assets_tests.serving import slow
from mlops_assets_tests.serving.conftest import running, serves, wait_for

UNITS = [f"card-{number}" for number in range(400)]


def expose(bench, version, share):
    bench.registry.set_tag(version.model, version.number, SHARE_TAG, f"{share:g}")
    bench.registry.set_alias(version.model, CANARY, version.number)


def answered_by(client, model, units=UNITS):
    """The version that answers each unit, asked one by one."""
    found = {}
    for unit in units:
        asked = {"amount": 1.0, "count": 1, "card_id": unit}
        reply = client.post(f"/predict/{model}", json=asked)
        assert reply.status_code == 200, reply.text
        found[unit] = reply.json()["version"]
    return found


def of_canary(found):
    return {unit for unit, version in found.items() if version == 2}


@pytest.fixture
def shop(own_bench):
    """v1 is champion, v2 is there; a client."""
    first, _ = own_bench.classifier("shop", 0)
    second, _ = own_bench.classifier("shop", 10)
    own_bench.promote(first)
    with running(own_bench.settings) as client:
        yield own_bench, client, first, second


def settled(client, model, share, units=UNITS[:200]):
    """Wait until the canary's share of these units is about what it shall be."""

    def condition():
        return abs(len(of_canary(answered_by(client, model, units))) / len(units) - share) < 0.12

    wait_for(condition)


def test_units_stick_to_their_version_and_a_larger_share_keeps_them(shop):
    bench, client, _, second = shop
    assert set(answered_by(client, "shop", UNITS[:20]).values()) == {1}
    expose(bench, second, 0.25)
    settled(client, "shop", 0.25)
    small = answered_by(client, "shop")
    assert answered_by(client, "shop") == small
    expose(bench, second, 0.5)
    settled(client, "shop", 0.5)
    large = answered_by(client, "shop")
    assert of_canary(small) < of_canary(large)
    # A binomial count of 400 is within 60 of its mean but once in a hundred million times.
    assert abs(len(of_canary(small)) - 100) < 50
    assert abs(len(of_canary(large)) - 200) < 60

    bench.registry.drop_alias("shop", CANARY)
    wait_for(lambda: not of_canary(answered_by(client, "shop", UNITS[:60])))
    records = PredictionLog(bench.settings.prediction_log).read("shop").records
    assert {(r.variant, r.version) for r in records} == {("champion", 1), ("canary", 2)}


def test_who_names_no_unit_goes_by_chance(shop):
    bench, client, _, second = shop
    expose(bench, second, 0.5)
    settled(client, "shop", 0.5)
    asked = {"amount": 1.0, "count": 1}
    versions = [client.post("/predict/shop", json=asked).json()["version"] for _ in range(100)]
    assert 20 < versions.count(2) < 80


def test_a_canary_that_cannot_be_loaded_gets_nobody_and_the_journal_says_so(shop):
    bench, client, first, second = shop
    (bench.settings.home / "work" / second.run_id).exists()
    files = second.source.removeprefix("file://")
    with open(f"{files}/serving.json", "a") as file:
        file.write(" ")
    expose(bench, second, 0.5)
    problem = wait_for(lambda: client.get("/v2/models/shop").json()["problem"])
    assert problem.startswith("version 2 can't be served")
    assert set(answered_by(client, "shop", UNITS[:50]).values()) == {1}
    told = Journal(bench.settings.database_url).entries("shop")
    assert [(e.action, e.version, e.champion_before) for e in told[-1:]] == [("load_failed", 2, 1)]
    assert told[-1].at > datetime.fromtimestamp(first.created_at, UTC).isoformat()
    assert Journal(bench.settings.database_url).unfinished("shop") is None


def test_a_rollback_needs_no_loading_the_former_champion_is_still_there(shop):
    bench, client, first, second = shop
    bench.registry.set_alias("shop", "previous", first.number)
    bench.registry.set_alias("shop", CHAMPION, second.number)
    wait_for(lambda: answered_by(client, "shop", UNITS[:1]) == {UNITS[0]: 2})
    loaded = client.get("/v2/models/shop").json()["loaded_at"]
    time.sleep(0.3)
    bench.registry.set_alias("shop", CHAMPION, first.number)
    wait_for(lambda: answered_by(client, "shop", UNITS[:1]) == {UNITS[0]: 1})
    assert client.get("/v2/models/shop").json()["loaded_at"] < loaded


def gated(bench, model):
    """A version that can't be loaded before the gate is opened."""
    slow.BEGUN.clear()
    slow.GATE.clear()
    return made_of(bench, slow.Gated(), model)


def made_of(bench, estimator, model):
    """A version of an estimator of column x."""
    trusted = (*bench.settings.trusted_types, f"{slow.__name__}.{type(estimator).__name__}")
    bench.settings = bench.registry.settings = replace(bench.settings, trusted_types=trusted)
    return bench.register(estimator, of_x(model), pd.DataFrame({"x": [1.0]}))


@pytest.mark.parametrize("role", [CHAMPION, CANARY])
@pytest.mark.parametrize("model", ["line", "other"])
def test_a_version_that_takes_long_to_load_keeps_no_rollback_waiting(own_bench, model, role):
    """Neither that of another model, nor that of its own."""
    first, second = own_bench.line("line", 1.0), own_bench.line("line", 2.0)
    own_bench.promote(own_bench.line("other", 3.0))
    own_bench.registry.set_alias("line", "previous", first.number)
    own_bench.promote(first)
    late = gated(own_bench, model)

    try:
        with running(own_bench.settings) as client:
            own_bench.promote(second)
            wait_for(serves(client, second))
            own_bench.registry.set_alias(model, role, late.number)
            assert slow.BEGUN.wait(60)
            own_bench.promote(first)
            wait_for(serves(client, first))
            slow.GATE.set()
            if model == "other" and role == CHAMPION:
                wait_for(serves(client, late))
    finally:
        slow.GATE.set()


@contextlib.contextmanager
def silent_store():
    """A store that takes requests and answers none; gives its URL, and what the first one sets."""
    asked, over = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            over.wait(60)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{store.server_port}/api/2.0/mlflow-artifacts/artifacts", asked
        finally:
            over.set()
            store.shutdown()


def test_a_store_that_does_not_answer_keeps_no_rollback_waiting(own_bench):
    first, second = own_bench.line("line", 1.0), own_bench.line("line", 2.0)
    own_bench.registry.set_alias("line", "previous", first.number)
    own_bench.promote(first)
    with silent_store() as (url, asked):
        settings = replace(own_bench.settings, artifact_url=url)
        tags = {"digest": first.digest}
        elsewhere = own_bench.registry.create("far", f"{url}/1", first.run_id, None, tags)
        with running(settings) as client:
            own_bench.promote(second)
            wait_for(serves(client, second))
            own_bench.promote(elsewhere)
            assert asked.wait(60)
            own_bench.promote(first)
            wait_for(serves(client, first))


def shadowed(bench, model):
    """The shadow's records."""
    records = PredictionLog(bench.settings.prediction_log).read(model).records
    return [r for r in records if r.variant == "shadow"]


def test_a_shadow_sees_everything_and_answers_nobody(shop):
    bench, client, _, second = shop
    estimator = bench.registry.files.load(second, bench.settings.home / "judge")
    bench.registry.set_alias("shop", SHADOW, second.number)
    wait_for(lambda: answered_by(client, "shop", UNITS[:1]) and shadowed(bench, "shop"))
    before = len(shadowed(bench, "shop"))
    assert set(answered_by(client, "shop").values()) == {1}
    seen = wait_for(lambda: len(found := shadowed(bench, "shop")) == before + 400 and found)
    assert {r.version for r in seen} == {2}
    assert {r.unit for r in seen} == set(UNITS)
    asked = pd.DataFrame({"amount": [1.0], "count": [1]})
    assert {r.answer["score"] for r in seen} == set(estimator.predict_proba(asked)[:, 1])
    # A version that is asked by its number, and a probe, are no traffic.
    client.post("/predict/shop/versions/1", json={"amount": 1.0, "count": 1})
    client.post("/predict/shop", json={"amount": 1.0, "count": 1}, headers={"x-mlops-probe": "1"})
    answered_by(client, "shop", UNITS[:5])
    wait_for(lambda: len(shadowed(bench, "shop")) > before + 404)
    assert len(shadowed(bench, "shop")) == before + 405
    records = PredictionLog(bench.settings.prediction_log).read("shop").records
    (pinned,) = [r for r in records if r.variant == "pinned"]
    assert pinned.version == 1


def test_a_shadow_that_answers_nonsense_has_failed_and_is_asked_again(own_bench):
    """No answer would be a line that nobody can read, an object one that nobody can write."""
    own_bench.promote(own_bench.line("short", 2.0))
    short = made_of(own_bench, slow.Short(), "short")
    own_bench.registry.set_alias("short", SHADOW, short.number)
    with running(own_bench.settings) as client:
        wait_for(lambda: client.get("/v2/models/short/versions/2").status_code == 200)
        for x in ([1000.0, 1.0], [-1000.0], [2.0]):
            reply = client.post("/predict/short", json=[{"x": value} for value in x])
            assert reply.status_code == 200, reply.text
        seen = wait_for(lambda: len(found := shadowed(own_bench, "short")) == 4 and found)
    assert sorted((r.features["x"], r.status, r.answer.get("prediction")) for r in seen) == [
        (-1000.0, 500, None), (1.0, 500, None), (2.0, 200, 0.0), (1000.0, 500, None)
    ]  # fmt: skip


def test_a_version_that_fails_is_logged_as_failed_under_its_own_name(own_bench):
    first, second = own_bench.line("steep", 2.0), own_bench.line("steep", 1e300)
    own_bench.promote(first)
    with running(own_bench.settings) as client:
        own_bench.registry.set_tag("steep", second.number, SHARE_TAG, "1")
        own_bench.registry.set_alias("steep", CANARY, second.number)
        reply = wait_for(
            lambda: (r := client.post("/predict/steep", json={"x": 1e10})).status_code != 200 and r
        )
        assert (reply.status_code, "no finite answer" in reply.text) == (422, True)
    records = PredictionLog(own_bench.settings.prediction_log).read("steep").records
    failed = [r for r in records if r.failed]
    assert {(r.variant, r.version, r.status, str(r.answer)) for r in failed} == {
        ("canary", 2, 422, "{}")
    }
    assert all(r.version == 1 for r in records if not r.failed)
