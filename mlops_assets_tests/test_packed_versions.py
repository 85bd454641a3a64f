"""A version as plain arrays, from training to the answer over HTTP."""

import json
import os
import subprocess
import sys
import time

import httpx
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlops_assets.assets.keys import TRAINED_MODEL
from mlops_assets.lifecycle.artifact import load_estimator, read_serving
from mlops_assets.lifecycle.settings import Settings
from mlops_assets_tests.harness import errors, visits, week, weekly

FEATURES = ["interest", "minutes"]


def imputing():
    """A pipeline of the user's own."""
    return make_pipeline(SimpleImputer(strategy="median"), LogisticRegression())


class Unpackable(LogisticRegression):
    """A subclass may do anything, so that it is not taken for its parent."""


def trained(lab, **estimator):
    lab.write(visits(4))
    lab.declare(weekly(estimator=estimator, serving={"packed": True}))
    assert lab.fill(0, 3).success


@pytest.mark.parametrize(
    "estimator",
    [
        {"class": "sklearn.linear_model.LogisticRegression"},
        {"class": "sklearn.ensemble.HistGradientBoostingClassifier", "params": {"max_iter": 20}},
        {"class": f"{__name__}.imputing"},
    ],
    ids=["linear", "boosted", "pipeline"],
)
def test_a_packed_version_answers_as_its_estimator_does_to_the_bit(lab, tmp_path, estimator):
    trained(lab, **estimator)
    with lab.server() as url:
        result = lab.run("lifecycle", week(2))
        assert result.success, errors(result)
        record = lab.stored("trained_model", week(2))
        assert record.packed == "proved the same to the bit on 400 rows of the hold-out"
        asked = visits(4).tail(50)
        answered = lab.ask(url, asked)["predictions"]
    version = lab.registry.version("shop", 1)
    folder = lab.registry.files.take(version, tmp_path)
    assert (folder / "packed" / "plan.json").is_file()
    judge = load_estimator(folder)
    # Asked row by row: in a batch, linear algebra adds in another order.
    expected = [judge.predict_proba(asked[i : i + 1][FEATURES])[0, 1] for i in range(len(asked))]
    assert [row["score"] for row in answered] == expected


def test_what_cannot_be_packed_is_served_by_its_estimator_and_says_why(lab, monkeypatch):
    monkeypatch.setenv("MLOPS_TRUSTED_TYPES", f"{__name__}.Unpackable")
    lab.settings = Settings.from_environment()
    trained(lab, **{"class": f"{__name__}.Unpackable"})
    with lab.server() as url:
        result = lab.run("lifecycle", week(2))
        assert result.success, errors(result)
        assert lab.stored("trained_model", week(2)).packed.startswith("no: ")
        (event,) = [
            e
            for e in result.get_asset_materialization_events()
            if e.asset_key.path[-1] == TRAINED_MODEL
        ]
        assert "Unpackable" in event.materialization.metadata["plain arrays"].value
        assert len(lab.ask(url, visits(4).tail(5))["predictions"]) == 5


def test_a_packed_version_that_was_tampered_with_is_not_served(lab):
    trained(lab, **{"class": "sklearn.linear_model.LogisticRegression"})
    with lab.server():
        assert lab.run("lifecycle", week(2)).success
    source = lab.registry.version("shop", 1).source.removeprefix("file://")
    plan = os.path.join(source, "packed", "plan.json")
    with open(plan, "a") as file:
        file.write(" ")
    with lab.server() as url:
        while (reply := httpx.get(f"{url}/v2/health/ready")).status_code != 200:
            time.sleep(0.05)
        reply = httpx.get(f"{url}/v2/models/shop")
        assert reply.status_code == 503
        assert "are not those that were trained" in reply.text


def test_loading_a_packed_version_needs_no_scikit_learn(lab, tmp_path):
    trained(lab, **{"class": "sklearn.linear_model.LogisticRegression"})
    with lab.server():
        assert lab.run("lifecycle", week(2)).success
    folder = lab.registry.files.take(lab.registry.version("shop", 1), tmp_path)
    names = [feature.name for feature in read_serving(folder).features]
    code = (
        "import sys, json; from pathlib import Path\n"
        "from mlops_assets.lifecycle.packed.estimator import PackedEstimator\n"
        f"made = PackedEstimator.load(Path({str(folder / 'packed')!r}))\n"
        "print(json.dumps(made.predict_proba(made.encode([(0.5, 3.0)])).tolist()))\n"
        "print(json.dumps([m for m in ('sklearn', 'pandas', 'mlflow', 'skops', 'dagster')"
        " if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer, heavy = map(json.loads, done.stdout.splitlines())
    assert names == FEATURES
    assert heavy == []
    assert sum(answer[0]) == pytest.approx(1)
