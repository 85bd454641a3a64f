"""Packing a version in a process of its own, and serving it in one without scikit-learn."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from mlops_assets.lifecycle.artifact import Serving, write_version
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.packed.proving import Proof
from mlops_assets.lifecycle.packed.worker import convert_in_process
from mlops_assets.lifecycle.tasks import TASKS
from mlops_assets_tests.lifecycle.packed_models import (
    ALL,
    BINARY,
    NUMBERS,
    WHOLE,
    asked_alone,
    bits,
    encoded,
    features_of,
    people,
    target,
    values_of,
)

SERVER = """
import json, sys
from pathlib import Path
from mlops_assets.lifecycle.packed.model import PackedModel
model = PackedModel.load(Path(sys.argv[1]))
model.warm_up()
scores = model.scores(model.encode(json.load(sys.stdin)))
heavy = {"dagster", "joblib", "mlflow", "pandas", "pyarrow", "sklearn", "skops"}
json.dump({"scores": scores.tolist(), "foreign": sorted(heavy & set(sys.modules))}, sys.stdout)
"""


def version(estimator, columns, folder):
    seen = people(0)[columns]
    estimator.fit(seen, target(people(0), BINARY))
    serving = Serving(
        model="m", task=BINARY, features=features_of(seen), unit=None, time=None, key=[]
    )
    example = seen.head(5)
    scores = TASKS[BINARY].scores(estimator, example)
    write_version(folder, estimator, serving, example, scores)
    return folder


@pytest.mark.parametrize(
    ("estimator", "columns"),
    [
        (make_pipeline(encoded(), RandomForestClassifier(20, random_state=0)), ALL),
        (HistGradientBoostingClassifier(categorical_features=["children"]), NUMBERS),
    ],
)
def test_a_version_is_packed_and_answers_without_scikit_learn(estimator, columns, tmp_path):
    folder = version(estimator, columns, tmp_path / "version")
    unseen = people(1, 100)
    # More columns than features, as a hold-out has: the features are picked by name.
    proof = convert_in_process(folder, unseen)
    assert isinstance(proof, Proof), proof
    assert proof.hold_out_rows == 100
    kept = Proof.model_validate_json((folder / "packed" / "proof.json").read_text())
    assert kept == proof
    assert [path.name for path in tmp_path.iterdir()] == ["version"]

    asked = unseen[columns].head(20)
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(folder / "packed")],
        input=json.dumps(values_of(asked)),
        capture_output=True,
        text=True,
        check=True,
    )
    answered = json.loads(done.stdout)
    assert answered["foreign"] == []
    assert bits(np.array(answered["scores"])) == bits(asked_alone(estimator, asked, BINARY))


def test_what_can_not_be_packed_leaves_nothing_behind(tmp_path):
    folder = version(GaussianNB(), WHOLE, tmp_path / "version")
    before = sorted(folder.rglob("*"))
    reason = convert_in_process(folder, people(1, 50))
    assert isinstance(reason, str)
    assert "GaussianNB" in reason
    assert sorted(folder.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["version"]


def test_a_process_that_fails_or_takes_too_long_is_a_reason(tmp_path):
    folder = version(LogisticRegression(), WHOLE, tmp_path / "version")
    assert "longer than 0.1 seconds" in convert_in_process(folder, people(1, 50), seconds=0.1)
    (folder / "model.skops").write_bytes(b"no skops file")
    reason = convert_in_process(folder, people(1, 50))
    assert "ended with code 1" in reason
    assert "model.skops" in reason
    assert not (folder / "packed").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["version"]


def test_a_packed_version_is_not_packed_again(tmp_path):
    (tmp_path / "version" / "packed").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="exists already"):
        convert_in_process(tmp_path / "version", people(1, 50))
