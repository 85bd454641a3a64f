"""Files that no packer wrote are refused: no crash, no endless loop, no read out of bounds."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.packed.model import PackedModel
from mlops_assets_tests.lifecycle.packed_models import (
    ALL,
    BINARY,
    MULTICLASS,
    NUMBERS,
    WHOLE,
    encoded,
    packed,
    people,
    target,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """One folder of each kind of step."""
    folder = tmp_path_factory.mktemp("packed")
    frame = people(0, 400)
    boosting = HistGradientBoostingClassifier(max_iter=5, categorical_features=["children"])
    for name, estimator, task, columns in (
        ("forest", RandomForestClassifier(5, random_state=0), MULTICLASS, WHOLE),
        ("boosting", boosting, BINARY, NUMBERS),
        ("linear", LogisticRegression(), BINARY, WHOLE),
        ("text", make_pipeline(encoded(), RandomForestClassifier(5)), BINARY, ALL),
    ):
        estimator.fit(frame[columns], target(frame, task))
        packed(estimator, frame[columns], task, folder / name)
    return folder


@pytest.fixture
def copy(made, tmp_path):
    def of(name: str) -> Path:
        return shutil.copytree(made / name, tmp_path / name)

    return of


def set_field(field, value, where):
    def change(nodes):
        place = np.flatnonzero((nodes["left"] >= 0) == (where == "split"))[0]
        nodes[field][place] = value

    return change


def cycle(nodes):
    second = np.flatnonzero(nodes["left"] >= 0)[1]
    nodes["left"][second] = 0


def own_child(nodes):
    first = np.flatnonzero(nodes["left"] >= 0)[0]
    nodes["right"][first] = first


NODES = {
    "a cycle": cycle,
    "its own child": own_child,
    "child beyond the end": set_field("right", 10**6, "split"),
    "negative child": set_field("right", -5, "split"),
    "feature beyond the row": set_field("feature", 3, "split"),
    "negative feature": set_field("feature", -1, "split"),
    "feature of a leaf beyond the row": set_field("feature", 10**6, "leaf"),
    "leaf beyond the values": set_field("right", 10**6, "leaf"),
    "negative leaf": set_field("right", -1, "leaf"),
    "threshold NaN": set_field("number", np.nan, "split"),
    "leaf infinite": set_field("number", np.inf, "leaf"),
    "negative flags": set_field("flags", -1, "split"),
}


@pytest.mark.parametrize("attack", NODES)
def test_nodes(attack, copy):
    folder = copy("forest")
    change(folder / "0_nodes.npy", NODES[attack])
    with pytest.raises(ArtifactError, match="step 0"):
        PackedModel.load(folder)


def far_sets(nodes):
    nodes["flags"] = 2**30 + 2


def assign(value):
    def change(array):
        array.flat[0] = value

    return change


@pytest.mark.parametrize(
    ("name", "file", "attack"),
    [
        ("forest", "0_roots.npy", assign(10**6)),
        ("forest", "0_roots.npy", assign(-1)),
        ("forest", "0_values.npy", assign(np.nan)),
        ("boosting", "1_baseline.npy", assign(np.inf)),
        ("boosting", "1_nodes.npy", far_sets),
        ("linear", "0_coef.npy", assign(np.nan)),
        ("linear", "0_intercept.npy", assign(np.inf)),
        ("text", "0_source.npy", assign(6)),
        ("text", "0_source.npy", assign(-1)),
        ("text", "0_first.npy", assign(10**6)),
        ("text", "0_first.npy", assign(1)),
        ("text", "0_operations.npy", lambda array: array["code"].__setitem__(0, 9)),
        ("text", "0_operations.npy", lambda array: array["start"].__setitem__(0, -1)),
        ("text", "0_operations.npy", lambda array: array["start"].__setitem__(0, 2**31 - 1)),
        ("text", "0_operations.npy", lambda array: array["size"].__setitem__(0, 10**6)),
        ("text", "0_operations.npy", lambda array: array["size"].__setitem__(0, 1)),
        ("text", "0_operations.npy", lambda array: array["a"].__setitem__(0, np.nan)),
    ],
)
def test_numbers(name, file, attack, copy):
    folder = copy(name)
    assert change(folder / file, attack)
    with pytest.raises(ArtifactError, match="step"):
        PackedModel.load(folder)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3), np.float32),
        np.zeros((1, 3), ">f8"),
        np.zeros((1, 4)),
        np.zeros((2, 3)),
        np.zeros(3),
        np.zeros((1, 3, 1)),
        np.zeros((0, 3)),
        np.zeros((1, 3), "U2"),
        np.zeros((1, 3), "M8[s]"),
    ],
)
def test_shapes_and_types(array, copy):
    folder = copy("linear")
    np.save(folder / "0_coef.npy", array)
    with pytest.raises(ArtifactError):
        PackedModel.load(folder)


def test_nothing_is_unpickled(copy):
    folder = copy("linear")
    marker = folder / "ran"

    class Attack:
        def __reduce__(self):
            return (Path.touch, (marker,))

    np.save(folder / "0_coef.npy", np.array([[Attack()]], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="0_coef"):
        PackedModel.load(folder)
    (folder / "0_coef.npy").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ArtifactError, match="0_coef"):
        PackedModel.load(folder)
    assert not marker.exists()


def header(text: str) -> bytes:
    body = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (2**62,), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 3), }"),
        header("(" * 9000),
        header("__import__('os')"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3), }"),
    ],
)
def test_files_that_are_no_arrays(content, copy):
    folder = copy("linear")
    (folder / "0_coef.npy").write_bytes(content)
    with pytest.raises(ArtifactError, match="0_coef"):
        PackedModel.load(folder)


def test_archives_and_links(copy, made, tmp_path):
    folder = copy("linear")
    with (folder / "0_coef.npy").open("wb") as file:
        np.savez(file, coef=np.zeros((1, 3)))
    with pytest.raises(ArtifactError, match="0_coef"):
        PackedModel.load(folder)
    (folder / "0_coef.npy").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        PackedModel.load(folder)
    (folder / "0_coef.npy").symlink_to(made / "linear" / "0_coef.npy")
    with pytest.raises(ArtifactError, match="plain file"):
        PackedModel.load(folder)
    os.unlink(folder / "0_coef.npy")
    os.mkfifo(folder / "0_coef.npy")
    with pytest.raises(ArtifactError, match="plain file"):
        PackedModel.load(folder)


def edit(**changes):
    return lambda plan: plan | changes


def edit_step(**changes):
    return lambda plan: plan | {"steps": [plan["steps"][0] | changes]}


FEATURES = [{"name": n, "kind": "number", "words": []} for n in WHOLE]


@pytest.mark.parametrize(
    "attack",
    [
        edit(format=2),
        edit(format="1"),
        edit(extra=1),
        edit(task="ranking"),
        edit(task=MULTICLASS),
        edit(task="no such task"),
        edit(steps=[]),
        edit(features=[]),
        edit(features=FEATURES[:2]),
        edit(features=FEATURES[:2] * 2),
        edit(features=[*FEATURES, {"name": "more", "kind": "number"}]),
        edit(features=[{"name": "age", "kind": "code"}, *FEATURES[1:]]),
        edit(features=[{"name": "age", "kind": "text", "words": ["a", "a"]}, *FEATURES[1:]]),
        edit_step(kind="no such step"),
        edit_step(kind="forest"),
        edit_step(options={}),
        edit_step(options={"link": "identity", "sparse": 0}),
        edit_step(options={"link": "no such link", "sparse": False}),
        edit_step(options={"link": "multinomial_logit", "sparse": False}),
        edit_step(options={"link": "logit", "sparse": False, "more": 1}),
        edit_step(arrays={"coef": "0_coef.npy"}),
        edit_step(arrays={"coef": "0_coef.npy", "intercept": "../linear/0_intercept.npy"}),
        edit_step(arrays={"coef": "0_coef.npy", "intercept": "/etc/passwd"}),
        edit_step(arrays={"coef": "0_coef.npy", "intercept": "plan.json"}),
        edit_step(arrays={"coef": "0_coef.npy", "intercept": "0_intercept.npy\n"}),
        lambda plan: plan | {"steps": plan["steps"] * 2},
        lambda plan: [plan],
        lambda plan: {},
    ],
)
def test_plans(attack, copy):
    folder = copy("linear")
    plan = json.loads((folder / "plan.json").read_text())
    PackedModel.load(folder)
    (folder / "plan.json").write_text(json.dumps(attack(plan)))
    with pytest.raises(ArtifactError):
        PackedModel.load(folder)


@pytest.mark.parametrize("text", ["", "{", "\udcff", "[" * 100_000, '{"format": NaN}'])
def test_plans_that_are_no_json(text, copy):
    folder = copy("linear")
    (folder / "plan.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match="no plan"):
        PackedModel.load(folder)
    (folder / "plan.json").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        PackedModel.load(folder)


FUZZ = """
import random, sys, warnings
from pathlib import Path
import numpy as np
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.packed.errors import RowRefused
from mlops_assets.lifecycle.packed.model import PackedModel
warnings.simplefilter("ignore")
chance = random.Random(0)
refused = answered = 0
for folder in map(Path, sys.argv[1:]):
    files = sorted(folder.glob("*.npy"))
    for _ in range(120):
        file = chance.choice(files)
        good = file.read_bytes()
        bad = bytearray(good)
        # Past the header, so that what is found is not always the header.
        for _ in range(chance.choice([1, 1, 4])):
            bad[chance.randrange(64, len(bad))] = chance.randrange(256)
        file.write_bytes(bad)
        try:
            model = PackedModel.load(folder)
            rows = [[chance.choice([0.0, 1e9, -5.0, None]) for _ in model.features]]
            model.scores(model.encode(rows * chance.choice([3, 60])))
            answered += 1
        except (ArtifactError, RowRefused):
            refused += 1
        file.write_bytes(good)
print(refused, answered)
"""


def test_random_bytes_never_crash(copy):
    """In a process of its own: compiled code that reads out of bounds ends it."""
    folders = [str(copy(name)) for name in ("forest", "boosting", "linear", "text")]
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, *folders], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    refused, answered = map(int, done.stdout.split())
    assert refused > 50
    assert answered > 50


def change(file: Path, attack) -> bool:
    array = np.load(file)
    before = array.tobytes()
    attack(array)
    np.save(file, array)
    return array.tobytes() != before
