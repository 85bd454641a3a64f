"""Models that were retired, as clients meet them: 410, whatever becomes of registry and server."""

import json
from dataclasses import replace

import pytest

from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.registry import RETIRED_TAG
from mlops_assets.lifecycle.replay import explain
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets.lifecycle.rollout.promotion import adopt
from mlops_assets.lifecycle.rollout.retirement import reinstate, retire
from mlops_assets_tests.serving.conftest import process, running, sample, serves, wait_for

WHY = "superseded in the spring"


@pytest.fixture
def two(own_bench):
    """Two models in service, the rollout journal in the same home."""
    own_bench.settings = replace(
        own_bench.settings, database_url=f"sqlite:///{own_bench.settings.home / 'mlops.db'}"
    )
    own_bench.registry.settings = own_bench.settings
    own_bench.journal = Journal(own_bench.settings.database_url)
    own_bench.old, own_bench.new = own_bench.line("old", 2.0), own_bench.line("new", 3.0)
    for version in (own_bench.old, own_bench.new):
        adopt(own_bench.registry, own_bench.journal, version, who="test", why="first")
    return own_bench


def retired(bench, **where):
    return retire(bench.registry, bench.journal, "old", who="bob", why=WHY, **where)


def ask(client, model="old"):
    return client.post(f"/predict/{model}", json={"x": 1.0})


def test_clients_are_told_why_since_when_and_where_to_go(two):
    with running(two.settings) as client:
        wait_for(serves(client, two.old))
        retired(two, successor="new")
        reply = wait_for(lambda: (r := ask(client)).status_code == 410 and r)
        said = reply.json()["error"]
        assert said.startswith("old is retired since 20")
        assert said.endswith(f"{WHY}; ask new instead")
        assert reply.headers["link"] == '</v2/models/new>; rel="successor-version"'
        assert ask(client, "new").status_code == 200
        index = client.post("/v2/repository/index").json()
        (entry,) = [e for e in index if e["name"] == "old"]
        assert (entry["state"], WHY in entry["reason"]) == ("UNAVAILABLE", True)
        assert [m["model"] for m in client.get("/v2/models").json()] == ["new"]

        database = two.database
        database.rename(database.with_suffix(".kept"))
        wait_for(lambda: client.get("/v2/models/new").json()["problem"])
        assert ask(client).status_code == 410, "the registry is away"
        database.with_suffix(".kept").rename(database)

        reinstate(two.registry, two.journal, "old", who="bob", why="needed")
        wait_for(lambda: ask(client).status_code == 200)


def test_a_server_that_starts_without_the_registry_knows_from_the_journal(two):
    retired(two, pointer="https://example.org/new")
    two.database.rename(two.database.with_suffix(".kept"))
    two.database.mkdir()  # or a new, empty registry would be made
    database = two.settings.database_url
    with process(two.settings, "/v2/health/live", MLOPS_DATABASE_URL=database) as (_, base):
        import httpx

        with httpx.Client(base_url=base) as client:
            reply = wait_for(lambda: (r := ask(client)).status_code == 410 and r)
            assert f"{WHY}; see https://example.org/new" in reply.json()["error"]
            assert ask(client, "new").status_code == 503, "nothing is known of the others"


def test_a_tag_that_cannot_be_read_retires_all_the_same(two):
    two.registry.tag_model("old", RETIRED_TAG, json.dumps({"since": "x"}))
    with running(two.settings) as client:
        wait_for(serves(client, two.new))
        reply = ask(client)
        assert reply.status_code == 410
        assert "the registry's tag can't be read" in reply.json()["error"]


def test_answers_of_one_request_are_scored_again_to_the_bit(two):
    version, _ = two.classifier("card")
    adopt(two.registry, two.journal, version, who="test", why="first")
    frame = sample(3, rows=60)
    with running(two.settings) as client:
        wait_for(serves(client, version))
        asked = frame.to_dict("records")
        given = client.post("/predict/card", json=asked).json()["predictions"]
    found = [
        explain(
            prediction["prediction_id"],
            registry=two.registry,
            journal=two.journal,
            log=PredictionLog(two.settings.prediction_log),
            stored=lambda model, asset: [],
        )
        for prediction in given[::6]
    ]
    assert all(each.same for each in found)
    assert {each.let_in.action for each in found} == {"adopt"}
    assert all("its record" in each.missing[0] for each in found), "it was trained elsewhere"
    assert len({each.prediction.answer["score"] for each in found}) > 5
