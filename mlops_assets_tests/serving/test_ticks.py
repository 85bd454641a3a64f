"""Requests that arrive together are scored and logged together, and are told apart again."""

import asyncio

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor

from mlops_assets.lifecycle.artifact import Feature, Serving
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets_tests.serving.conftest import serves, wait_for
from mlops_assets_tests.serving.test_operations import metric

NAMES = ["length", "width"]
REQUESTS = 60
# A forest compares in single precision.
TOO_LARGE = 1e300


@pytest.fixture(scope="module", params=["numbers", "mixed"])
def leaf(request, bench, client):
    """A packed forest of two numbers, or of a number and a whole one, asked by plant; its name."""
    random = np.random.default_rng(1)
    dtypes = ["float64", "float64" if request.param == "numbers" else "int64"]
    frame = pd.DataFrame(random.integers(0, 9, (300, 2)), columns=NAMES)
    frame = frame.astype(dict(zip(NAMES, dtypes, strict=True)))
    estimator = RandomForestRegressor(5, random_state=0).fit(frame, frame.sum(axis=1))
    serving = Serving(
        model=f"leaf_{request.param}",
        task="regression",
        features=[Feature(name=n, dtype=d) for n, d in zip(NAMES, dtypes, strict=True)],
        unit="plant",
        time=None,
        key=[],
    )
    version = bench.register(estimator, serving, frame[:2], packed=True)
    bench.promote(version)
    wait_for(serves(client, version))
    return serving.model, estimator, frame


def asked_together(client, model, requests):
    async def ask():
        async with httpx.AsyncClient(base_url=client.base_url) as server:
            asking = [server.post(f"/predict/{model}", json=rows) for rows in requests]
            return await asyncio.gather(*asking)

    return asyncio.run(ask())


def test_each_is_answered_and_logged_as_its_own(leaf, bench, client):
    model, estimator, frame = leaf
    sizes = [1 + n % 3 for n in range(REQUESTS)]
    rows = iter(frame.to_dict("records"))
    requests = [[dict(next(rows)) for _ in range(size)] for size in sizes]
    for number, request in enumerate(requests[::2]):
        request[0]["plant"] = f"p{number}"
    batches = metric(client, "mlops_batch_rows_count", model=model)

    replies = asked_together(client, model, requests)
    assert metric(client, "mlops_batch_rows_count", model=model) - batches < REQUESTS
    records = {r.prediction_id: r for r in PredictionLog(bench.settings.prediction_log)
               .read(model).records}  # fmt: skip
    for request, reply in zip(requests, replies, strict=True):
        asked = pd.DataFrame(request)[NAMES].astype(frame.dtypes.to_dict())
        answers = reply.json()["predictions"]
        assert [a["prediction"] for a in answers] == estimator.predict(asked).tolist()
        for row, answer in zip(request, answers, strict=True):
            record = records[answer["prediction_id"]]
            assert record.features == {name: row[name] for name in NAMES}
            assert record.answer == {"prediction": answer["prediction"]}
            assert record.unit == row.get("plant")
            assert record.latency_ms > 0


def test_one_that_the_model_refuses_spoils_no_other(leaf, bench, client):
    model, *_ = leaf
    requests = [[{"length": float(n % 9), "width": 3}] for n in range(REQUESTS)]
    requests[7] = [{"length": 1.0, "width": 3}, {"length": TOO_LARGE, "width": 3}]
    before = metric(client, "mlops_model_refusals_total", model=model)

    replies = asked_together(client, model, requests)
    assert [r.status_code for r in replies] == [422 if n == 7 else 200 for n in range(REQUESTS)]
    assert replies[7].json()["error"].startswith("row 1: ")
    assert metric(client, "mlops_model_refusals_total", model=model) == before + 1
