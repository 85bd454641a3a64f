"""The REST server against a real registry: answers, swaps, refusals, crashes."""

import contextlib
import shutil
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.tasks import TASKS
from mlops_assets.serving.payload import MAX_BYTES, MAX_ROWS
from mlops_assets.serving.server import serve
from mlops_assets_tests.serving.conftest import process, running, sample, serves, wait_for
from mlops_assets_tests.serving.recommender import Alphabet

LINE_A, LINE_B = 2.0, -3.0
GOOD = {"amount": 10.5, "count": 3}


@pytest.fixture(scope="session")
def card(bench, client):
    """A served classifier: its version and estimator."""
    version, estimator = bench.classifier("card")
    bench.promote(version)
    wait_for(serves(client, version))
    return version, estimator


def test_answers_are_the_estimators_own(client, card):
    version, estimator = card
    frame = sample(7)
    reply = client.post("/predict/card", json=frame.to_dict("records"))
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert (body["model"], body["version"]) == ("card", version.number)
    assert [p["score"] for p in body["predictions"]] == estimator.predict_proba(frame)[
        :, 1
    ].tolist()
    assert len({p["prediction_id"] for p in body["predictions"]}) == len(frame)


def test_one_record_and_a_list_of_one_are_the_same(client, card):
    one = client.post("/predict/card", json=GOOD).json()["predictions"]
    listed = client.post("/predict/card", json=[GOOD]).json()["predictions"]
    assert len(one) == len(listed) == 1
    assert one[0]["score"] == listed[0]["score"]


def test_log_holds_what_was_asked_and_answered(client, card, bench):
    asked = GOOD | {"card_id": 4711, "transaction_id": "t-1", "at": "2026-02-03T04:05:06+02:00"}
    given = client.post("/predict/card", json=asked).json()["predictions"][0]
    records = PredictionLog(bench.settings.prediction_log).read("card").records
    (record,) = [r for r in records if r.prediction_id == given["prediction_id"]]
    assert record.answer == {"prediction": given["prediction"], "score": given["score"]}
    assert record.features == GOOD
    assert record.key == {"transaction_id": "t-1"}
    assert record.unit == "4711"
    assert record.at == datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)
    assert (record.version, record.run_id) == (card[0].number, card[0].run_id)
    assert record.latency_ms > 0
    assert record.logged_at > record.at


def test_naive_time_is_utc_and_no_time_is_now(client, card, bench):
    before = datetime.now(UTC)
    reply = client.post("/predict/card", json=[GOOD | {"at": "2026-02-03T04:05:06"}, GOOD])
    ids = [p["prediction_id"] for p in reply.json()["predictions"]]
    records = PredictionLog(bench.settings.prediction_log).read("card").records
    at = {r.prediction_id: r.at for r in records}
    assert at[ids[0]] == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert before <= at[ids[1]] <= datetime.now(UTC)


def test_metadata(client, card, bench):
    version, _ = card
    body = client.get("/v2/models/card").json()
    assert datetime.fromisoformat(body.pop("loaded_at")).tzinfo is not None
    assert body == {
        "name": "card",
        "versions": ["1"],
        "platform": "mlops_assets",
        "inputs": [
            {"name": "amount", "datatype": "FP64", "shape": [-1], "dtype": "float64"},
            {"name": "count", "datatype": "INT64", "shape": [-1], "dtype": "int64"},
        ],
        "outputs": [
            {"name": "predict", "datatype": "INT64", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
            {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
        ],
        "task": "binary_classification",
        "version": 1,
        "run_id": version.run_id,
        "digest": version.digest,
        "problem": None,
    }
    (listed,) = [m for m in client.get("/v2/models").json() if m["model"] == "card"]
    assert (listed["version"], listed["task"]) == (1, "binary_classification")
    assert client.get("/v2/models/card/ready").json() == {"name": "card", "ready": True}


def test_health(client):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nobody", 404),
        ("GET", "/v2/models/nobody/ready", 404),
        ("POST", "/predict/nobody", 404),
        ("GET", "/no/such/address", 404),
        ("GET", "/predict/card", 405),
    ],
)
def test_unknown_addresses_are_json_errors(client, card, method, path, status):
    reply = client.request(method, path)
    assert reply.status_code == status
    assert list(reply.json()) == ["error"]


def _row(**changes):
    return {k: v for k, v in (GOOD | changes).items() if v is not ...}


@pytest.mark.parametrize(
    ("rows", "status", "said"),
    [
        ([_row(), _row(amount=...)], 422, ["row 1", "'amount'", "missing"]),
        ([_row(colour="red")], 422, ["row 0", "'colour'", "unknown", "amount"]),
        ([_row(), _row(), _row(amount="12")], 422, ["row 2", "'amount'", "number", "string"]),
        ([_row(amount=True)], 422, ["row 0", "'amount'", "number", "boolean"]),
        ([_row(amount=[1])], 422, ["row 0", "'amount'", "a list"]),
        ([_row(amount=10**400)], 422, ["row 0", "'amount'", "too large"]),
        ([_row(count=1.5)], 422, ["row 0", "'count'", "whole number", "fraction"]),
        ([_row(count=None)], 422, ["row 0", "'count'", "whole number", "null"]),
        ([_row(count=False)], 422, ["row 0", "'count'", "whole number", "boolean"]),
        ([_row(count=2**63)], 422, ["row 0", "'count'", "not between"]),
        ([_row(at="yesterday")], 422, ["row 0", "'at'", "ISO 8601"]),
        ([_row(at="0001-01-01T00:00:00+05:00")], 422, ["row 0", "'at'", "ISO 8601"]),
        ([_row(at=5)], 422, ["row 0", "'at'", "ISO 8601", "a number"]),
        ([_row(card_id=None)], 422, ["row 0", "'card_id'", "null"]),
        ([_row(card_id=1.5)], 422, ["row 0", "'card_id'", "whole number"]),
        ([_row(card_id=2**80)], 422, ["row 0", "'card_id'", "64 bits"]),
        ([_row(transaction_id={})], 422, ["row 0", "'transaction_id'", "an object"]),
        ([_row(), 7], 422, ["row 1", "expected an object", "a number"]),
        ([], 422, ["empty"]),
        ("text", 422, ["row 0", "expected an object", "a string"]),
        ([{}] * (MAX_ROWS + 1), 413, [str(MAX_ROWS)]),
    ],
)
def test_wrong_records_are_refused_with_what_and_where(client, card, rows, status, said):
    reply = client.post("/predict/card", json=rows)
    assert reply.status_code == status, reply.text
    assert list(reply.json()) == ["error"]
    for word in said:
        assert word in reply.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b'[{"amount": 1', 400, "not JSON"),
        (b"\xff\xfe\xfd", 400, "not JSON"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'[{"amount": ' + b"[" * 100_000, 400, "nested too deeply"),
        (b'[{"amount": NaN, "count": 1}]', 422, "row 0, field 'amount': expected a finite"),
        (b'[{"amount": -Infinity, "count": 1}]', 422, "row 0, field 'amount': expected a finite"),
        (b'[{"amount": 1e400, "count": 1}]', 422, "row 0, field 'amount': expected a finite"),
        (b'[{"amount": 1, "count": NaN}]', 422, "row 0, field 'count': expected a whole"),
        (b'[{"amount": 1, "count": 1e400}]', 422, "row 0, field 'count': expected a whole"),
        (b'[{"amount": 1, "count": ' + b"9" * 5000 + b"}]", 400, "not JSON"),
        (b'[{"amount": 1, "count": 1, "card_id": "\\ud800"}]', 422, "valid Unicode"),
        (b'[{"amount": 1, "count": 1, "\\ud800": 1}]', 422, "unknown"),
        (b'[{"amount": 1, "count": 1, "' + b"x" * 5000 + b'": 1}]', 422, "xxx...'"),
        (b" " * (MAX_BYTES + 1), 413, str(MAX_BYTES)),
    ],
)
def test_wrong_bodies_are_refused(client, card, body, status, said):
    reply = client.post("/predict/card", content=body)
    assert reply.status_code == status, reply.text
    assert said in reply.json()["error"]
    assert len(reply.content) < 1000


def test_compressed_body_is_refused(client, card):
    reply = client.post("/predict/card", content=b"x", headers={"content-encoding": "gzip"})
    assert reply.status_code == 415


def test_refused_request_leaves_no_record(client, card, bench):
    log = PredictionLog(bench.settings.prediction_log)
    before = len(log.read("card").records)
    client.post("/predict/card", json=[GOOD, {"amount": "x"}])
    assert len(log.read("card").records) == before


def test_null_is_a_missing_float_and_text_and_truth_have_their_dtype(client, bench):
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(random.random(300) < 0.3, np.nan, random.random(300)),
            "region": random.choice(["north", "süd"], 300),
            "new": random.random(300) < 0.5,
        }
    )
    estimator = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["region"]), remainder="passthrough"),
        HistGradientBoostingRegressor(max_iter=5),
    ).fit(frame, frame["new"] + frame["size"].fillna(3))
    serving = Serving(
        model="mixed",
        task="regression",
        features=[Feature(name=n, dtype=str(d)) for n, d in frame.dtypes.items()],
        unit=None,
        time=None,
        key=[],
    )
    version = bench.register(estimator, serving, frame[frame["size"].isna()][:1])
    bench.promote(version)
    wait_for(serves(client, version))
    rows = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]
    given = client.post("/predict/mixed", json=rows).json()["predictions"]
    assert [p["prediction"] for p in given] == estimator.predict(frame).tolist()
    assert client.post("/predict/mixed", json=rows[0] | {"region": 1}).status_code == 422
    assert client.post("/predict/mixed", json=rows[0] | {"region": None}).status_code == 422
    assert client.post("/predict/mixed", json=rows[0] | {"new": 1}).status_code == 422


@pytest.fixture(scope="session")
def letters(client, bench):
    """A served recommender."""
    serving = Serving(
        model="letters",
        task="ranking",
        features=[Feature(name="user", dtype="object")],
        unit="user",
        time="at",
        key=[],
    )
    version = bench.register(Alphabet(), serving, pd.DataFrame({"user": ["u1"]}))
    bench.promote(version)
    wait_for(serves(client, version))
    return version


def test_ranking_is_asked_by_unit(client, bench, letters):
    reply = client.post("/predict/letters", json=[{"user": "u7"}, {"user": "u8"}])
    first, second = reply.json()["predictions"]
    assert first["prediction"] == second["prediction"] == list("abcdefghij")
    assert first["scores"][:2] == [1.0, 0.5]
    logged = PredictionLog(bench.settings.prediction_log).read("letters").records
    assert {(r.unit, r.features["user"]) for r in logged} >= {("u7", "u7"), ("u8", "u8")}
    reply = client.post("/predict/letters", json={"user": 7})
    assert reply.status_code == 422
    assert "row 0, field 'user': expected a string" in reply.json()["error"]


def test_a_unit_with_few_items_left_is_answered_with_those(client, bench, letters):
    """And spoils no answer of the others in its request."""
    users = ["had-7", "u1", "had-10"]
    reply = client.post("/predict/letters", json=[{"user": user} for user in users])
    assert reply.status_code == 200, reply.text
    few, all_, none = reply.json()["predictions"]
    assert (few["prediction"], len(all_["prediction"])) == (["a", "b", "c"], 10)
    assert few["scores"] == [1.0, 1 / 2, 1 / 3]
    assert (none["prediction"], none["scores"]) == ([], [])
    tensor = {"name": "user", "shape": [3], "datatype": "BYTES", "data": users}
    reply = client.post("/v2/models/letters/infer", json={"inputs": [tensor]})
    items, scores = reply.json()["outputs"]
    assert items["shape"] == scores["shape"] == [3, 10]
    assert items["data"] == list("abc") + [""] * 7 + list("abcdefghij") + [""] * 10
    assert scores["data"][:4] == [1.0, 1 / 2, 1 / 3, 0.0]
    logged = PredictionLog(bench.settings.prediction_log).read("letters").records
    assert [r.status for r in logged if r.unit == "had-7"] == [200, 200]
    assert TASKS["ranking"].predicted([few, all_]).tolist() == [
        ["a", "b", "c", *[None] * 7],
        list("abcdefghij"),
    ]


class Hammer:
    """Clients that ask without a pause, each on a connection of its own."""

    def __init__(self, base: str, path: str, record: dict, clients: int = 3):
        self.replies: list[httpx.Response] = []
        self._base, self._path, self._record = base, path, record
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._running = [self._pool.submit(self._ask) for _ in range(clients)]

    def _ask(self):
        with httpx.Client(base_url=self._base, timeout=30) as client:
            while not self._stop.is_set():
                self.replies.append(client.post(self._path, json=self._record))

    def stop(self):
        """End, and raise what went wrong in a client."""
        self._stop.set()
        self._pool.shutdown()
        for done in self._running:
            done.result()


def test_swap_drops_no_request_and_mixes_no_versions(client, bench):
    first, second = bench.line("swap", LINE_A), bench.line("swap", LINE_B)
    bench.promote(first)
    wait_for(serves(client, first))
    hammer = Hammer(str(client.base_url), "/predict/swap", {"x": 5.0})
    for version in (second, first, second):
        wait_for(lambda: len(hammer.replies) > 50)
        bench.promote(version)
        wait_for(serves(client, version), 2)
    hammer.stop()
    assert {r.status_code for r in hammer.replies} == {200}
    slope = {first.number: LINE_A, second.number: LINE_B}
    bodies = [r.json() for r in hammer.replies]
    for body in bodies:
        assert body["predictions"][0]["prediction"] == pytest.approx(5 * slope[body["version"]])
    assert {body["version"] for body in bodies} == {1, 2}


def test_model_without_champion_stops_being_served(client, bench):
    version = bench.line("retired", LINE_A)
    bench.promote(version)
    wait_for(serves(client, version))
    bench.registry.drop_alias("retired", CHAMPION)
    wait_for(lambda: client.get("/v2/models/retired").status_code == 404)
    assert client.post("/predict/retired", json={"x": 1.0}).status_code == 404


def _files(version) -> Path:
    return Path(unquote(urlsplit(version.source).path))


def test_every_model_of_a_large_registry_is_served(own_bench):
    last = own_bench.line("zebra", 2.0)
    own_bench.promote(last)
    with contextlib.closing(sqlite3.connect(own_bench.database)) as database, database:
        row = "insert into registered_models (name, creation_time) values (?, 1)"
        database.executemany(row, [(f"model {n}",) for n in range(1500)])
    assert len(own_bench.registry.models()) == 1501
    with running(own_bench.settings) as client:
        wait_for(serves(client, last))


def test_tampered_version_is_refused_and_the_old_one_serves_on(client, bench):
    good, bad = bench.line("tampered", LINE_A), bench.line("tampered", LINE_B)
    bench.promote(good)
    wait_for(serves(client, good))
    shutil.copy(_files(good) / "model.skops", _files(bad) / "model.skops")
    bench.promote(bad)
    problem = wait_for(lambda: client.get("/v2/models/tampered").json()["problem"])
    assert "version 2" in problem
    assert "not those that were trained" in problem
    body = client.post("/predict/tampered", json={"x": 5.0}).json()
    assert body["version"] == good.number
    assert body["predictions"][0]["prediction"] == pytest.approx(5 * LINE_A)
    bench.promote(good)
    wait_for(lambda: client.get("/v2/models/tampered").json()["problem"] is None)


def test_version_that_fails_its_own_example_never_serves(client, bench):
    frame = pd.DataFrame({"x": np.arange(10.0)})
    from sklearn.linear_model import LinearRegression

    serving = Serving(
        model="unfit",
        task="regression",
        features=[Feature(name="x", dtype="float64")],
        unit=None,
        time=None,
        key=[],
    )
    bench.promote(bench.register(LinearRegression(), serving, frame[:1]))
    reply = wait_for(
        lambda: (r := client.post("/predict/unfit", json={"x": 1.0})).status_code == 503 and r
    )
    assert "not fitted" in reply.json()["error"]


def test_model_of_someone_else_in_the_registry_is_not_loaded(client, bench):
    bench.registry.client.create_registered_model("foreign")
    bench.registry.client.create_model_version("foreign", source="/etc")
    bench.registry.set_alias("foreign", CHAMPION, 1)
    reply = wait_for(lambda: (r := client.get("/v2/models/foreign")).status_code == 503 and r)
    assert "has no digest" in reply.json()["error"]


def test_registry_away_or_damaged_serves_on(own_bench):
    first, second = own_bench.line("steady", LINE_A), own_bench.line("steady", LINE_B)
    own_bench.promote(first)
    database, kept = own_bench.database, own_bench.database.with_suffix(".kept")
    with running(own_bench.settings) as client:
        wait_for(serves(client, first))

        def still_serves():
            reply = client.post("/predict/steady", json={"x": 5.0})
            return reply.status_code == 200 and reply.json()["version"] == first.number

        database.rename(kept)
        time.sleep(1)
        assert still_serves()
        kept.rename(database)

        shutil.copy(database, kept)
        # Written in place: a moved file stays readable to who has it open.
        database.write_bytes(b"not a database" * 1000)
        problem = wait_for(lambda: client.get("/v2/models/steady").json()["problem"])
        assert "can't be read" in problem
        assert still_serves()
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/v2/health/live").status_code == 200

        database.write_bytes(kept.read_bytes())
        wait_for(lambda: client.get("/v2/models/steady").json()["problem"] is None)
        own_bench.promote(second)
        wait_for(serves(client, second))


def test_model_gone_from_the_registry_serves_on_and_says_so(own_bench):
    version = own_bench.line("gone", LINE_A)
    own_bench.promote(version)
    with running(own_bench.settings) as client:
        wait_for(serves(client, version))
        own_bench.registry.client.delete_registered_model("gone")
        problem = wait_for(lambda: client.get("/v2/models/gone").json()["problem"])
        assert "no longer in the registry" in problem
        assert client.post("/predict/gone", json={"x": 1.0}).status_code == 200
        again = own_bench.line("gone", LINE_B)
        assert again.number == version.number
        own_bench.promote(again)
        wait_for(lambda: client.get("/v2/models/gone").json().get("digest") == again.digest)


def test_no_answer_without_a_log(own_bench):
    version = own_bench.line("unlogged", LINE_A)
    own_bench.promote(version)
    own_bench.settings.prediction_log.write_text("a file where the folder should be")
    with running(own_bench.settings) as client:
        wait_for(serves(client, version))
        reply = client.post("/predict/unlogged", json={"x": 1.0})
        assert reply.status_code == 503
        assert list(reply.json()) == ["error"]
        own_bench.settings.prediction_log.unlink()
        assert client.post("/predict/unlogged", json={"x": 1.0}).status_code == 200


def test_unexpected_error_shows_no_trace(own_bench, monkeypatch, caplog):
    own_bench.promote(own_bench.line("broken", LINE_A))
    with running(own_bench.settings) as client:
        wait_for(lambda: client.get("/v2/models/broken").status_code == 200)
        monkeypatch.setattr(
            "mlops_assets.serving.records.new_prediction_id", lambda: 1 / 0, raising=True
        )
        reply = client.post("/predict/broken", json={"x": 1.0})
    assert reply.status_code == 500
    number = reply.json()["error"].split()[-1]
    assert "division" not in reply.text
    assert any(number in message for message in caplog.messages)


def test_kill_9_loses_no_acknowledged_prediction(own_bench):
    version = own_bench.line("killed", LINE_A)
    own_bench.promote(version)
    acknowledged: list[str] = []
    with process(own_bench.settings) as (server, base):

        def ask():
            with httpx.Client(base_url=base, timeout=30) as client:
                while len(acknowledged) < 2000:
                    reply = client.post("/predict/killed", json=[{"x": 1.0}, {"x": 2.0}])
                    predictions = reply.raise_for_status().json()["predictions"]
                    acknowledged.extend(p["prediction_id"] for p in predictions)

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            wait_for(lambda: len(acknowledged) > 300, 30)
            server.kill()
        # A client that saw no broken connection would mean that nothing was under way.
        assert all(isinstance(a.exception(), httpx.TransportError) for a in asking)
    logged = {
        r.prediction_id
        for r in PredictionLog(own_bench.settings.prediction_log).read("killed").records
    }
    assert set(acknowledged) <= logged


def test_sigterm_ends_the_server_without_dropping_a_request(own_bench):
    own_bench.promote(own_bench.line("polite", LINE_A))
    with process(own_bench.settings) as (server, base):
        rows = [{"x": 1.0}] * MAX_ROWS
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(httpx.post, f"{base}/predict/polite", json=rows, timeout=30)
            log = own_bench.settings.prediction_log / "polite"
            time.sleep(0.05)
            server.send_signal(signal.SIGTERM)
            done = reply.exception() is None and reply.result().status_code == 200
        assert server.wait(60) in (0, -signal.SIGTERM)
        # Either it came too late to be accepted, or it was answered whole.
        assert done or not log.exists()


def test_registry_that_never_answers_is_live_but_not_ready_and_can_be_stopped(own_bench):
    # Nobody accepts: the connection neither opens nor fails.
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = replace(own_bench.settings, tracking_uri=uri)
        with process(settings, until="/v2/health/live") as (server, base):
            assert httpx.get(f"{base}/v2/health/ready").status_code == 503
            reply = httpx.get(f"{base}/v2/models/any")
            assert reply.status_code == 503
            assert "not been read yet" in reply.json()["error"]
            server.send_signal(signal.SIGTERM)
            server.wait(60)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com", ""])
def test_only_loopback_is_served(own_bench, host):
    with pytest.raises(DeclarationError, match="loopback"):
        serve(own_bench.settings, host=host)
