"""Model files that were crafted: nothing in them runs, fills memory or ends the process.

Most are signed all the same, so that what stops them is shown and not the signature. See
``test_attacks.py`` for where the other attacks are tested.
"""

import bz2
import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC, NuSVR
from sklearn.tree import DecisionTreeRegressor

from mlops_assets.lifecycle.artifact import MODEL_FILE, load_estimator, take_verified
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets_tests.lifecycle.test_rollout import MODEL
from mlops_assets_tests.lifecycle.yard import FRAME, Yard, two_lines
from mlops_assets_tests.serving.conftest import running, serves, wait_for

WIDE = np.random.default_rng(0).uniform(size=(300, 4))


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> dict[float, Path]:
    """Files of versions by what they answer to 1."""
    return two_lines(tmp_path_factory.mktemp("lines"))


@pytest.fixture
def yard(registry, lines) -> Yard:
    return Yard(registry, lines)


@pytest.fixture
def canary(tmp_path) -> Path:
    """What exists once foreign code has run."""
    return tmp_path / "it-ran"


class Payload:
    """Unpickled, it leaves a folder behind."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


# --- pickles in whatever wrapping -------------------------------------------------------------


def joblibbed(content, compress=0) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(content, buffer, compress=compress)
    return buffer.getvalue()


def as_schema(content) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", pickle.dumps(content))
    return buffer.getvalue()


def as_object_array(content) -> bytes:
    """A skops file with an array that numpy would have to unpickle."""
    array, buffer = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([content], dtype=object), allow_pickle=True)
    skops.io.dump(np.zeros(3), buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (n for n in members if n.endswith(".npy"))
    return zipped(members | {name: array.getvalue()})


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


WRAPPED = {
    "joblib": joblibbed,
    "joblib, compressed": lambda payload: joblibbed(payload, 3),
    "gzip": lambda payload: gzip.compress(pickle.dumps(payload)),
    "bz2": lambda payload: bz2.compress(pickle.dumps(payload)),
    "schema": as_schema,
    "object array": as_object_array,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_pickle_is_not_unpickled_in_whatever_wrapping(yard, canary, tmp_path, wrap):
    folder = yard.files()
    (folder / MODEL_FILE).write_bytes(wrap(Payload(canary)))
    version = yard.register(folder)
    with pytest.raises(ArtifactError, match=r"shop v1: .*can't be read as a skops file"):
        yard.registry.files.load(version, tmp_path)
    assert not canary.exists()


def test_the_payload_would_have_worked(canary):
    joblib.load(io.BytesIO(joblibbed(Payload(canary))))
    assert canary.exists()


# --- MLmodel ----------------------------------------------------------------------------------


def test_nobody_reads_mlmodel_so_that_nothing_in_it_can_matter(yard, canary):
    folder = yard.files()
    (folder / "MLmodel").write_text(f"!!python/object/apply:os.mkdir ['{canary}']\n\tno: yaml: {{")
    (folder / "python_env.yaml").unlink()
    version = yard.register(folder)
    yard.registry.set_alias(MODEL, CHAMPION, version.number)
    with running(yard.registry.settings) as client:
        wait_for(serves(client, version))
        body = client.post(f"/predict/{MODEL}", json={"x": 1.0}).json()
    assert body["predictions"][0]["prediction"] == pytest.approx(2.0)
    assert not canary.exists()


# --- bombs ------------------------------------------------------------------------------------


def refuses(folder: Path, said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        load_estimator(folder)


def members_of(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / MODEL_FILE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(folder: Path, members: dict[str, bytes]) -> None:
    (folder / MODEL_FILE).write_bytes(zipped(members))


def test_a_file_that_unpacks_to_more_than_itself_is_refused(yard):
    folder = yard.files()
    with zipfile.ZipFile(folder / MODEL_FILE, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("unused.npy", b" " * 50_000_000)
    refuses(folder, "unpacks to 5")


def test_a_schema_that_is_a_bomb_is_refused(yard):
    folder = yard.files()
    members = members_of(folder)
    with zipfile.ZipFile(folder / MODEL_FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content + b" " * 50_000_000)
    refuses(folder, "unpacks to")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_with_two_schemas_is_refused(yard):
    folder = yard.files()
    with zipfile.ZipFile(folder / MODEL_FILE, "a") as archive:
        archive.writestr("schema.json", "{}")
    refuses(folder, "two members of one name")


@pytest.mark.parametrize("identity", ["each", "none"])
def test_an_array_that_is_read_again_and_again_is_refused(yard, identity):
    folder = yard.files()
    skops.io.dump([np.full(1000, float(i)) for i in range(500)], folder / MODEL_FILE)
    members = members_of(folder)
    schema = json.loads(members["schema.json"])
    large = {"large.npy": next(c for n, c in members.items() if n.endswith(".npy"))}
    for state in schema["content"]:
        state["file"] = "large.npy"
        if identity == "none":
            del state["__id__"]
    rewrite(folder, large | {"schema.json": json.dumps(schema).encode()})
    refuses(folder, "members that are to be read several times")


def test_an_array_that_claims_to_be_endless_is_refused(yard):
    folder = yard.files()
    members = members_of(folder)
    for name in (n for n in members if n.endswith(".npy")):
        header = io.BytesIO()
        claim = {"descr": "<f8", "fortran_order": False, "shape": (2**50,)}
        np.lib.format.write_array_header_1_0(header, claim)
        members[name] = header.getvalue()
    rewrite(folder, members)
    refuses(folder, "can't be read as a skops file")


def test_a_file_of_very_many_members_is_refused(yard, monkeypatch):
    folder = yard.files()
    monkeypatch.setattr("mlops_assets.lifecycle.archive.MOST_MEMBERS", 100)
    rewrite(folder, members_of(folder) | {f"{i}.npy": b"" for i in range(100)})
    refuses(folder, "members where 100 are the most")


def test_a_member_that_would_leave_the_folder_stays_inside(yard, tmp_path):
    folder = yard.files()
    outside = tmp_path / "slipped"
    names = ["../slipped", f"../{'../' * 20}{outside}", str(outside)]
    rewrite(folder, members_of(folder) | dict.fromkeys(names, b"out"))
    assert yard.answers(yard.register(folder), tmp_path / "taken") == 2.0
    assert not outside.exists()
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name]


def test_a_huge_file_is_not_copied(yard, tmp_path):
    folder = yard.files()
    with (folder / "huge").open("wb") as sparse:
        sparse.truncate(5 * 2**30)
    with pytest.raises(ArtifactError, match="bytes where 4294967296 are the most"):
        take_verified(folder, tmp_path / "taken", "0" * 64)
    assert not (tmp_path / "taken").exists()


def test_very_many_files_are_not_copied(yard, tmp_path):
    folder = yard.files()
    for number in range(1001):
        (folder / str(number)).touch()
    with pytest.raises(ArtifactError, match="more than 1000 files"):
        take_verified(folder, tmp_path / "taken", "0" * 64)


def test_a_pipe_is_not_waited_for(yard, tmp_path):
    version = yard.register(folder := yard.files())
    (folder / "serving.json").unlink()
    os.mkfifo(folder / "serving.json")
    with pytest.raises(ArtifactError, match=r"shop v1: .*is a device or pipe"):
        yard.registry.files.take(version, tmp_path / "taken")


# --- links that are swapped -------------------------------------------------------------------


def test_a_folder_swapped_for_a_link_after_the_check_is_not_what_is_loaded(yard, tmp_path):
    version = yard.register(folder := yard.files(2.0))
    taken = yard.registry.files.take(version, tmp_path / "taken")
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(yard.files(3.0))
    assert load_estimator(taken).predict(FRAME[1:2]) == pytest.approx([2.0])


def test_a_hard_link_written_to_after_the_check_does_not_reach_the_copy(yard, tmp_path):
    version = yard.register(folder := yard.files(2.0))
    os.link(folder / MODEL_FILE, tmp_path / "the same file")
    taken = yard.registry.files.take(version, tmp_path / "taken")
    (tmp_path / "the same file").write_bytes((yard.files(3.0) / MODEL_FILE).read_bytes())
    assert load_estimator(taken).predict(FRAME[1:2]) == pytest.approx([2.0])
    with pytest.raises(ArtifactError, match=r"shop v1: .*not those that were trained"):
        yard.registry.files.take(version, tmp_path / "taken")


# --- trees that point out of themselves -------------------------------------------------------


def forest() -> RandomForestRegressor:
    return RandomForestRegressor(3, random_state=0, n_jobs=1).fit(WIDE, WIDE @ [1, 2, 3, 4])


def boosted() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=3).fit(WIDE, WIDE @ [1, 2, 3, 4])


def staged() -> GradientBoostingRegressor:
    return GradientBoostingRegressor(n_estimators=3, init="zero").fit(WIDE, WIDE[:, 0])


def bent(field: str, value: int, node: int = 0):
    """A forest with one number of one node changed."""
    estimator = forest()
    getattr(estimator.estimators_[1].tree_, field)[node] = value
    return estimator


def bent_boosting(field: str, value: int):
    estimator = boosted()
    estimator._predictors[1][0].nodes[field][0] = value
    return estimator


def narrow():
    """Says that it takes one feature, and its nodes ask for the fourth."""
    estimator = DecisionTreeRegressor().fit(WIDE, WIDE[:, 3])
    estimator.n_features_in_ = 1
    return estimator


def widthless():
    """Does not say how many features it takes, so that scikit-learn does not check."""
    estimator = boosted()
    del estimator.n_features_in_
    return estimator


def too_many_stages():
    """More trees a stage than there are sums to add them to."""
    estimator = staged()
    estimator.estimators_ = np.repeat(estimator.estimators_, 50, axis=1)
    return estimator


def stray():
    """A tree of a HistGradientBoosting where nobody would look for one."""
    estimator = LinearRegression().fit(WIDE, WIDE[:, 0])
    estimator.notes_ = {"a": [(np.array([boosted()._predictors[0][0]], dtype=object),)]}
    return estimator


def vectors(cut: str | None = None):
    """A support vector machine, with part of something cut off."""
    machine = SVC().fit(WIDE, np.arange(300) % 3)
    if cut is not None:
        whole = getattr(machine, cut)
        setattr(machine, cut, np.ascontiguousarray(whole[..., :1]))
    return machine


def regressed():
    return NuSVR().fit(WIDE, WIDE[:, 0])


SOUND = {
    "forest": forest,
    "boosted": boosted,
    "staged": staged,
    "vectors": vectors,
    "regressed": regressed,
}
UNSOUND = {
    "a child far beyond": lambda: bent("children_left", 2**40),
    "a child just beyond": lambda: bent("children_right", forest().estimators_[1].tree_.node_count),
    "a child before the first": lambda: bent("children_left", -5),
    "a child that is its own parent": lambda: bent("children_left", 0),
    "a child that is an ancestor": lambda: bent("children_right", 0, node=1),
    "one child": lambda: bent("children_right", -1),
    "a feature beyond": lambda: bent("feature", 2**40),
    "a feature just beyond": lambda: bent("feature", 4),
    "a feature before the first": lambda: bent("feature", -7),
    "fewer features than its nodes ask for": narrow,
    "boosting: a child far beyond": lambda: bent_boosting("left", 2**31),
    "boosting: a child that is its own parent": lambda: bent_boosting("right", 0),
    "boosting: a feature beyond": lambda: bent_boosting("feature_idx", 2**40),
    "boosting: a feature just beyond": lambda: bent_boosting("feature_idx", 4),
    "boosting: categories of a number": lambda: bent_boosting("is_categorical", 1),
    "boosting: of no known width": widthless,
    "stages: too many": too_many_stages,
    "a stray tree": stray,
    "vectors: too few coefficients": lambda: vectors("_dual_coef_"),
    "vectors: too few intercepts": lambda: vectors("_intercept_"),
    "vectors: of one class only": lambda: vectors("_n_support"),
}


def edited_schema(estimator, change) -> bytes:
    """A skops file whose tree nodes were changed in the schema."""
    buffer = io.BytesIO()
    skops.io.dump(estimator, buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(_tree_states(schema)[1], schema)
    return zipped(members | {"schema.json": json.dumps(schema).encode()})


def _tree_states(value) -> list[dict]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    own = [value] if isinstance(value, dict) and value.get("__loader__") == "TreeNode" else []
    return own + [state for part in inner for state in _tree_states(part)]


def count_no_nodes(tree: dict, schema: dict) -> None:
    tree["content"]["content"]["node_count"] |= {"content": "0", "__id__": 1}


def claim_outputs(tree: dict, schema: dict) -> None:
    tree["__reduce__"]["args"]["content"][2] |= {"content": str(2**30), "__id__": 1}


IN_THE_SCHEMA = {
    "no nodes": count_no_nodes,
    "more outputs than there are": claim_outputs,
}

LOADS = """
import sys
from pathlib import Path
from mlops_assets.lifecycle.artifact import load_estimator
from mlops_assets.lifecycle.errors import ArtifactError
for folder in sys.argv[1:]:
    try:
        load_estimator(Path(folder))
        print("loaded", flush=True)
    except ArtifactError as error:
        print("refused", error, flush=True)
"""
ASKS = """
import sys
import numpy as np, skops.io
from mlops_assets.lifecycle.artifact import TRUSTED_TYPES
estimator = skops.io.load(sys.argv[1], trusted=list(TRUSTED_TYPES))
estimator.predict(np.full((1, estimator.n_features_in_), 0.0))
"""


def crafted(folder: Path) -> dict[str, Path]:
    """A folder with a model file for each way to be unsound."""
    made = {}
    for number, (name, make) in enumerate((UNSOUND | IN_THE_SCHEMA).items()):
        made[name] = folder / str(number)
        made[name].mkdir()
        content = edited_schema(forest(), make) if name in IN_THE_SCHEMA else skops.io.dumps(make())
        (made[name] / MODEL_FILE).write_bytes(content)
    return made


def in_a_process(code: str, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_trees_that_point_out_of_themselves_are_refused_before_they_are_asked(tmp_path):
    made = crafted(tmp_path)
    run = in_a_process(LOADS, *made.values())
    assert run.returncode == 0, run.stderr
    for name, said in zip(made, run.stdout.splitlines(), strict=True):
        assert said.startswith("refused"), f"{name}: {said}"
        assert "is not sound" in said or name == "more outputs than there are", f"{name}: {said}"


@pytest.mark.parametrize(
    "name", ["a child far beyond", "a feature beyond", "boosting: a child far beyond"]
)
def test_they_would_have_ended_the_server(tmp_path, name):
    skops.io.dump(UNSOUND[name](), tmp_path / MODEL_FILE)
    run = in_a_process(ASKS, tmp_path / MODEL_FILE)
    assert run.returncode < 0, f"ended by a signal, not {run.returncode}: {run.stderr}"


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_sound_trees_are_loaded_and_answer_the_same(tmp_path, make):
    estimator = make()
    skops.io.dump(estimator, tmp_path / MODEL_FILE)
    loaded = load_estimator(tmp_path)
    np.testing.assert_array_equal(loaded.predict(WIDE), estimator.predict(WIDE))
