"""Attacks on a version's files: whatever they say, nothing but the judged model is ever loaded."""

import os
import pickle
import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_array

from mlops_assets.lifecycle.artifact import (
    MODEL_FILE,
    Feature,
    Serving,
    folder_digest,
    load_estimator,
    read_example,
    read_serving,
    take_verified,
    write_version,
)
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.registry import CHAMPION

FRAME = pd.DataFrame({"x": np.arange(30.0)})
SERVING = Serving(
    model="shop",
    task="regression",
    features=[Feature(name="x", dtype="float64")],
    unit=None,
    time=None,
    key=[],
)


class Foreign(BaseEstimator):
    """An estimator of a class that nobody trusts."""

    def fit(self, x, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, x):
        return np.full(len(x), self.mean_)


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.fixture(scope="session")
def honest(tmp_path_factory) -> tuple[Path, str]:
    """A version as training writes it, and its digest."""
    folder = tmp_path_factory.mktemp("honest") / "model"
    estimator = LinearRegression().fit(FRAME, 2 * FRAME["x"])
    return folder, write_version(folder, estimator, SERVING, FRAME[:2], np.zeros(2))


@pytest.fixture
def files(honest, home) -> Path:
    """The version's files in a folder that may be tampered with."""
    return Path(shutil.copytree(honest[0], home / "files" / "model"))


@pytest.fixture
def marker(tmp_path) -> Path:
    """What exists once foreign code has run."""
    return tmp_path / "it-ran"


def doubles(estimator) -> bool:
    return np.allclose(estimator.predict(FRAME), 2 * FRAME["x"])


# --- an honest version ----------------------------------------------------------------------


def test_an_honest_version_comes_back_as_it_was(honest, tmp_path):
    folder, digest = honest
    taken = take_verified(folder, tmp_path / "taken", digest)
    assert doubles(load_estimator(taken))
    assert read_serving(taken) == SERVING
    pd.testing.assert_frame_equal(read_example(taken), FRAME[:2])


@pytest.mark.parametrize(
    "estimator",
    [HistGradientBoostingRegressor(max_iter=3), RandomForestClassifier(3, random_state=0)],
    ids=lambda e: type(e).__name__,
)
def test_trees_are_on_the_platforms_list(tmp_path, estimator):
    fitted = estimator.fit(FRAME, FRAME["x"] > 15)
    write_version(tmp_path / "model", fitted, SERVING, FRAME[:2], np.zeros(2))
    loaded = load_estimator(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(FRAME), fitted.predict(FRAME))


def test_the_digest_is_of_names_and_contents_not_of_times_or_places(files, honest, tmp_path):
    for file in files.rglob("*"):
        os.utime(file, (0, 0))
    assert folder_digest(files) == honest[1]
    assert folder_digest(files.rename(tmp_path / "elsewhere")) == honest[1]


# --- files that changed after registration --------------------------------------------------


def add(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("print('hello')")


def add_hidden_below(folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / ".hidden").touch()


def remove(folder: Path) -> None:
    (folder / "serving.json").unlink()


def change_a_byte(folder: Path) -> None:
    file = folder / MODEL_FILE
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


def cut_short(folder: Path) -> None:
    file = folder / "example.parquet"
    file.write_bytes(file.read_bytes()[:-1])


def rename(folder: Path) -> None:
    (folder / "serving.json").rename(folder / "Serving.json")


def move_below(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / MODEL_FILE).rename(folder / "sub" / MODEL_FILE)


def swap_two(folder: Path) -> None:
    one, other, spare = folder / MODEL_FILE, folder / "serving.json", folder / "spare"
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def edit_trusted_types(folder: Path) -> None:
    edit_mlmodel(folder, skops_trusted_types=["posix.system"])


CHANGES = [
    add,
    add_hidden_below,
    remove,
    change_a_byte,
    cut_short,
    rename,
    move_below,
    swap_two,
    edit_trusted_types,
]


def edit_mlmodel(folder: Path, **changes) -> None:
    """Change what the model file says about how it wants to be loaded by MLflow."""
    file = folder / "MLmodel"
    content = yaml.safe_load(file.read_text())
    content["flavors"]["sklearn"] |= changes
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("change", CHANGES)
def test_files_that_changed_are_refused_and_no_copy_stays(files, honest, tmp_path, change):
    change(files)
    with pytest.raises(ArtifactError, match="not those that were trained"):
        take_verified(files, tmp_path / "taken", honest[1])
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_the_registry_refuses_them_too(files, honest, registry, tmp_path, change):
    version = registry.create("shop", files.as_uri(), "", None, {"digest": honest[1]})
    assert doubles(registry.files.load(version, tmp_path / "before"))
    change(files)
    with pytest.raises(ArtifactError, match="not those that were trained"):
        registry.files.load(version, tmp_path / "after")


def test_files_that_are_gone_are_refused(files, honest, registry, tmp_path):
    version = registry.create("shop", files.as_uri(), "", None, {"digest": honest[1]})
    shutil.rmtree(files)
    with pytest.raises(ArtifactError):
        registry.files.load(version, tmp_path / "taken")


# --- links ----------------------------------------------------------------------------------


def test_a_link_is_refused_though_it_points_at_the_same_bytes(files, honest, tmp_path):
    (files / MODEL_FILE).rename(tmp_path / "outside")
    (files / MODEL_FILE).symlink_to(tmp_path / "outside")
    with pytest.raises(ArtifactError, match="is a link"):
        take_verified(files, tmp_path / "taken", honest[1])


def test_a_link_to_a_folder_and_a_link_to_nothing_are_refused(files, tmp_path):
    (files / "code").symlink_to(tmp_path)
    with pytest.raises(ArtifactError, match="is a link"):
        folder_digest(files)
    (files / "code").unlink()
    (files / "code").symlink_to(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match="is a link"):
        folder_digest(files)


def test_files_swapped_after_the_check_are_not_those_that_are_loaded(files, honest, tmp_path):
    taken = take_verified(files, tmp_path / "taken", honest[1])
    skops.io.dump(LinearRegression().fit(FRAME, -FRAME["x"]), files / MODEL_FILE)
    assert doubles(load_estimator(taken))


def test_what_lay_in_the_private_folder_before_does_not_get_in(files, honest, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "planted.py").touch()
    taken = take_verified(files, tmp_path / "taken", honest[1])
    assert not (taken / "planted.py").exists()


# --- files that were crafted, and registered with their own digest --------------------------


@pytest.mark.parametrize("dump", [pickle.dumps, lambda p: pickle.dumps([p], protocol=0)])
def test_a_pickle_by_the_name_of_a_skops_file_is_not_unpickled(files, marker, dump):
    (files / MODEL_FILE).write_bytes(dump(Payload(marker)))
    with pytest.raises(ArtifactError, match="can't be read as a skops file"):
        load_estimator(files)
    assert not marker.exists()
    pickle.loads((files / MODEL_FILE).read_bytes())
    assert marker.exists(), "the attack would have worked"


def test_a_pickle_inside_of_a_skops_file_is_not_unpickled(files, marker):
    with zipfile.ZipFile(files / MODEL_FILE, "a") as archive:
        archive.writestr("payload.pkl", pickle.dumps(Payload(marker)))
        archive.writestr("../slipped.txt", "out of the folder")
    assert doubles(load_estimator(files))
    assert not marker.exists()
    assert not (files.parent / "slipped.txt").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x04N.", b"{}"], ids=["empty", "zip", "pickle", "json"]
)
def test_a_file_that_is_no_skops_file_is_refused(files, content):
    (files / MODEL_FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match="can't be read as a skops file"):
        load_estimator(files)


@pytest.mark.parametrize("schema", [None, "", "[]", "null", "{}", '{"__loader__": "Nobody"}'])
def test_a_skops_file_without_a_proper_schema_is_refused(files, schema):
    with zipfile.ZipFile(files / MODEL_FILE, "w") as archive:
        archive.writestr("other.json", "{}")
        if schema is not None:
            archive.writestr("schema.json", schema)
    with pytest.raises(ArtifactError, match="can't be read as a skops file"):
        load_estimator(files)


def test_a_skops_file_whose_content_is_damaged_or_endlessly_nested_is_refused(files):
    with zipfile.ZipFile(files / MODEL_FILE, "w") as archive:
        archive.writestr("schema.json", "[" * 200_000)
    with pytest.raises(ArtifactError, match="can't be read as a skops file"):
        load_estimator(files)
    content = bytearray((files / MODEL_FILE).read_bytes())
    content[45:60] = b"\xff" * 15
    (files / MODEL_FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match="can't be read as a skops file"):
        load_estimator(files)


def test_a_version_without_its_model_file_is_refused(files):
    (files / MODEL_FILE).unlink()
    with pytest.raises(ArtifactError):
        load_estimator(files)


def test_a_class_that_is_not_on_the_list_is_refused_by_name(files):
    skops.io.dump(Foreign().fit(FRAME, FRAME["x"]), files / MODEL_FILE)
    with pytest.raises(ArtifactError, match=r"not allowed: .*test_artifact\.Foreign"):
        load_estimator(files)


def test_a_class_that_the_operator_trusts_is_loaded(files):
    skops.io.dump(Foreign().fit(FRAME, FRAME["x"]), files / MODEL_FILE)
    loaded = load_estimator(files, (f"{Foreign.__module__}.Foreign",))
    assert loaded.predict(FRAME)[0] == FRAME["x"].mean()


def test_a_class_that_is_not_on_the_list_does_not_get_into_a_version(tmp_path):
    estimator = Foreign().fit(FRAME, FRAME["x"])
    with pytest.raises(ArtifactError, match=r"test_artifact\.Foreign"):
        write_version(tmp_path / "model", estimator, SERVING, FRAME[:2], np.zeros(2))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("trusted", ["posix.system", f"{Foreign.__module__}.Foreign"])
def test_a_model_that_names_its_own_classes_as_trusted_is_refused(files, trusted):
    crafted = (
        make_pipeline(FunctionTransformer(os.system), LinearRegression())
        if trusted == "posix.system"
        else Foreign().fit(FRAME, FRAME["x"])
    )
    skops.io.dump(crafted, files / MODEL_FILE)
    edit_mlmodel(files, skops_trusted_types=[trusted])
    skops.io.load(files / MODEL_FILE, trusted=[trusted])  # what MLflow would do
    with pytest.raises(ArtifactError, match=f"not allowed: {trusted}"):
        load_estimator(files)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (partial(os.system, "true"), r"not allowed: posix\.system"),
        (partial(np.fromfile, "/etc/passwd"), "not allowed|bound to 'fromfile'"),
        (partial(np.exp, where=False), "bound to 'exp'"),
        (partial(check_array, ensure_all_finite=True, dtype=None), "bound to 'check_array'"),
        (partial(check_array, [[1.0]], dtype=[np.float64], ensure_all_finite=False), "bound to"),
    ],
)
def test_a_function_with_arguments_bound_to_it_is_refused(files, function, said):
    crafted = make_pipeline(FunctionTransformer(function), LinearRegression())
    skops.io.dump(crafted, files / MODEL_FILE)
    with pytest.raises(ArtifactError, match=said):
        load_estimator(files)


def test_a_boosting_of_categories_is_saved_and_loaded_without_further_trust(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.random(300), "kind": random.integers(0, 4, 300) * 1.0})
    estimator = HistGradientBoostingClassifier(max_iter=5, categorical_features=["kind"])
    estimator.fit(frame, (frame["x"] + frame["kind"] > 2).astype(int))
    serving = SERVING.model_copy(
        update={"features": [Feature(name=n, dtype="float64") for n in frame]}
    )
    write_version(tmp_path / "model", estimator, serving, frame[:2], np.zeros(2))
    loaded = load_estimator(tmp_path / "model")
    assert (loaded.predict_proba(frame) == estimator.predict_proba(frame)).all()


def test_a_crafted_version_is_refused_through_the_registry(files, registry, tmp_path):
    skops.io.dump(Foreign().fit(FRAME, FRAME["x"]), files / MODEL_FILE)
    edit_mlmodel(files, skops_trusted_types=[f"{Foreign.__module__}.Foreign"])
    tags = {"digest": folder_digest(files)}
    version = registry.create("shop", files.as_uri(), "", None, tags)
    with pytest.raises(ArtifactError, match="not allowed"):
        registry.files.load(version, tmp_path / "taken")


@pytest.mark.parametrize("key", ["pickled_model", "model_path"])
def test_a_path_out_of_the_version_is_not_followed(files, marker, key):
    (files.parent / "outside").write_bytes(pickle.dumps(Payload(marker)))
    edit_mlmodel(files, **{key: "../outside", "serialization_format": "pickle"})
    assert doubles(load_estimator(files))
    assert not marker.exists()


def test_a_loader_module_and_its_code_are_not_run(files, marker):
    (files / "code").mkdir()
    (files / "code" / "evil_loader.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    content = yaml.safe_load((files / "MLmodel").read_text())
    content["flavors"]["python_function"] |= {"loader_module": "evil_loader", "code": "code"}
    (files / "MLmodel").write_text(yaml.safe_dump(content))
    assert doubles(load_estimator(files))
    assert not marker.exists()


# --- the alias moved behind our back --------------------------------------------------------


def test_an_alias_on_a_version_that_the_platform_did_not_register_is_refused(files, registry):
    registry.create("shop", files.as_uri(), "", None, {"digest": folder_digest(files)})
    foreign = registry.client.create_model_version("shop", files.as_uri())
    registry.set_alias("shop", CHAMPION, int(foreign.version))
    with pytest.raises(ArtifactError, match="v2 was not registered by mlops_assets"):
        registry.at("shop", CHAMPION)


def test_a_version_that_does_not_exist_is_named(registry):
    with pytest.raises(ArtifactError, match="shop has no version 3"):
        registry.version("shop", 3)
    assert registry.at("shop", CHAMPION) is None
    assert registry.aliases("shop") == {}
