"""Attacks on versions, registry, promotion and journal: nothing runs, nothing changes, all is told.

Each is built for real: real files, a real MLflow registry in a temporary folder, and where it
matters the real server. The attacker can do what somebody with access to the registry, the files or
the database can; he does not have the signing key. Where a file was crafted, it is signed all the
same, so that what stops it is shown and not the signature.

Tested elsewhere, and not again here:

- a pickle under the name of ``model.skops``, or inside of one; MLmodel with ``loader_module`` and
  ``code``, with trusted types of its own, with ``model_path`` or ``pickled_model: ../outside``;
  files added, removed, renamed, swapped; links in a version; files swapped after the check; an
  alias on a version without a digest: ``test_artifact.py``
- envelopes forged, cut, or of another key; whose key counts: ``test_signing.py``
- a pickle that is imported and attacks; bombs in it: ``test_pickles.py``
- rows of the hold-out in the training, a hold-out from before its end, answers of NaN, one answer
  to many rows, an edited gate has another hash: ``test_evaluation.py``
- few units, NaN against a floor or a bound: ``test_gate.py``
- a verdict bound to something else, a champion set by hand, a crash between any two writes of a
  promotion or rollback, two promotions at once, files changed before a promotion or rollback,
  rows of the journal edited, removed, swapped, put in: ``test_rollout.py``
- the gate edited between verdict and promotion, a forged report, deployment run alone:
  ``test_gate_in_dagster.py``
- a champion that can't be loaded while the old one serves: ``serving/test_server.py``
"""

import bz2
import gzip
import http.server
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import sqlalchemy as sa
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC, NuSVR
from sklearn.tree import DecisionTreeRegressor

from mlops_assets.lifecycle import signing, training
from mlops_assets.lifecycle.artifact import (
    MODEL_FILE,
    Feature,
    Serving,
    folder_digest,
    load_estimator,
    take_verified,
    write_version,
)
from mlops_assets.lifecycle.errors import ArtifactError, EvidenceError, RolloutError
from mlops_assets.lifecycle.evaluation import Candidate, evaluate
from mlops_assets.lifecycle.fingerprint import row_hashes
from mlops_assets.lifecycle.recording import read_candidate, read_record, read_reference, record
from mlops_assets.lifecycle.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry, Version
from mlops_assets.lifecycle.signing_keys import make_pair
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets_tests.harness import visits, week, weekly
from mlops_assets_tests.lifecycle.test_rollout import MODEL, Crash, Shop, dies_after
from mlops_assets_tests.serving.conftest import running, serves, wait_for

FRAME = pd.DataFrame({"x": np.arange(30.0)})
WIDE = np.random.default_rng(0).uniform(size=(300, 4))


def line(folder: Path, slope: float = 2.0) -> tuple[Path, str]:
    """The files of a model that answers ``slope * x``, and their digest."""
    serving = Serving(
        model=MODEL,
        task="regression",
        features=[Feature(name="x", dtype="float64")],
        unit=None,
        time=None,
        key=[],
    )
    estimator = LinearRegression().fit(FRAME, slope * FRAME["x"])
    return folder, write_version(folder, estimator, serving, FRAME[:2], np.zeros(2))


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> dict[float, Path]:
    """Files of versions by what they answer to 1."""
    folder = tmp_path_factory.mktemp("lines")
    return {slope: line(folder / str(slope), slope)[0] for slope in (2.0, 3.0)}


class Yard:
    """A registry whose versions answer differently, to be attacked."""

    def __init__(self, registry: Registry, lines: dict[float, Path]):
        self.registry, self.lines = registry, lines

    def files(self, slope: float = 2.0) -> Path:
        """Files that may be tampered with, where versions are kept."""
        place = self.registry.settings.home / "files" / os.urandom(4).hex()
        return Path(shutil.copytree(self.lines[slope], place))

    def register(self, folder: Path, **tags: str) -> Version:
        """Register and sign what is in a folder now."""
        said = {"digest": folder_digest(folder)} | tags
        return self.registry.create(MODEL, folder.as_uri(), "", None, said)

    def forge(self, source: str, tags: dict[str, str], model: str = MODEL) -> Version:
        """Register past the platform, as whoever can write to the registry can."""
        made = self.registry.client.create_model_version(
            model, source, tags={f"mlops.{name}": value for name, value in tags.items()}
        )
        return self.registry.version(model, int(made.version))

    def answers(self, version: Version, folder: Path) -> float:
        """What a version answers to 1, loaded the way everybody loads it."""
        estimator = self.registry.load(version, folder)
        return round(float(estimator.predict(pd.DataFrame({"x": [1.0]}))[0]), 9)


@pytest.fixture
def yard(registry, lines) -> Yard:
    return Yard(registry, lines)


@pytest.fixture
def shop(registry, lines) -> Shop:
    return Shop(registry, (lines[2.0], folder_digest(lines[2.0])))


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
        yard.registry.load(version, tmp_path)
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
        yard.registry.take(version, tmp_path / "taken")


# --- links that are swapped -------------------------------------------------------------------


def test_a_folder_swapped_for_a_link_after_the_check_is_not_what_is_loaded(yard, tmp_path):
    version = yard.register(folder := yard.files(2.0))
    taken = yard.registry.take(version, tmp_path / "taken")
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(yard.files(3.0))
    assert load_estimator(taken).predict(FRAME[1:2]) == pytest.approx([2.0])


def test_a_hard_link_written_to_after_the_check_does_not_reach_the_copy(yard, tmp_path):
    version = yard.register(folder := yard.files(2.0))
    os.link(folder / MODEL_FILE, tmp_path / "the same file")
    taken = yard.registry.take(version, tmp_path / "taken")
    (tmp_path / "the same file").write_bytes((yard.files(3.0) / MODEL_FILE).read_bytes())
    assert load_estimator(taken).predict(FRAME[1:2]) == pytest.approx([2.0])
    with pytest.raises(ArtifactError, match=r"shop v1: .*not those that were trained"):
        yard.registry.take(version, tmp_path / "taken")


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


# --- signatures -------------------------------------------------------------------------------


def test_a_version_that_nobody_signed_is_refused_and_the_champion_serves_on(yard, tmp_path):
    champion = yard.register(yard.files(2.0))
    folder = yard.files(3.0)
    forged = yard.forge(folder.as_uri(), {"digest": folder_digest(folder)})
    assert_not_served(yard, champion, forged, "it is not signed", tmp_path)


def test_a_valid_signature_of_somebody_else_is_refused(yard, tmp_path):
    champion = yard.register(yard.files(2.0))
    make_pair(tmp_path / "mallory.pem")
    settings = replace(yard.registry.settings, signing_key=tmp_path / "mallory.pem")
    mallory = Yard(Registry(settings), yard.lines)
    forged = mallory.register(mallory.files(3.0))
    assert mallory.answers(forged, tmp_path / "mallory") == 3.0
    assert_not_served(yard, champion, forged, "which is not trusted here", tmp_path)


def test_an_old_signed_version_is_not_taken_under_a_new_number(yard, tmp_path):
    old = yard.register(yard.files(3.0))
    champion = yard.register(yard.files(2.0))
    replayed = yard.forge(old.source, old.tags)
    assert_not_served(yard, champion, replayed, "its signature is that of shop v1", tmp_path)


def assert_not_served(yard: Yard, champion: Version, other: Version, said: str, folder: Path):
    """The champion serves, the alias is moved to the other one, the champion serves on."""
    with pytest.raises(ArtifactError, match=rf"{other}: .*{said}"):
        yard.registry.load(other, folder / "taken")
    yard.registry.set_alias(MODEL, CHAMPION, champion.number)
    with running(yard.registry.settings) as client:
        wait_for(serves(client, champion))
        yard.registry.set_alias(MODEL, CHAMPION, other.number)
        problem = wait_for(lambda: client.get(f"/v2/models/{MODEL}").json()["problem"])
        assert said in problem
        assert f"version {other.number} " in problem
        body = client.post(f"/predict/{MODEL}", json={"x": 1.0}).json()
        assert body["version"] == champion.number
        assert body["predictions"][0]["prediction"] == pytest.approx(2.0)


def test_a_signed_version_is_not_taken_under_another_models_name(yard, tmp_path):
    signed = yard.register(yard.files())
    yard.registry.client.create_registered_model("pricing")
    forged = yard.forge(signed.source, signed.tags, model="pricing")
    with pytest.raises(ArtifactError, match="pricing v1: its signature is that of shop v1"):
        yard.registry.take(forged, tmp_path)


def test_files_swapped_together_with_their_digest_are_refused(yard, tmp_path):
    version = yard.register(folder := yard.files(2.0))
    shutil.rmtree(folder)
    shutil.copytree(yard.lines[3.0], folder)
    digest = folder_digest(folder)
    yard.registry.client.set_model_version_tag(MODEL, "1", "mlops.digest", digest)
    edited = yard.registry.version(MODEL, version.number)
    with pytest.raises(ArtifactError, match=r"shop v1: .*not as they were signed: digest"):
        yard.registry.take(edited, tmp_path)


def test_unsigned_versions_of_before_are_taken_where_the_operator_says_so(yard, tmp_path):
    folder = yard.files()
    yard.registry.client.create_registered_model(MODEL)
    old = yard.forge(folder.as_uri(), {"digest": folder_digest(folder)})
    with pytest.raises(ArtifactError, match="MLOPS_ALLOW_UNSIGNED"):
        yard.registry.take(old, tmp_path)
    settings = replace(yard.registry.settings, allow_unsigned=True)
    allowing = Yard(Registry(settings), yard.lines)
    assert allowing.answers(old, tmp_path) == 2.0
    wrong = yard.forge(folder.as_uri(), old.tags | {"signature": "{}"})
    with pytest.raises(ArtifactError, match="shop v2: its signature can't be read"):
        allowing.registry.take(wrong, tmp_path)
    (folder / "added").touch()
    with pytest.raises(ArtifactError, match="not those that were trained"):
        allowing.registry.take(old, tmp_path)


def test_a_version_that_a_crash_left_unsigned_is_not_found_again(yard, tmp_path, monkeypatch):
    def crash(*_):
        raise Crash

    inputs = {"fingerprint": "f" * 32}
    with monkeypatch.context() as patched:
        patched.setattr(signing, "sign", crash)
        with pytest.raises(Crash):
            yard.register(yard.files(), **inputs)
    half = yard.registry.version(MODEL, 1)
    with pytest.raises(ArtifactError, match="it is not signed"):
        yard.registry.take(half, tmp_path)
    assert yard.registry.find(MODEL, inputs["fingerprint"]) is None
    whole = yard.register(yard.files(), **inputs)
    assert yard.registry.find(MODEL, inputs["fingerprint"]) == whole


def test_a_replay_is_not_found_in_place_of_what_was_trained(yard):
    trained = yard.register(yard.files(), fingerprint="f" * 32)
    yard.forge(trained.source, trained.tags)
    assert yard.registry.find(MODEL, "f" * 32) == trained


# --- files that are said to lie elsewhere -----------------------------------------------------


@pytest.fixture
def listener():
    """A web server that remembers what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(asked=asked, host=f"127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "source",
    [
        "http://{host}/model",
        "mlflow-artifacts://{host}/model",
        "http://169.254.169.254/latest/meta-data/iam",
        "file:///etc",
        "/etc",
        "file://{host}/{home}/files/model",
        "{home}/../elsewhere",
        "file://{home}/files/%2e%2e/%2e%2e/elsewhere",
        "file://{home}/link",
        "file://{home}/files/model?x",
        "files/model",
        "s3://somebody-elses/model",
        "runs:/0123/model",
    ],
)
def test_files_that_are_said_to_lie_elsewhere_are_not_even_asked_for(
    yard, listener, tmp_path, source
):
    home = yard.registry.settings.home
    shutil.copytree(yard.lines[2.0], home / "files" / "model")
    shutil.copytree(yard.lines[2.0], home.parent / "elsewhere")
    (home / "link").symlink_to(home.parent / "elsewhere")
    tags = {"digest": folder_digest(yard.lines[2.0])}
    place = source.format(host=listener.host, home=home)
    version = yard.registry.create(MODEL, place, "", None, tags)
    assert version.source == place
    with pytest.raises(ArtifactError, match="shop v1: its files are said to lie at"):
        yard.registry.take(version, tmp_path / "taken")
    assert listener.asked == []
    assert not (tmp_path / "taken").exists()


def test_an_experiment_made_for_it_does_not_open_another_place(yard, listener, tmp_path):
    client = yard.registry.client
    client.create_experiment(MODEL, artifact_location=f"mlflow-artifacts://{listener.host}/x")
    version = yard.register(yard.files())
    moved = replace(version, source=f"mlflow-artifacts://{listener.host}/x/model")
    with pytest.raises(ArtifactError, match="its files are said to lie at"):
        yard.registry.take(moved, tmp_path)
    assert listener.asked == []


# --- the evidence of a training ---------------------------------------------------------------


@pytest.fixture
def recorded(registry) -> tuple[Registry, ModelSpec, Version]:
    """A version as training records it."""
    spec = ModelSpec.model_validate(weekly())
    frame = visits(3, 200)
    frames = {week(i): frame[i * 200 : (i + 1) * 200].reset_index(drop=True) for i in range(3)}
    seen, unseen = training.split(spec, frames)
    data = training.TrainingData.of(spec, seen, unseen, "code-1")
    client = registry.client
    experiment = client.create_experiment(spec.name, registry.settings.artifact_url)
    run = client.create_run(experiment, tags={"mlflow.source.git.commit": "none"})
    window = spec.grid.window(week(2))
    model = record(registry, spec, window, data, training.fit(spec, data.seen), run, "run")
    return registry, spec, registry.version(spec.name, model.version)


def logged(registry: Registry, version: Version, name: str) -> Path:
    (found,) = registry.settings.home.rglob(f"{version.run_id}/artifacts/{name}")
    return found


def test_training_rows_can_not_be_taken_back_after_the_training(recorded, tmp_path):
    registry, _, version = recorded
    assert len(read_candidate(registry, version, tmp_path).training_rows) == 400
    np.save(logged(registry, version, "training_rows.npy"), np.zeros(0, dtype=np.uint64))
    with pytest.raises(ArtifactError, match=r"shop v1: training_rows.npy .*not what the version"):
        read_candidate(registry, version, tmp_path)


def test_the_end_of_the_training_can_not_be_put_earlier(recorded, tmp_path):
    registry, _, version = recorded
    file = logged(registry, version, "trained_model.json")
    facts = json.loads(file.read_text())
    assert read_record(registry, version).trained_until is not None
    file.write_text(json.dumps(facts | {"trained_until": "2000-01-01T00:00:00+00:00"}))
    with pytest.raises(ArtifactError, match=r"trained_model.json .*not what the version"):
        read_candidate(registry, version, tmp_path)


def test_the_reference_of_drift_can_not_be_exchanged(recorded):
    registry, _, version = recorded
    calm = read_reference(registry, version)
    calm.assign(interest=0.0).to_parquet(logged(registry, version, "reference.parquet"))
    with pytest.raises(ArtifactError, match=r"reference.parquet .*not what the version"):
        read_reference(registry, version)


def test_a_champion_whose_files_are_gone_is_no_missing_champion(recorded, tmp_path):
    registry, _, version = recorded
    registry.set_alias("shop", CHAMPION, version.number)
    (model,) = registry.settings.home.rglob(MODEL_FILE)
    shutil.rmtree(model.parent)
    champion = registry.at("shop", CHAMPION)
    with pytest.raises(ArtifactError, match="shop v1: the version's files are gone"):
        read_candidate(registry, champion, tmp_path)


# --- gaming the gate --------------------------------------------------------------------------


def judged(spec: ModelSpec, estimator, rival=None):
    frame = visits(3, 200)
    frames = {week(i): frame[i * 200 : (i + 1) * 200].reset_index(drop=True) for i in range(3)}
    seen, held = training.split(spec, frames)
    hashes = row_hashes(training.join_windows(seen))
    fitted = training.join_windows(seen)

    def candidate(number, model):
        model.fit(fitted[["interest", "minutes"]], fitted["bought"])
        version = Version("shop", number, "", "", {"digest": str(number)}, 0)
        return Candidate(version, model, hashes, datetime(2000, 1, 1, tzinfo=UTC))

    champion = None if rival is None else candidate(1, rival)
    return evaluate(spec, week(2), seen, held, candidate(2, estimator), champion).verdict


@pytest.mark.parametrize("strategy", ["prior", "most_frequent", "stratified", "uniform"])
def test_a_model_that_always_says_the_same_is_not_accepted(strategy):
    spec = ModelSpec.model_validate(weekly())
    constant = DummyClassifier(strategy=strategy, random_state=0)
    first = judged(spec, constant)
    assert (first.verdict, first.accepted) == ("below_floor", False)
    floorless = ModelSpec.model_validate(weekly(gate__floor={"log_loss": 99.0}))
    against = judged(floorless, constant, LogisticRegression())
    assert (against.verdict, against.accepted) == ("worse", False)


# --- aliases ----------------------------------------------------------------------------------


def test_what_a_moved_alias_can_and_can_not_do(yard, shop):
    """A signed version is served, for aliases say what serves; promotion does not build on it."""
    shop.promote(shop.register())
    unjudged = yard.register(yard.files(3.0))
    with running(yard.registry.settings) as client:
        wait_for(serves(client, yard.registry.version(MODEL, 1)))
        yard.registry.set_alias(MODEL, CHAMPION, unjudged.number)
        wait_for(serves(client, unjudged))
        with pytest.raises(RolloutError, match="moved by hand"):
            shop.promote(shop.register())
        assert shop.rollback().version == 1
        wait_for(serves(client, yard.registry.version(MODEL, 1)))
    assert shop.champions() == [1, 1]
    assert shop.journal.verify() == 4


def test_a_version_that_nobody_signed_is_not_promoted(shop, yard):
    shop.promote(shop.register())
    folder = yard.files()
    forged = yard.forge(folder.as_uri(), {"digest": shop.digest})
    with pytest.raises(ArtifactError, match="shop v2: it is not signed"):
        shop.promote(forged.number)
    assert shop.aliases == {CHAMPION: 1}
    assert shop.journal.verify() == 2


# --- rollback targets that are gone -----------------------------------------------------------


def test_a_rollback_to_a_version_that_was_deleted_leaves_the_champion(shop):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    shop.registry.client.delete_model_version(MODEL, "1")
    with pytest.raises(ArtifactError, match="shop has no version 1"):
        shop.rollback()
    assert shop.aliases[CHAMPION] == 2
    assert shop.journal.unfinished(MODEL) is None
    shop.promote(shop.register())
    assert shop.aliases == {CHAMPION: 3, PREVIOUS: 2}


def delete(shop: Shop, number: int) -> None:
    shop.registry.client.delete_model_version(MODEL, str(number))


def change(shop: Shop, number: int) -> None:
    (shop.folder(number) / "added").touch()


@pytest.mark.parametrize("harm", [delete, change])
@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_promotion_that_died_and_whose_version_is_gone_is_taken_back(shop, writes, harm):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    third = shop.register()
    shop.registry.set_alias(MODEL, CHALLENGER, third)
    assert dies_after(shop, writes, lambda dying: dying.promote(third))
    harm(shop, third)
    entry = shop.rollback()
    assert (entry.state, entry.action, entry.version) == ("void", "promote", 3)
    assert "taken back: shop" in entry.why
    assert (shop.aliases[CHAMPION], shop.aliases[PREVIOUS]) == (2, 1)
    shop.promote(shop.register())
    assert (shop.aliases[CHAMPION], shop.aliases[PREVIOUS]) == (4, 2)
    assert shop.champions() == [1, 2, 4]
    shop.journal.verify()


@pytest.mark.parametrize("harm", [delete, change])
def test_a_rollback_that_died_and_whose_target_is_gone_leaves_the_champion(shop, harm):
    for number in (shop.register(), shop.register()):
        shop.promote(number)
    assert dies_after(shop, 2, lambda dying: dying.rollback())
    harm(shop, 1)
    with pytest.raises(ArtifactError, match="shop"):
        shop.rollback()
    assert shop.aliases[CHAMPION] == 2
    shop.promote(shop.register())
    assert shop.aliases[CHAMPION] == 3
    assert shop.champions() == [1, 2, 3]


# --- the journal ------------------------------------------------------------------------------


def test_on_an_edited_journal_nothing_is_promoted_but_what_is_bad_can_be_taken_back(shop):
    for number in (shop.register(), shop.register(), shop.register()):
        shop.promote(number)
    shop.rollback()
    with sa.create_engine(shop.journal.url).begin() as database:  # v3 was never rolled back
        database.execute(sa.text("DELETE FROM rollout_journal WHERE action = 'rollback'"))
        database.execute(sa.text("UPDATE rollout_journal SET who = 'nobody' WHERE seq = 2"))
    for number in (3, shop.register()):
        with pytest.raises(EvidenceError, match="the chain breaks at row 2"):
            shop.promote(number)
    assert shop.aliases == {CHAMPION: 2, PREVIOUS: 1}
    with pytest.raises(EvidenceError):
        shop.journal.verify()
    shop.rollback()
    assert shop.aliases[CHAMPION] != 2
