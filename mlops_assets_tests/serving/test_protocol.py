"""The Open Inference Protocol v2 and MLflow's payloads, asked by clients that others wrote."""

import asyncio
import gzip
import json
import struct

import httpx
import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from tritonclient.utils import InferenceServerException

from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.serving.payload import MAX_BYTES, MAX_ROWS
from mlops_assets_tests.serving.conftest import sample, serves, wait_for
from mlops_assets_tests.serving.recommender import Alphabet

NAMES = ["length", "width"]


@pytest.fixture(scope="session")
def card(bench, client):
    """A served classifier of a float and an int: its version and estimator."""
    version, estimator = bench.classifier("triton_card")
    bench.promote(version)
    wait_for(serves(client, version))
    return version, estimator


@pytest.fixture(scope="session")
def flower(bench, client):
    """A served classifier of three classes and two floats: its estimator."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.uniform(0, 3, (300, 2)), columns=NAMES)
    estimator = LogisticRegression().fit(frame, frame["length"].astype(int))
    serving = Serving(
        model="flower",
        task="multiclass_classification",
        features=[Feature(name=n, dtype="float64") for n in NAMES],
        unit=None,
        time=None,
        key=[],
    )
    version = bench.register(estimator, serving, frame[:2])
    bench.promote(version)
    wait_for(serves(client, version))
    return estimator


@pytest.fixture(scope="session")
def letters(bench, client):
    """A served recommender, asked by user."""
    serving = Serving(
        model="alphabet",
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


@pytest.fixture
def tritons(client):
    with triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}") as server:
        yield server


def _inputs(frame, binary):
    made = []
    for name, datatype in (("amount", "FP64"), ("count", "INT64")):
        made.append(triton.InferInput(name, [len(frame), 1], datatype))
        made[-1].set_data_from_numpy(frame[[name]].to_numpy(), binary_data=binary)
    return made


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_triton_client_infers(tritons, card, binary_in, binary_out, compression):
    frame = sample(3, rows=7)
    result = tritons.infer(
        "triton_card",
        _inputs(frame, binary_in),
        outputs=[
            triton.InferRequestedOutput(name, binary_data=binary_out)
            for name in ("predict_proba", "prediction_id", "predict")
        ],
        request_id="r-1",
        request_compression_algorithm=compression,
    )
    expected = card[1].predict_proba(frame)
    np.testing.assert_array_equal(result.as_numpy("predict_proba")[:, 1], expected[:, 1])
    np.testing.assert_allclose(result.as_numpy("predict_proba")[:, 0], expected[:, 0], rtol=1e-12)
    np.testing.assert_array_equal(result.as_numpy("predict"), card[1].predict(frame))
    assert [o["name"] for o in result.get_response()["outputs"]] == [
        "predict_proba",
        "prediction_id",
        "predict",
    ]
    assert result.get_response()["id"] == "r-1"
    ids = [getattr(i, "decode", lambda i=i: i)() for i in result.as_numpy("prediction_id")]
    assert ",".join(ids) == result.get_response()["parameters"]["prediction_ids"]


def test_triton_client_without_outputs_gets_all_of_them_binary(tritons, flower):
    asked = np.random.default_rng(0).uniform(0, 3, (5, 2))
    matrix = triton.InferInput("input", [5, 2], "FP64")
    matrix.set_data_from_numpy(asked)
    result = tritons.infer("flower", [matrix], model_version="1")
    frame = pd.DataFrame(asked, columns=NAMES)
    np.testing.assert_array_equal(result.as_numpy("predict_proba"), flower.predict_proba(frame))
    np.testing.assert_array_equal(result.as_numpy("predict"), flower.predict(frame))
    assert all("binary_data_size" in o["parameters"] for o in result.get_response()["outputs"])


def test_single_precision_is_scored_as_the_number_it_is(tritons, flower):
    asked = np.random.default_rng(0).uniform(0, 3, (5, 2)).astype("float32")
    matrix = triton.InferInput("input", [5, 2], "FP32")
    matrix.set_data_from_numpy(asked)
    result = tritons.infer("flower", [matrix])
    frame = pd.DataFrame(asked.astype(float), columns=NAMES)
    np.testing.assert_array_equal(result.as_numpy("predict_proba"), flower.predict_proba(frame))


def test_triton_client_asks_about_server_and_models(tritons, card):
    assert tritons.is_server_live()
    assert tritons.is_server_ready()
    assert tritons.is_model_ready("triton_card")
    assert tritons.is_model_ready("triton_card", "1")
    assert not tritons.is_model_ready("nobody")
    assert not tritons.is_model_ready("triton_card", "7")
    assert tritons.get_server_metadata()["name"] == "mlops_assets"
    metadata = tritons.get_model_metadata("triton_card", "1")
    assert [i["datatype"] for i in metadata["inputs"]] == ["FP64", "INT64"]
    assert {o["name"] for o in metadata["outputs"]} >= {"predict", "predict_proba"}
    index = tritons.get_model_repository_index()
    (entry,) = [e for e in index if e["name"] == "triton_card"]
    assert entry == {"name": "triton_card", "version": "1", "state": "READY", "reason": ""}


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_asks_for_recommendations(tritons, letters, binary):
    users = np.array([["u1"], ["süd"]], dtype=object)
    tensor = triton.InferInput("user", [2, 1], "BYTES")
    tensor.set_data_from_numpy(users, binary_data=binary)
    outputs = [triton.InferRequestedOutput(n, binary_data=binary) for n in ("items", "scores")]
    result = tritons.infer("alphabet", [tensor], outputs=outputs)
    items = np.vectorize(lambda i: getattr(i, "decode", lambda: i)())(result.as_numpy("items"))
    assert items.tolist() == [list("abcdefghij")] * 2
    np.testing.assert_array_equal(result.as_numpy("scores"), [1 / np.arange(1, 11)] * 2)


def test_triton_client_is_told_what_is_wrong(tritons, card):
    tensor = triton.InferInput("amount", [1], "FP64")
    tensor.set_data_from_numpy(np.array([1.0]))
    with pytest.raises(InferenceServerException, match=r"input 'count': missing") as caught:
        tritons.infer("triton_card", [tensor])
    assert caught.value.status() == "422"


def _scoring_client(client, model):
    return ScoringServerClient(client.base_url.host, f"{client.base_url.port}/v2/models/{model}")


def test_mlflow_client(client, card):
    mlflow_client = _scoring_client(client, "triton_card")
    mlflow_client.wait_server_ready(timeout=60)
    assert mlflow_client.get_version()
    frame = sample(5, rows=6)
    expected = card[1].predict(frame).tolist()
    assert mlflow_client.invoke(frame)["predictions"] == expected
    assert mlflow_client.invoke(frame.to_numpy())["predictions"] == expected
    given = mlflow_client.invoke(frame).get_predictions()
    assert given[0].tolist() == expected


def test_mlflow_forms_are_the_same_question(client, card):
    frame = sample(6, rows=4)
    rows = frame.to_numpy().tolist()
    expected = card[1].predict(frame).tolist()
    for payload in (
        {"dataframe_split": json.loads(frame.to_json(orient="split"))},
        {"dataframe_split": {"columns": ["count", "amount"], "data": [r[::-1] for r in rows]}},
        {"dataframe_records": frame.to_dict("records")},
        {"inputs": frame.to_dict("list")},
        {"inputs": rows},
        {"instances": rows},
        {"instances": frame.to_dict("records"), "params": {}},
    ):
        reply = client.post("/v2/models/triton_card/invocations", json=payload)
        assert reply.status_code == 200, reply.text
        assert reply.json()["predictions"] == expected
        assert len(reply.json()["prediction_ids"]) == 4


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ([], "expected an object"),
        ({}, "exactly one of"),
        ({"inputs": [[1, 2]], "instances": [[1, 2]]}, "exactly one of"),
        ({"inputs": [[1, 2]], "params": {"a": 1}}, "'params'"),
        ({"inputs": [[1, 2]], "signature_name": "x"}, "'signature_name'"),
        ({"inputs": [[1.5, 2], [1.5]]}, "row 1: expected 2 values, got 1"),
        ({"inputs": {"amount": [1, 2], "count": [1]}}, "columns of 1 and of 2"),
        ({"inputs": {"amount": 1}}, "inputs.amount: expected a list"),
        ({"dataframe_split": []}, "expected an object"),
        ({"dataframe_split": {"columns": ["amount", "amount"], "data": []}}, "twice"),
        ({"dataframe_split": {"column": ["count", "amount"], "data": [[2, 1]]}}, "split.column:"),
        ({"dataframe_records": [{"amount": 1, "count": "x"}]}, "row 0, field 'count'"),
        ({"instances": 3}, "expected a list of rows, got a number"),
    ],
)
def test_wrong_mlflow_payloads(client, card, payload, said):
    reply = client.post("/v2/models/triton_card/invocations", json=payload)
    assert reply.status_code == 422
    assert said in reply.json()["error"]


def test_csv_is_refused(client, card):
    reply = client.post(
        "/v2/models/triton_card/invocations",
        content="amount,count\n1,2\n",
        headers={"content-type": "text/csv"},
    )
    assert reply.status_code == 415
    assert "application/json" in reply.json()["error"]


def _tensor(name, datatype, data, shape=None, **more):
    return {
        "name": name,
        "datatype": datatype,
        "shape": [len(data)] if shape is None else shape,
        "data": data,
        **more,
    }


AMOUNT, COUNT = _tensor("amount", "FP64", [10.5]), _tensor("count", "INT64", [3])
INFER = "/v2/models/triton_card/infer"


def test_infer_logs_what_predict_logs(client, card, bench):
    inputs = [
        AMOUNT,
        COUNT,
        _tensor("card_id", "INT64", [4711]),
        _tensor("transaction_id", "BYTES", ["t-1"]),
        _tensor("at", "BYTES", ["2026-02-03T04:05:06+02:00"]),
    ]
    ids = client.post(INFER, json={"inputs": inputs}).json()["parameters"]["prediction_ids"]
    row = {"amount": 10.5, "count": 3, "card_id": 4711, "transaction_id": "t-1",
           "at": "2026-02-03T04:05:06+02:00"}  # fmt: skip
    (given,) = client.post("/predict/triton_card", json=row).json()["predictions"]
    records = PredictionLog(bench.settings.prediction_log).read("triton_card").records
    by_id = {r.prediction_id: r for r in records}
    one, other = by_id[ids], by_id[given["prediction_id"]]
    for field in ("features", "unit", "at", "key", "answer", "version", "run_id"):
        assert getattr(one, field) == getattr(other, field)


def test_nested_data_null_and_whole_floats_are_understood(client, card, flower):
    flat = client.post(INFER, json={"inputs": [AMOUNT, COUNT]}).json()
    nested = [_tensor("amount", "FP64", [[10.5]], [1, 1]), _tensor("count", "FP64", [3.0])]
    assert client.post(INFER, json={"inputs": nested}).json()["outputs"] == flat["outputs"]
    matrix = [_tensor("x", "FP64", [[10.5, 3]], [1, 2])]
    assert client.post(INFER, json={"inputs": matrix}).json()["outputs"] == flat["outputs"]


def test_nan_in_a_binary_float_is_a_missing_value(tritons, client, bench):
    asked = np.array([[np.nan, 1.0], [2.0, np.nan], [0.5, 0.5]])
    random = np.random.default_rng(4).uniform(0, 3, (300, 2))
    frame = pd.DataFrame(np.where(random < 0.5, np.nan, random), columns=NAMES)
    estimator = HistGradientBoostingRegressor(max_iter=5).fit(frame, random[:, 0])
    serving = Serving(
        model="gaps",
        task="regression",
        features=[Feature(name=n, dtype="float64") for n in NAMES],
        unit=None,
        time=None,
        key=[],
    )
    version = bench.register(estimator, serving, frame[:2])
    bench.promote(version)
    wait_for(serves(client, version))
    matrix = triton.InferInput("input", [3, 2], "FP64")
    matrix.set_data_from_numpy(asked)
    answer = tritons.infer("gaps", [matrix])
    expected = estimator.predict(pd.DataFrame(asked, columns=NAMES))
    np.testing.assert_array_equal(answer.as_numpy("predict"), expected)
    logged = PredictionLog(bench.settings.prediction_log).read("gaps").records
    assert {r.features["length"] for r in logged} == {None, 2.0, 0.5}
    matrix.set_data_from_numpy(np.array([[np.inf, 1.0]] * 3))
    with pytest.raises(InferenceServerException, match="row 0, field 'length': expected a finite"):
        tritons.infer("gaps", [matrix])


@pytest.mark.parametrize(
    ("document", "status", "said"),
    [
        ({"inputs": [AMOUNT]}, 422, "input 'count': missing"),
        ({"inputs": [AMOUNT, AMOUNT, COUNT]}, 422, "'amount' stands twice"),
        ({"inputs": [AMOUNT, COUNT, _tensor("red", "FP64", [1])]}, 422, "'red': unknown"),
        ({"inputs": [AMOUNT, _tensor("count", "BYTES", ["3"])]}, 422, "BYTES where INT64"),
        ({"inputs": [AMOUNT, _tensor("count", "BOOL", [True])]}, 422, "BOOL where INT64"),
        ({"inputs": [AMOUNT, _tensor("count", "FP64", [1.5])]}, 422, "row 0, field 'count'"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [2**70])]}, 422, "row 0, field 'count'"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", ["a"])]}, 422, "row 0, field 'count'"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [None])]}, 422, "got null"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [1, 2])]}, 422, "'count': 2 values"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [1, 2], [1])]}, 422, "asks for 1"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [[1], [2, 3]], [2, 1])]}, 422, "nested"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [1], [1, 1, 1])]}, 422, "shape"),
        ({"inputs": [AMOUNT, _tensor("count", "INT64", [1], [-1])]}, 422, "$.inputs[1].shape[0]"),
        ({"inputs": [AMOUNT, _tensor("count", "INT128", [1])]}, 422, "$.inputs[1].datatype"),
        ({"inputs": [AMOUNT, {"name": "count", "datatype": "INT64", "shape": [1]}]}, 422,
         "neither data nor"),
        ({"inputs": [_tensor("x", "FP64", [1, 2, 3], [1, 3])]}, 422, "[n, 2]"),
        ({"inputs": [_tensor("x", "FP64", [], [0, 2])]}, 422, "empty"),
        ({"inputs": [_tensor("x", "FP64", [1] * 2, [2**39, 2**39])]}, 422, "asks for"),
        ({"inputs": [_tensor("x", "INT8", [1] * 2 * (MAX_ROWS + 1), [MAX_ROWS + 1, 2])]}, 413,
         str(MAX_ROWS)),
        ({"inputs": []}, 422, "$.inputs"),
        ({"inputs": [AMOUNT, COUNT], "outputs": [{"name": "red"}]}, 422, "output 'red': unknown"),
        ({"inputs": [AMOUNT, COUNT], "id": 7}, 422, "$.id"),
        ([], 422, "expected `object`"),
        ({}, 422, "inputs"),
    ],
)  # fmt: skip
def test_wrong_inference_requests_are_refused_with_what_and_where(
    client, card, document, status, said
):
    reply = client.post(INFER, json=document)
    assert reply.status_code == status, reply.text
    assert said.lower() in reply.json()["error"].lower()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b'{"inputs": [' + b"[" * 100_000, 400, "nested too deeply"),
        (b'{"inputs": [], "parameters": {"a": ' + b"[" * 100_000, 400, "nested too deeply"),
        (b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [NaN, 1]}]}',
         400, "null means missing"),
        (b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1e400, 1]}]}',
         422, "row 0, field 'amount': expected a finite"),
        (b'{"inputs": [{"name": "\\ud800", "shape": [1], "datatype": "FP64", "data": [1]}]}',
         400, "valid Unicode"),
        (b'{"inputs": [{"name": "\xff", "shape": [1], "datatype": "FP64", "data": [1]}]}',
         400, "no UTF-8"),
        (b'{"inputs": [{"name": "x", "name": "x", "shape": [1, 2], "datatype": "FP64", '
         b'"data": [1, 2]}]}', 400, "'name' twice"),
        (b'{"inputs": [], "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", '
         b'"data": [1, 2]}]}', 400, "'inputs' twice"),
        (b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}x',
         400, "not JSON"),
    ],
)  # fmt: skip
def test_wrong_json_is_refused(client, card, body, status, said):
    reply = client.post(INFER, content=body)
    assert reply.status_code == status, reply.text
    assert said in reply.json()["error"]
    assert len(reply.content) < 1000


@pytest.mark.parametrize("path", ["/predict/triton_card", INFER])
def test_what_the_model_itself_refuses_is_named(client, card, path):
    rows = [{"amount": 1.0, "count": 1}, {"amount": None, "count": 1}]
    tensors = {"inputs": [_tensor("amount", "FP64", [1.0, None]), _tensor("count", "INT8", [1, 1])]}
    reply = client.post(path, json=tensors if path == INFER else rows)
    assert reply.status_code == 422
    assert reply.json()["error"].startswith("row 1: the model can't score it: Input X contains NaN")
    assert 'mlops_model_refusals_total{model="triton_card"' in client.get("/metrics").text


def test_duplicate_key_in_a_record_is_refused(client, card):
    reply = client.post("/predict/triton_card", content=b'{"amount":1,"amount":2,"count":3}')
    assert (reply.status_code, reply.json()) == (
        400,
        {"error": "an object has the key 'amount' twice"},
    )


@pytest.mark.parametrize(
    ("size", "length", "status", "said"),
    [
        (8, None, 400, "no number of bytes"),
        (8, "-1", 400, "no number of bytes"),
        (8, "99999", 400, "no number of bytes"),
        (16, "right", 422, "more than the 8 left"),
        (0, "right", 422, "0 bytes where its shape asks for 1 values of 8"),
        (-8, "right", 422, "no number of bytes"),
        ("8", "right", 422, "no number of bytes"),
        (4, "right", 422, "4 bytes where"),
    ],
)
def test_wrong_binary_sizes(client, card, size, length, status, said):
    tensor = {"name": "amount", "datatype": "FP64", "shape": [1]}
    header = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": size}}, COUNT]})
    sent = {"right": str(len(header)), None: "eight"}.get(length, length)
    reply = client.post(
        INFER,
        content=header.encode() + struct.pack("<d", 1.0),
        headers={"inference-header-content-length": sent},
    )
    assert reply.status_code == status, reply.text
    assert said in reply.json()["error"]


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (struct.pack("<I", 9) + b"u1", "ends beyond the tensor"),
        (b"\1\0", "length that is cut off"),
        (struct.pack("<I", 2) + b"\xff\xff", "not UTF-8"),
        (struct.pack("<I", 1) + b"u" + struct.pack("<I", 1) + b"v", "2 strings where"),
    ],
)
def test_wrong_binary_strings(client, letters, tail, said):
    tensor = {"name": "user", "datatype": "BYTES", "shape": [1],
              "parameters": {"binary_data_size": len(tail)}}  # fmt: skip
    header = json.dumps({"inputs": [tensor]}).encode()
    reply = client.post(
        "/v2/models/alphabet/infer",
        content=header + tail,
        headers={"inference-header-content-length": str(len(header))},
    )
    assert reply.status_code == 422
    assert said in reply.json()["error"]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"0" * (MAX_BYTES + 1), mtime=0), "gzip", 413),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", 415),
        (gzip.compress(b"{}", mtime=0) * 2, "gzip", 415),
        (b"{}", "gzip", 415),
        (b"{}", "br", 415),
        (b"{}", "deflate", 415),
    ],
)
def test_packed_bodies_that_are_refused(client, card, body, encoding, status):
    reply = client.post(INFER, content=body, headers={"content-encoding": encoding})
    assert reply.status_code == status


def test_only_served_versions_answer_by_number(client, card):
    reply = client.post("/v2/models/triton_card/versions/2/infer", json={"inputs": [AMOUNT]})
    assert reply.status_code == 404
    assert "1 is" in reply.json()["error"]
    for number in ("2", "01", "-1", "1.0", "1" * 5000):
        reply = client.get(f"/v2/models/triton_card/versions/{number}")
        assert (reply.status_code, "1 is" in reply.json()["error"]) == (404, True), number
    reply = client.post("/v2/models/triton_card/versions/1/infer", json={"inputs": [AMOUNT, COUNT]})
    assert reply.json()["model_version"] == "1"


def test_index_tells_what_is_ready_and_what_is_not(client, card, bench):
    bench.registry.client.create_registered_model("unloadable")
    bench.registry.client.create_model_version("unloadable", source="/etc")
    bench.registry.set_alias("unloadable", "champion", 1)

    def entry():
        index = client.post("/v2/repository/index", json={}).json()
        return next((e for e in index if e["name"] == "unloadable"), None)

    found = wait_for(entry)
    assert found["state"] == "UNAVAILABLE"
    assert "has no digest" in found["reason"]
    ready = client.post("/v2/repository/index", json={"ready": True}).json()
    assert {e["state"] for e in ready} == {"READY"}
    assert client.post("/v2/repository/index", json={"ready": 1}).status_code == 422


def test_kserve_client(client, card):
    kserve = pytest.importorskip("kserve")

    async def ask():
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as server:
            base = str(client.base_url)
            assert await server.is_server_live(base)
            assert await server.is_server_ready(base)
            assert await server.is_model_ready(base, "triton_card")
            tensors = [
                kserve.InferInput("amount", [1], "FP64", [10.5]),
                kserve.InferInput("count", [1], "INT64", [3]),
            ]
            request = kserve.InferRequest("triton_card", tensors, request_id="k")
            return await server.infer(base, request, model_name="triton_card")

    answer = asyncio.run(ask())
    expected = card[1].predict_proba(pd.DataFrame({"amount": [10.5], "count": [3]}))
    np.testing.assert_array_equal(answer.get_output_by_name("predict_proba").as_numpy()[0, 1],
                                  expected[0, 1])  # fmt: skip


def test_answers_are_of_the_protocols_types(client, card):
    types = pytest.importorskip("mlserver.types")
    answer = client.post(INFER, json={"inputs": [AMOUNT, COUNT], "id": "m"}).content
    parsed = types.InferenceResponse.model_validate_json(answer)
    assert (parsed.model_name, parsed.model_version, parsed.id) == ("triton_card", "1", "m")
    types.MetadataModelResponse.model_validate_json(client.get("/v2/models/triton_card").content)
    types.MetadataServerResponse.model_validate_json(client.get("/v2").content)
    types.RepositoryIndexResponse.model_validate_json(
        client.post("/v2/repository/index", json={}).content
    )


def test_answer_has_the_protocols_form(client, card):
    """What KServe's and MLServer's clients read, for where they are not installed."""
    reply = client.post(INFER, json={"inputs": [AMOUNT, COUNT], "id": "m"})
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert body.keys() == {"model_name", "model_version", "id", "outputs", "parameters"}
    assert (body["model_name"], body["model_version"], body["id"]) == ("triton_card", "1", "m")
    for output in body["outputs"]:
        assert output.keys() == {"name", "datatype", "shape", "data"}
        assert len(output["data"]) == np.prod(output["shape"])
    assert all(isinstance(value, str | int | bool) for value in body["parameters"].values())
    # KServe's client reads the bodies of health.
    assert client.get("/v2/health/live").json()["live"] is True
    assert client.get("/v2/health/ready").json()["ready"] is True
    assert client.get("/v2/models/triton_card/ready").json()["ready"] is True


def test_requests_of_one_tick_are_answered_each_its_own(client, flower):
    asked = np.random.default_rng(2).uniform(0, 3, (64, 2))
    expected = flower.predict(pd.DataFrame(asked, columns=NAMES))

    async def ask():
        async with httpx.AsyncClient(base_url=client.base_url) as server:
            bodies = [{"inputs": [_tensor("x", "FP64", row, [1, 2])]} for row in asked.tolist()]
            bodies[5]["inputs"][0]["data"] = ["a", "b"]
            asking = [server.post("/v2/models/flower/infer", json=body) for body in bodies]
            return await asyncio.gather(*asking)

    replies = asyncio.run(ask())
    assert [r.status_code for r in replies] == [422 if n == 5 else 200 for n in range(64)]
    for n, reply in enumerate(replies):
        if n != 5:
            assert reply.json()["outputs"][0]["data"] == [expected[n]]
