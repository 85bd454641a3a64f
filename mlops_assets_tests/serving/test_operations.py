"""Keys, limits, metrics, logs, feedback and the way down."""

import hashlib
import json
import math
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pandas as pd
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.cli import main
from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.lifecycle.endpoint import check_endpoint
from mlops_assets.lifecycle.errors import DeclarationError, RolloutError
from mlops_assets.lifecycle.ground_truth import FeedbackLog
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.serving.app import build_app
from mlops_assets.serving.options import Options
from mlops_assets.serving.pace import Pace
from mlops_assets.serving.server import serve
from mlops_assets_tests.serving.conftest import process, running, serves, wait_for
from mlops_assets_tests.serving.slow import Slow

GOOD = {"amount": 10.5, "count": 3}


@pytest.fixture(scope="module")
def card(bench, client):
    """A served classifier."""
    version, _ = bench.classifier("operated")
    bench.promote(version)
    wait_for(serves(client, version))
    return version


def metric(client, name: str, **labels: str) -> float:
    """One value of the metrics page; 0 while it is not there."""
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for found in family.samples:
            if found.name == name and labels.items() <= found.labels.items():
                return found.value
    return 0.0


@pytest.fixture(scope="module")
def keyed(bench, card, tmp_path_factory):
    """A server with three keys: a client without one, and the keys by name."""
    secrets = {name: f"secret-of-{name}" for name in ("shop", "other", "prometheus", "dagster")}
    scopes = {
        "shop": {"models": ["operated"]},
        "other": {"models": ["elsewhere"]},
        "prometheus": {"models": ["*"], "actions": ["metrics"]},
        "dagster": {"models": ["*"], "actions": ["predict", "probe"]},
    }
    entries = [
        {"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), **scopes[name]}
        for name, secret in secrets.items()
    ]
    file = tmp_path_factory.mktemp("keys") / "keys.yaml"
    file.write_text(yaml.safe_dump(entries))
    with running(bench.settings, options=Options(api_keys=file)) as server:
        shop = {"x-api-key": secrets["shop"]}
        wait_for(lambda: server.get("/v2/models/operated", headers=shop).status_code == 200)
        yield server, secrets


def test_a_key_opens_what_its_scope_has(keyed):
    server, secrets = keyed

    def ask(name=None, path="/predict/operated", method="POST", **headers):
        if name:
            headers = {"authorization": f"Bearer {secrets[name]}"}
        body = GOOD if method == "POST" else None
        return server.request(method, path, json=body, headers=headers)

    assert ask("shop").status_code == 200
    assert ask(**{"x-api-key": secrets["shop"]}).status_code == 200
    for refused in (
        ask(),
        ask(**{"x-api-key": "wrong"}),
        ask(**{"x-api-key": ""}),
        ask(authorization=f"Basic {secrets['shop']}"),
        ask(**{"x-api-key": hashlib.sha256(secrets["shop"].encode()).hexdigest()}),
        ask(path="/v2/models", method="GET"),
        ask(path="/metrics", method="GET"),
        ask(path="/no/such", method="GET"),
    ):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert list(refused.json()) == ["error"]
    assert ask("other").status_code == 403
    assert ask("prometheus").status_code == 403
    assert ask("other", "/v2/models/operated", "GET").status_code == 403
    assert ask("other", "/v2/models", "GET").json() == []
    assert [m["model"] for m in ask("shop", "/v2/models", "GET").json()] == ["operated"]
    index = ask("shop", "/v2/repository/index")
    assert [entry["name"] for entry in index.json()] == ["operated"]
    assert ask("shop", "/metrics", "GET").status_code == 403
    assert ask("prometheus", "/metrics", "GET").status_code == 200


def test_health_asks_for_no_key(keyed):
    server, _ = keyed
    assert server.get("/v2/health/live").status_code == 200
    assert server.get("/v2/health/ready").status_code == 200


def test_deployment_asks_its_endpoint_with_a_key(keyed, bench, card, monkeypatch):
    server, secrets = keyed
    url = str(server.base_url).rstrip("/")
    monkeypatch.setenv("MLOPS_API_KEY", secrets["dagster"])
    assert check_endpoint(bench.registry, card, url)["rows"] == 2
    monkeypatch.setenv("MLOPS_API_KEY", "wrong")
    monkeypatch.setattr("mlops_assets.lifecycle.endpoint.PATIENCE_SECONDS", 0.1)
    with pytest.raises(RolloutError, match="401"):
        check_endpoint(bench.registry, card, url)


def test_a_client_can_not_hide_its_traffic_as_probes(keyed):
    server, secrets = keyed
    headers = {"x-api-key": secrets["shop"], "x-mlops-probe": "1"}
    reply = server.post("/predict/operated", json=GOOD, headers=headers)
    assert reply.status_code == 403
    assert "may not probe" in reply.json()["error"]


def test_answers_that_left_without_a_record_are_counted(own_bench):
    version = own_bench.line("lost", 2.0)
    own_bench.promote(version)
    own_bench.settings.prediction_log.write_text("a file where the folder should be")
    with running(own_bench.settings, options=Options(answer_unlogged=("lost",))) as client:
        wait_for(serves(client, version))
        assert metric(client, "mlops_unlogged_answers_total", model="lost") == 0
        reply = client.post("/predict/lost", json=[{"x": 1.0}, {"x": 2.0}, {"x": 3.0}])
        assert reply.status_code == 200
        assert metric(client, "mlops_unlogged_answers_total", model="lost") == 3


def test_a_key_is_never_logged(keyed, caplog):
    server, secrets = keyed
    caplog.set_level("DEBUG", "mlops_assets")
    headers = {"x-api-key": secrets["other"]}
    server.post("/predict/operated", json=GOOD, headers=headers)
    server.post("/predict/operated", json=GOOD, headers={"x-api-key": "wrong-but-secret"})
    assert [vars(r)["status"] for r in caplog.records if r.message == "refused"] == [403, 401]
    written = " ".join(str(vars(record)) for record in caplog.records)
    assert secrets["other"] not in written
    assert "wrong-but-secret" not in written


def test_command_makes_a_key_that_works(capsys, bench, card, tmp_path):
    assert main(["key", "till", "--models", "operated", "--actions", "predict"]) == 0
    told, _, entry = capsys.readouterr().out.partition("\n\n")
    (secret,) = [word.rstrip("`") for word in told.split() if word.startswith("mlops_")]
    assert secret not in entry
    file = tmp_path / "keys.yaml"
    file.write_text(entry)
    assert yaml.safe_load(entry)[0]["models"] == ["operated"]
    with running(bench.settings, options=Options(api_keys=file)) as server:
        headers = {"authorization": f"bearer {secret}"}
        wait_for(
            lambda: server.post("/predict/operated", json=GOOD, headers=headers).status_code == 200
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file"),
        ("[]", "expected keys"),
        ("- {name: a, sha256: xyz, models: ['*']}", "0.sha256"),
        (f"- {{name: a, sha256: {'a' * 64}, models: []}}", "0.models"),
        (f"- {{name: a, sha256: {'a' * 64}, models: ['*'], actions: [all]}}", "0.actions.0"),
        (f"- {{name: a, sha256: {'a' * 64}, models: ['*'], key: secret}}", "0.key"),
        (f"- &a {{name: a, sha256: {'a' * 64}, models: ['*']}}\n- *a", "a name of its own"),
        ("a: [", "no YAML"),
        (None, "can't be read"),
    ],
)
def test_wrong_file_of_keys_stops_the_start(bench, tmp_path, text, said):
    file = tmp_path / "keys.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        build_app(bench.settings, options=Options(api_keys=file))
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("value", ["many", "0", "nan", "-3"])
def test_wrong_limits_stop_the_start(bench, monkeypatch, value):
    monkeypatch.setenv("MLOPS_MAX_IN_FLIGHT", value)
    with pytest.raises(DeclarationError, match="MLOPS_MAX_IN_FLIGHT"):
        serve(bench.settings)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:80"}, 200),
        ({"host": "127.0.0.2"}, 200),
        ({"host": "[::1]:8900"}, 200),
        ({"host": "rebound.example"}, 421),
        ({"host": "127.0.0.1.example"}, 421),
        ({"host": "127.0.0.1@example.com"}, 421),
        ({"host": "["}, 421),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://example.com"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_web_pages_of_others_are_not_answered(client, card, headers, status):
    assert client.post("/predict/operated", json=GOOD, headers=headers).status_code == status


def test_request_id_comes_back_and_is_never_markup(client, card):
    sent = "abc-123_4.5"
    given = client.post("/predict/operated", json=GOOD, headers={"x-request-id": sent})
    assert given.headers["x-request-id"] == sent
    for wrong in ('"><script>', "a" * 200, "new line"):
        given = client.get("/v2/models", headers={"x-request-id": wrong})
        assert given.headers["x-request-id"] not in ("", wrong)
    first, second = client.get("/no/such"), client.get("/no/such")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_metrics_count_what_was_answered_and_refused(client, card):
    role = {"model": "operated", "version": str(card.number), "variant": "champion"}
    names = ("mlops_requests_total", "mlops_request_seconds_count")
    before = [metric(client, name, **role, **more) for name, more in
              zip(names, ({"status": "200"}, {}), strict=True)]  # fmt: skip
    refused = metric(client, names[0], **role, status="422")
    rows = metric(client, "mlops_batch_rows_sum", model="operated")
    for _ in range(3):
        client.post("/predict/operated", json=[GOOD, GOOD])
    client.post("/predict/operated", json={"amount": "x"})
    client.post("/predict/operated", json=GOOD, headers={"x-mlops-probe": "1"})
    after = [metric(client, name, **role, **more) for name, more in
             zip(names, ({"status": "200"}, {}), strict=True)]  # fmt: skip
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 3]
    assert metric(client, names[0], **role, status="422") == refused + 1
    assert metric(client, "mlops_batch_rows_sum", model="operated") == rows + 7
    probes = metric(client, names[0], **(role | {"variant": "probe"}), status="200")
    assert probes >= 1
    assert metric(client, "mlops_model_loads_total", model="operated") == 1
    assert metric(client, "mlops_served", model="operated", version=str(card.number)) == 1
    assert metric(client, "mlops_in_flight") == 1  # the question itself


def test_unknown_models_make_no_new_metrics(client, card):
    client.post("/predict/made-up-by-a-client", json=GOOD)
    assert "made-up" not in client.get("/metrics").text


def test_failures_to_log_and_to_load_are_counted(own_bench):
    version = own_bench.line("unlucky", 2.0)
    own_bench.promote(version)
    own_bench.registry.client.create_registered_model("broken")
    own_bench.registry.client.create_model_version("broken", source="/etc")
    own_bench.registry.set_alias("broken", "champion", 1)
    own_bench.settings.prediction_log.write_text("a file where the folder should be")
    with running(own_bench.settings) as client:
        wait_for(serves(client, version))
        reply = client.post("/predict/unlucky", json={"x": 1.0})
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert metric(client, "mlops_prediction_log_failures_total", model="unlucky") == 1
        assert metric(client, "mlops_requests_total", model="unlucky", status="503") == 1
        assert metric(client, "mlops_model_load_failures_total", model="broken") >= 1


def slow_model(bench):
    """A champion that takes a second an answer."""
    trusted = (*bench.settings.trusted_types, "mlops_assets_tests.serving.slow.Slow")
    bench.settings = bench.registry.settings = replace(bench.settings, trusted_types=trusted)
    serving = Serving(
        model="slow",
        task="regression",
        features=[Feature(name="x", dtype="float64")],
        unit=None,
        time=None,
        key=[],
    )
    version = bench.register(Slow(), serving, pd.DataFrame({"x": [1.0]}))
    bench.promote(version)
    return version


def test_overload_is_told_and_slow_models_leave_the_server_free(own_bench):
    version = slow_model(own_bench)
    with running(own_bench.settings, options=Options(in_flight=3)) as client:
        wait_for(serves(client, version))

        def ask(_):
            return httpx.post(f"{client.base_url}/predict/slow", json={"x": 1.0}, timeout=30)

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask, n) for n in range(8)]
            # Health is answered under any load, and while a model is scoring.
            assert client.get("/v2/health/ready").status_code == 200
            assert metric(client, "mlops_in_flight") >= 1
            assert not all(asked.done() for asked in asking)
            replies = [asked.result() for asked in asking]
    by_status = sorted(reply.status_code for reply in replies)
    assert set(by_status) == {200, 503}
    refused = [r for r in replies if r.status_code == 503]
    assert all(r.headers["retry-after"] == "1" and "under way" in r.text for r in refused)


def test_model_that_is_too_slow_is_given_up_on(own_bench):
    version = slow_model(own_bench)
    with running(own_bench.settings, options=Options(seconds=0.3)) as client:
        wait_for(serves(client, version))
        reply = client.post("/predict/slow", json={"x": 1.0})
        assert (reply.status_code, "not answered in time" in reply.text) == (503, True)


def test_a_clock_that_stands_still_stops_no_answer(own_bench, monkeypatch):
    version = own_bench.line("still", 2.0, packed=True)
    own_bench.promote(version)
    # What the CPU clock of a thread does for a while on a virtual machine that gets no time.
    monkeypatch.setattr(time, "thread_time", lambda: 1.0)
    with running(own_bench.settings) as client:
        wait_for(serves(client, version))
        for number in range(9):
            reply = client.post("/predict/still", json={"x": number}, timeout=60)
            assert reply.json()["predictions"][0]["prediction"] == pytest.approx(2.0 * number)


def test_few_rows_are_known_to_take_no_longer_than_many():
    pace = Pace()
    assert pace.expected(1) == math.inf
    pace.saw(100, 0.002)
    assert pace.expected(1) == 0.002
    assert pace.expected(200) == pytest.approx(0.004)
    assert pace.within(0.004) == 200


def test_client_that_never_sends_its_body_is_told(own_bench):
    own_bench.promote(version := own_bench.line("patient", 2.0))
    with running(own_bench.settings, options=Options(seconds=0.3)) as client:
        wait_for(serves(client, version))
        with socket.create_connection((client.base_url.host, client.base_url.port)) as sock:
            sock.sendall(b"POST /predict/patient HTTP/1.1\r\nhost: localhost\r\n"
                         b"content-length: 9\r\n\r\n{")  # fmt: skip
            assert sock.recv(4000).startswith(b"HTTP/1.1 408")


def test_feedback_is_checked_and_stored(bench, card):
    log = FeedbackLog(bench.settings.prediction_log)
    with running(bench.settings) as client:
        wait_for(serves(client, card))
        (given,) = client.post("/predict/operated", json=GOOD).json()["predictions"]
        labels = [
            {"prediction_id": given["prediction_id"], "label": 1},
            {"unit": 4711, "at": "2026-02-03T04:05:06+02:00", "label": 0,
             "known_at": "2026-03-01T00:00:00Z"},
        ]  # fmt: skip
        before = datetime.now(UTC)
        reply = client.post("/v2/models/operated/feedback", json={"labels": labels})
        assert (reply.status_code, reply.json()) == (200, {"model": "operated", "accepted": 2})
        first, second = log.history("operated")
        assert (first.prediction_id, first.value) == (given["prediction_id"], 1)
        assert first.observed_at >= before
        assert (second.unit, second.value, second.source) == ("4711", 0, "REST API")
        assert second.at == datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)
        assert second.observed_at == datetime(2026, 3, 1, tzinfo=UTC)
        (record,) = PredictionLog(bench.settings.prediction_log).read("operated").records[-1:]
        assert log.known("operated", [record]).by_prediction == {given["prediction_id"]: 1}
        assert metric(client, "mlops_feedback_labels_total", model="operated") == 2

        for wrong, said in (
            ({"label": 1}, "label 0: name the prediction"),
            ({**labels[0], "unit": 1}, "label 0: name the prediction"),
            ({"unit": 1, "label": 1}, "label 0: name the prediction"),
            ({"prediction_id": "x", "label": 1}, "'prediction_id': expected 32"),
            ({**labels[0], "label": 2}, "'label': expected 0 or 1"),
            ({**labels[0], "label": None}, "'label': expected 0 or 1"),
            ({**labels[0], "colour": 2}, "'colour': unknown"),
            ({**labels[1], "at": "soon"}, "'at': expected an ISO"),
            ({**labels[1], "known_at": "2999-01-01"}, "'known_at': in the future"),
            ({"prediction_id": given["prediction_id"]}, "'label': missing"),
            (7, "label 0: expected an object"),
        ):
            reply = client.post("/v2/models/operated/feedback", json={"labels": [wrong]})
            assert (reply.status_code, said in reply.text) == (422, True), reply.text
        for wrong in ([], {}, {"labels": []}, {"labels": {}}, {"labels": labels, "more": 1}):
            assert client.post("/v2/models/operated/feedback", json=wrong).status_code == 422
        assert client.post("/v2/models/nobody/feedback", json={}).status_code == 404
        assert len(log.history("operated")) == 2
        # A disk that takes nothing more: a file stands where the log's folder was.
        shutil.rmtree(log.folder)
        log.folder.touch()
        reply = client.post("/v2/models/operated/feedback", json={"labels": labels})
        assert (reply.status_code, "could not be stored" in reply.text) == (503, True)
        log.folder.unlink()


def test_each_row_of_a_request_has_a_label_of_its_own(bench, card):
    log = FeedbackLog(bench.settings.prediction_log)
    with running(bench.settings) as client:
        wait_for(serves(client, card))
        reply = client.post("/predict/operated", json=[GOOD] * 12).json()
        ids = [prediction["prediction_id"] for prediction in reply["predictions"]]
        labels = [{"prediction_id": i, "label": n % 2} for n, i in enumerate(ids)]
        reply = client.post("/v2/models/operated/feedback", json={"labels": labels})
        assert (reply.status_code, reply.json()["accepted"]) == (200, 12), reply.text
        records = PredictionLog(bench.settings.prediction_log).read("operated").records
        asked = [record for record in records if record.prediction_id in ids]
        known = log.known("operated", asked).by_prediction
        assert known == {i: n % 2 for n, i in enumerate(ids)}
        for wrong in (
            ids[0][:31],
            f"{ids[0]}-1",
            f"{ids[0][:32]}\n",
            f"{ids[0][:32]}-",
            f"{ids[0][:32]}-01",
        ):
            label = {"prediction_id": wrong, "label": 1}
            reply = client.post("/v2/models/operated/feedback", json={"labels": [label]})
            assert (reply.status_code, "expected 32" in reply.text) == (422, True), wrong


def test_stopping_says_so_first_and_logs_are_json(own_bench):
    own_bench.promote(own_bench.line("leaving", 2.0))
    with process(own_bench.settings, MLOPS_DRAIN_SECONDS="8") as (server, base):
        injected = 'a"\n{"level":"error"}'
        httpx.get(f"{base}/no/{quote(injected)}", headers={"x-request-id": "findme"})
        server.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{base}/v2/health/ready").status_code == 503)
        # Not ready, but who comes is still answered.
        assert httpx.post(f"{base}/predict/leaving", json={"x": 1.0}).status_code == 200
        assert server.wait(60) in (0, -signal.SIGTERM)
    text = (own_bench.settings.home / "server.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (refused,) = [line for line in lines if line.get("request_id") == "findme"]
    assert (refused["status"], refused["path"], refused["method"]) == (
        404,
        f"/no/{injected}",
        "GET",
    )
