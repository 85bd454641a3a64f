"""Importing a pickle: it serves as it answered, and whatever is wrong with it stays outside."""

import gzip
import os
import pickle
import time
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from mlops_assets.lifecycle import pickles_worker, sandbox
from mlops_assets.lifecycle.errors import ArtifactError, DeclarationError, RolloutError
from mlops_assets.lifecycle.pickles import import_pickle
from mlops_assets.lifecycle.registry import CHAMPION
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets.lifecycle.rollout.promotion import adopt
from mlops_assets_tests.serving.conftest import running, serves, wait_for

MULTI, BINARY = "multiclass_classification", "binary_classification"
FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SECRET = "AKIA-not-for-you"


@pytest.fixture
def journal(registry) -> Journal:
    return Journal(registry.settings.database_url)


@pytest.fixture
def bring(registry, journal):
    """`import_pickle` with everything a test does not care about."""

    def call(file: Path, model="iris_pickle", task=MULTI, features=None, who="ann", why="go live"):
        return import_pickle(
            registry, journal, file, model=model, task=task, features=features, who=who, why=why
        )

    return call


@pytest.fixture
def nothing_registered(registry, journal):
    """Whatever the test does, no model, experiment, run or journal row comes of it."""
    yield
    assert registry.models() == []
    assert [e.name for e in registry.client.search_experiments()] == ["Default"]
    assert journal.entries() == []


def iris() -> tuple[pd.DataFrame, np.ndarray]:
    data = load_iris()
    return pd.DataFrame(data.data, columns=FEATURES), data.target


def logistic(**params) -> LogisticRegression:
    return LogisticRegression(max_iter=1000, **params).fit(*iris())


def pickled(folder: Path, content, name="model.pkl") -> Path:
    file = folder / name
    file.write_bytes(pickle.dumps(content))
    return file


def gzipped(folder: Path, content) -> Path:
    file = folder / "model.pkl.gz"
    file.write_bytes(gzip.compress(pickle.dumps(content)))
    return file


def joblibbed(folder: Path, content, compress=0) -> Path:
    file = folder / "model.joblib"
    joblib.dump(content, file, compress=compress)
    return file


def tiny(labels, estimator=None):
    """A classifier of two features fitted on these labels."""
    rows = np.random.default_rng(0).standard_normal((60, 2))
    target = np.array(labels)[np.arange(60) % len(labels)]
    return (estimator or LogisticRegression()).fit(rows, target)


class Payload:
    """Runs a command wherever it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Code:
    """Runs Python wherever it is unpickled."""

    def __init__(self, code: str):
        self.code = code

    def __reduce__(self):
        return exec, (self.code,)


def test_iris_pickles_serve_as_they_answered(bring, registry, tmp_path):
    frame, target = iris()
    ways = {
        "logistic": (logistic(), pickled),
        "forest": (
            RandomForestClassifier(20, random_state=0, n_jobs=2).fit(frame, target),
            joblibbed,
        ),
        "scaled": (
            make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target),
            gzipped,
        ),
        "boosted": (
            HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(frame, target),
            lambda folder, content: joblibbed(folder, content, compress=3),
        ),
    }
    versions = {n: bring(way(tmp_path, e), model=n) for n, (e, way) in ways.items()}
    with running(registry.settings) as client:
        for name, (estimator, _) in ways.items():
            wait_for(serves(client, versions[name]))
            reply = client.post(f"/predict/{name}", json=frame.to_dict("records"))
            assert reply.status_code == 200, reply.text
            given = reply.json()["predictions"]
            assert [p["prediction"] for p in given] == estimator.predict(frame).tolist()
            np.testing.assert_allclose(
                [p["scores"] for p in given], estimator.predict_proba(frame), rtol=0, atol=1e-15
            )


def test_fitted_without_names_serves_under_the_given_ones(bring, registry, tmp_path):
    data = load_iris()
    estimator = LogisticRegression(max_iter=1000).fit(data.data, data.target)
    file = pickled(tmp_path, estimator)
    with pytest.raises(ArtifactError, match="without feature names: name its 4"):
        bring(file)
    for wrong in (FEATURES[:3], [*FEATURES[:3], FEATURES[0]], [*FEATURES[:3], ""]):
        with pytest.raises(ArtifactError, match="4 features, each with a name of its own"):
            bring(file, features=wrong)
    assert registry.models() == []
    version = bring(file, features=FEATURES)
    with running(registry.settings) as client:
        wait_for(serves(client, version))
        row = dict(zip(FEATURES, data.data[100], strict=True))
        given = client.post("/predict/iris_pickle", json=row).json()["predictions"][0]
        assert given["prediction"] == estimator.predict(data.data[100:101])[0]


def test_a_regressor_serves(bring, registry, tmp_path):
    frame, target = iris()
    logarithm = make_pipeline(FunctionTransformer(np.log1p), LinearRegression())
    version = bring(pickled(tmp_path, logarithm.fit(frame, target)), task="regression")
    with running(registry.settings) as client:
        wait_for(serves(client, version))
        reply = client.post("/predict/iris_pickle", json=frame[:3].to_dict("records")).json()
        given = [p["prediction"] for p in reply["predictions"]]
        np.testing.assert_allclose(given, logarithm.predict(frame[:3]), rtol=0, atol=1e-14)


def test_it_is_on_record(bring, registry, journal, tmp_path):
    version = bring(pickled(tmp_path, logistic()), who="ann", why="from the notebook of May")
    begun, done = journal.entries("iris_pickle")
    assert (begun.state, done.state) == ("begun", "done")
    assert (done.action, done.version, done.champion_before) == ("adopt", 1, None)
    assert (done.who, done.why) == ("ann", "from the notebook of May")
    assert done.evidence["digest"] == version.digest
    assert journal.verify() == 2
    tags = registry.client.get_run(version.run_id).data.tags
    assert tags["mlops.imported"] == "pickle"
    assert (tags["mlops.who"], tags["mlops.why"]) == ("ann", "from the notebook of May")
    assert tags["mlops.pickle_sha256"] == done.evidence["pickle_sha256"]
    assert tags["mlops.sandbox"] == sandbox.isolation()
    assert version.tags["window"] == "imported"


def test_the_same_pickle_again_changes_nothing(bring, registry, journal, tmp_path):
    file = pickled(tmp_path, logistic())
    first = bring(file)
    assert bring(file.rename(tmp_path / "copy.pkl"), who="bob") == first
    assert len(registry.client.search_model_versions("name='iris_pickle'")) == 1
    assert len(journal.entries()) == 2


@pytest.mark.parametrize("cut", ["begin", "set_alias", "finish"])
def test_a_crash_during_adoption_is_completed(bring, registry, journal, tmp_path, monkeypatch, cut):
    file = pickled(tmp_path, logistic())

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(registry if cut == "set_alias" else journal, cut, crash)
        with pytest.raises(KeyboardInterrupt):
            bring(file)
    version = bring(file)
    assert registry.at("iris_pickle", CHAMPION) == version
    assert version.number == 1
    assert [e.state for e in journal.entries()] == ["begun", "done"]


def test_another_pickle_cannot_replace_a_champion(bring, registry, journal, tmp_path):
    first = bring(pickled(tmp_path, logistic()))
    other = Payload(f"touch {tmp_path / 'ran'}")
    with pytest.raises(RolloutError, match="has or had a champion"):
        bring(pickled(tmp_path, other, "other.pkl"))
    assert not (tmp_path / "ran").exists()
    assert registry.at("iris_pickle", CHAMPION) == first
    assert len(journal.entries()) == 2


def test_nor_one_that_was_retired(bring, registry, tmp_path):
    bring(pickled(tmp_path, logistic()))
    registry.drop_alias("iris_pickle", CHAMPION)
    with pytest.raises(RolloutError, match="has or had a champion"):
        bring(pickled(tmp_path, logistic(C=0.1)))
    assert registry.at("iris_pickle", CHAMPION) is None


def test_adoption_verifies_the_files(bring, registry, journal, tmp_path, monkeypatch):
    file = pickled(tmp_path, logistic())
    with monkeypatch.context() as patched:
        patched.setattr("mlops_assets.lifecycle.pickles.adopt", lambda *_, **__: None)
        version = bring(file)
    model = Path(registry.settings.home).rglob("model.skops")
    next(model).write_bytes(b"swapped")
    with pytest.raises(ArtifactError, match="are not those that were trained"):
        adopt(registry, journal, version, who="ann", why="go live")
    assert registry.at("iris_pickle", CHAMPION) is None


@pytest.mark.usefixtures("nothing_registered")
class TestMalice:
    """A pickle that attacks: run here, it would leave what it looked for in its own folder."""

    @pytest.fixture(autouse=True)
    def secret(self, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)

    @pytest.fixture
    def attack(self, bring, tmp_path):
        """Import a pickle that runs a command; what the command wrote to ``$FOUND``."""

        def call(command: str) -> str:
            found = tmp_path / "found"
            file = pickled(tmp_path, Payload(command.replace("$FOUND", str(found))))
            with pytest.raises(ArtifactError, match=r"model.pkl was not imported: .*holds a int"):
                bring(file)
            return found.read_text()

        return call

    def test_its_code_runs_in_another_process_without_our_environment(self, attack, tmp_path):
        said = attack("(pwd; env) > $FOUND")
        folder, *environment = said.splitlines()
        names = {line.split("=")[0] for line in environment}
        given = {"PATH", "HOME", "TMPDIR", "LANG"}
        by_shell_and_openmp = {"PWD", "OLDPWD", "SHLVL", "_"} | {n for n in names if "KMP_" in n}
        assert SECRET not in said
        assert given <= names <= given | by_shell_and_openmp
        assert not Path(folder).exists()

    def test_never_in_this_process(self, bring, tmp_path):
        for write in (pickled, gzipped, joblibbed):
            with pytest.raises(ArtifactError, match="holds a NoneType"):
                bring(write(tmp_path, Code("import sklearn; sklearn.unpickled_here = True")))
        assert not hasattr(sklearn, "unpickled_here")

    @pytest.mark.skipif(sandbox.isolation() != sandbox.NAMESPACES, reason="no user namespaces")
    def test_sees_no_other_process_and_no_network(self, attack):
        said = attack("(cat /proc/*/environ; cat /proc/net/route; wc -l /proc/net/dev) > $FOUND")
        assert SECRET not in said
        assert said.rstrip().endswith("3 /proc/net/dev")

    def test_leaves_nothing_running(self, attack, tmp_path):
        attack(f"(sleep 3; touch {tmp_path / 'late'}) & echo started > $FOUND")
        time.sleep(4)
        assert not (tmp_path / "late").exists()

    def test_hanging_is_ended(self, bring, tmp_path, monkeypatch):
        monkeypatch.setattr(pickles_worker, "SECONDS", 3)
        with pytest.raises(ArtifactError, match="took longer than 3 seconds"):
            bring(pickled(tmp_path, Payload("sleep 60")))

    def test_a_forged_good_end_is_not_believed(self, bring, tmp_path):
        with pytest.raises(ArtifactError, match=r"without a usable model.skops"):
            bring(pickled(tmp_path, Code("raise SystemExit(0)")))

    @pytest.mark.parametrize(
        ("forge", "problem"),
        [("write_text('junk')", "that is none"), ("symlink_to('/etc/passwd')", "without a usable")],
    )
    def test_forged_results_are_not_followed(self, bring, tmp_path, forge, problem):
        code = (
            "import os, pathlib\n"
            "for name in ('model.skops', 'answers.npy'):\n"
            f"    pathlib.Path(name).{forge}\n"
            "os._exit(0)"
        )
        with pytest.raises(ArtifactError, match=problem):
            bring(pickled(tmp_path, Code(code)))

    def test_a_forged_model_is_held_to_its_answers(self, bring, tmp_path):
        model = skops.io.dumps(logistic())
        code = (
            "import os, pathlib\n"
            f"pathlib.Path('model.skops').write_bytes({model!r})\n"
            "pathlib.Path('answers.npy').write_bytes(b'junk')\n"
            "os._exit(0)"
        )
        with pytest.raises(ArtifactError, match="does not answer as the pickle does"):
            bring(pickled(tmp_path, Code(code)))

    def test_its_words_cannot_forge_a_log_line(self, bring, tmp_path):
        said = "\x1b[2Jall is well\u202e" + "x" * 2000
        with pytest.raises(ArtifactError) as caught:
            bring(pickled(tmp_path, Code(f"raise SystemExit({said!r})")))
        assert "?[2Jall is well?xxx" in str(caught.value)
        assert len(str(caught.value)) < 1000

    def test_memory_is_limited(self, bring, tmp_path):
        bomb = tmp_path / "bomb.pkl.gz"
        with gzip.open(bomb, "wb", compresslevel=1) as packed:
            # A bytes object of 12 GB, announced but hardly there.
            packed.write(b"\x80\x04\x8e" + (12 * 2**30).to_bytes(8, "little") + b"0" * 1000)
        with pytest.raises(ArtifactError, match="was not imported"):
            bring(bomb)


@pytest.mark.usefixtures("nothing_registered")
class TestUnfit:
    """Pickles that mean no harm and can't be served."""

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ({"model": 1}, "holds a dict, which is not a scikit-learn estimator"),
            (StandardScaler().fit([[1.0], [2.0]]), "holds a StandardScaler, which is not"),
            (SimpleNamespace(predict=1), "holds a SimpleNamespace, which is not"),
            (LogisticRegression(), "LogisticRegression is not fitted"),
            (SVC().fit(*iris()), "has no predict_proba"),
            (LinearRegression().fit(*iris()), "has no predict_proba"),
            (tiny(["setosa", "virginica"]), r"labels \['setosa', 'virginica'\].*LabelEncoder"),
            (tiny([1, 2, 3]), r"labels \[1, 2, 3\]"),
        ],
    )
    def test_refused_by_what_it_is(self, bring, tmp_path, content, problem):
        with pytest.raises(ArtifactError, match=f"model.pkl was not imported: .*{problem}"):
            bring(pickled(tmp_path, content), features=["a", "b"])

    def test_task_must_fit(self, bring, tmp_path):
        file = pickled(tmp_path, logistic())
        with pytest.raises(ArtifactError, match="knows 3 classes, which is not a binary"):
            bring(file, task=BINARY)
        with pytest.raises(ArtifactError, match="needs a regressor"):
            bring(file, task="regression")
        with pytest.raises(DeclarationError, match="can't be imported as 'ranking'"):
            bring(file, task="ranking")
        with pytest.raises(DeclarationError, match="not a model's name"):
            bring(file, model="../iris")

    def test_a_decision_that_the_server_would_not_make(self, bring, tmp_path):
        tuned = tiny([0, 1], FixedThresholdClassifier(LogisticRegression(), threshold=0.2))
        with pytest.raises(ArtifactError, match="predict is not its most probable class"):
            bring(pickled(tmp_path, tuned), task=BINARY, features=["a", "b"])

    def test_two_numbers_a_row(self, bring, tmp_path):
        frame, target = iris()
        both = LinearRegression().fit(frame, np.column_stack([target, target]))
        with pytest.raises(ArtifactError, match="numbers a row where one is served"):
            bring(pickled(tmp_path, both), task="regression")

    def test_other_names_than_it_was_fitted_on(self, bring, tmp_path):
        with pytest.raises(ArtifactError, match="it was fitted on"):
            bring(pickled(tmp_path, logistic()), features=FEATURES[::-1])

    @pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(logistic())[:-200]])
    def test_corrupt(self, bring, tmp_path, content):
        file = tmp_path / "model.pkl"
        file.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"model.pkl was not imported: .*Error"):
            bring(file)

    def test_missing(self, bring, tmp_path):
        with pytest.raises(ArtifactError, match="can't be read: No such file"):
            bring(tmp_path / "gone.pkl")

    def test_of_another_scikit_learn(self, bring, tmp_path):
        state = logistic().__getstate__() | {"_sklearn_version": "1.2.2"}
        with pytest.raises(ArtifactError) as caught:
            bring(pickled(tmp_path, _Stated(LogisticRegression, state)))
        assert "fitted with scikit-learn 1.2.2" in str(caught.value)
        assert f"this platform runs {sklearn.__version__}" in str(caught.value)

    def test_of_a_class_that_is_nowhere(self, bring, tmp_path):
        file = tmp_path / "model.pkl"
        file.write_bytes(b"cno_such_package\nModel\n.")
        with pytest.raises(ArtifactError, match="No module named 'no_such_package'"):
            bring(file)

    def test_of_a_class_that_is_not_on_the_list(self, bring, tmp_path):
        untrusted = logistic()
        untrusted.extra_ = SimpleNamespace(a=1)
        with pytest.raises(ArtifactError, match=r"not allowed: .*SimpleNamespace"):
            bring(pickled(tmp_path, untrusted))

    def test_of_text(self, bring, tmp_path):
        frame = pd.DataFrame({"region": ["n", "s"] * 20})
        estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
        file = pickled(tmp_path, estimator.fit(frame, np.arange(40) % 2))
        with pytest.raises(ArtifactError, match="can't answer rows of numbers"):
            bring(file, task=BINARY)


class _Stated:
    """An object that is pickled as one of another class in a forged state."""

    def __init__(self, cls, state):
        self.cls, self.state = cls, state

    def __reduce__(self):
        return self.cls, (), self.state


@pytest.mark.usefixtures("nothing_registered")
def test_what_skops_would_lose_is_noticed(bring, tmp_path, monkeypatch):
    monkeypatch.setattr("mlops_assets.lifecycle.pickles.load_estimator", lambda *_: logistic(C=0.1))
    with pytest.raises(ArtifactError, match="does not answer as the pickle does"):
        bring(pickled(tmp_path, logistic()))


def test_without_namespaces_it_says_so(bring, registry, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sandbox, "isolation", lambda: sandbox.PROCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(ArtifactError):
        bring(pickled(tmp_path, Payload(f"env > {tmp_path / 'found'}")))
    assert SECRET not in (tmp_path / "found").read_text()
    version = bring(pickled(tmp_path, logistic()))
    assert version.tags["sandbox"] == "process"
    assert "user namespaces are not allowed here" in caplog.text
