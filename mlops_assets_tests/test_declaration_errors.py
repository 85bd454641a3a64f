"""What a wrong declaration says, through Dagster's own loader, among models that are right."""

import os
import re
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import dagster
import pytest
import yaml

from mlops_assets.definitions import load_models, shared_definitions
from mlops_assets_tests.harness import Lab, checks, errors, materialized

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PROJECT = """\
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "orchard"
"""

RIGHT = """\
type: mlops_assets.ModelLifecycle

attributes:
  name: {name}
  task: binary_classification
  cadence: weekly
  start: 2026-01-05
  source: {{type: csv, path: data.csv}}
  contract:
    columns:
      bought: {{dtype: int, isin: [0, 1]}}
  columns:
    target: bought
    time: at
    unit: customer
  estimator:
    class: sklearn.linear_model.LogisticRegression
  training: {{windows: 2, hold_out: 1}}
  gate:
    metric: log_loss
    margin: 0.02
    floor: {{roc_auc: 0.6}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project without its models."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(
        ROOT / "mlops_assets",
        folder / "mlops_assets",
        ignore=shutil.ignore_patterns("defs", "__pycache__"),
    )
    (folder / "mlops_assets" / "defs").mkdir()
    (folder / "mlops_assets" / "defs" / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def defs(project):
    """The copy's folder of models, emptied after the test."""
    folder = project / "mlops_assets" / "defs"
    yield folder
    empty(folder)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A project of another name, which this process can load beside the shipped one."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / "orchard" / "defs").mkdir(parents=True)
    for parent in ("orchard", "orchard/defs"):
        (folder / parent / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT, "utf-8")
    with pytest.MonkeyPatch.context() as environment:
        environment.syspath_prepend(str(folder))
        yield folder / "orchard"


@pytest.fixture
def orchard(package):
    """Its folder of models, emptied after the test."""
    yield package / "defs"
    empty(package / "defs")


def empty(folder):
    for model in folder.iterdir():
        if model.is_dir():
            shutil.rmtree(model)


def declare(defs, name, *change):
    """A model in the copy: as it should be, or with one piece of text replaced."""
    text = RIGHT.format(name=name)
    if change:
        wrong = text.replace(*change, 1)
        assert wrong != text
        text = wrong
    (defs / name).mkdir()
    file = defs / name / "defs.yaml"
    file.write_text(text, "utf-8")
    return file


def dg(project, *command, **env):
    """The real ``dg`` in the copy; its outcome and all it said, on one line without frames."""
    done = subprocess.run(
        [BIN / "dg", *command],
        cwd=project,
        env=os.environ
        | {"PYTHONPATH": str(project), "MLOPS_HOME": str(project / ".mlops"), "COLUMNS": "400"}
        | env,
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    return done.returncode, said


def load(orchard):
    """As the code location does."""
    models = load_models(orchard.parent)
    dagster.Definitions.validate_loadable(dagster.Definitions.merge(models, shared_definitions()))


def refused(orchard):
    """What Dagster's loader says to the models, causes included, without frames."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        load(orchard)
    said, error = [], caught.value
    while error is not None:
        said += traceback.format_exception_only(error)
        error = error.__cause__ or error.__context__
    return "".join(said)


def line_of(file, text):
    return 1 + next(n for n, line in enumerate(file.read_text().splitlines()) if text in line)


WRONG = {
    "unknown key": (
        ("    margin: 0.02", "    margn: 0.02"),
        ("attributes.gate.margn", "margn:"),
        ["unknown key 'margn'; did you mean 'margin'?", "Known keys: metric, margin"],
    ),
    "wrong type": (
        ("    margin: 0.02", "    margin: a little"),
        ("attributes.gate.margin", "margin:"),
        ["Input should be a valid number"],
    ),
    "out of range": (
        ("training: {windows: 2", "training: {windows: 0"),
        ("attributes.training.windows", "training:"),
        ["Input should be greater than 0"],
    ),
    "no such class": (
        ("LogisticRegression", "LogisticRegresion"),
        ("attributes.estimator.class", "class:"),
        ["no attribute or module 'LogisticRegresion'; did you mean 'LogisticRegression'?"],
    ),
    "no such package": (
        ("sklearn.linear_model", "sklern.linear_model"),
        ("attributes.estimator.class", "class:"),
        ["no package 'sklern'; did you mean 'sklearn'?"],
    ),
    "no such task": (
        ("binary_classification", "binary_clasification"),
        ("attributes.task", "task:"),
        ["'binary_classification'", "'ranking'"],
    ),
    "no such source": (
        ("type: csv", "type: xls"),
        ("attributes.source", "source:"),
        ["'csv'", "'parquet'", "'sql'", "'python'"],
    ),
    "a contract that is neither": (
        (
            "  contract:\n    columns:\n      bought: {dtype: int, isin: [0, 1]}\n",
            "  contract: 7\n",
        ),
        ("attributes.contract", "contract:"),
        ["a contract is the dotted path of a Pandera schema, or a mapping with 'columns'"],
    ),
    "contradictory settings": (
        ("    time: at\n", ""),
        ("attributes", "name:"),
        ["cadence: weekly needs columns.time"],
    ),
    "a metric of another task": (
        ("metric: log_loss", "metric: mean_squared_error"),
        ("attributes", "name:"),
        ["gate: mean_squared_error is no metric of task binary_classification", "log_loss"],
    ),
    "a missing key": (
        ("    metric: log_loss\n", ""),
        ("attributes.gate.metric", "gate:"),
        ["Field required"],
    ),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_a_wrong_declaration_names_file_line_key_and_what_is_expected(orchard, case):
    change, (key, line), expected = WRONG[case]
    file = declare(orchard, "apples", *change)
    declare(orchard, "pears")
    declare(orchard, "plums")
    said = refused(orchard)
    # Dagster says where a block begins; a one-line difference is its own.
    place = re.search(rf"`{re.escape(key)} at {re.escape(str(file))}:(\d+)`", said)
    assert place, said
    assert abs(int(place[1]) - line_of(file, line)) <= 1, said
    for words in expected:
        assert words in said
    assert "pears/defs.yaml" not in said
    assert "KeyError" not in said


NAMES = ["apples", "pears", "plums"]


def one_is_wrong(defs, place):
    """Three models; the file of the one in that place, which is wrong."""
    for name in NAMES:
        change = ("margin: 0.02", "margin: -1") if name == NAMES[place] else ()
        declare(defs, name, *change)
    return defs / NAMES[place] / "defs.yaml"


def assert_found(said, file):
    assert re.search(rf"{re.escape(str(file))}:{line_of(file, 'margin:')}\b", said), said
    assert "attributes.gate.margin" in said
    right = [name for name in NAMES if name != file.parent.name]
    assert not any(f"{name}/defs.yaml:" in said for name in right), said


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_wrong_model_is_found_wherever_it_stands(orchard, place):
    file = one_is_wrong(orchard, place)
    assert_found(refused(orchard), file)


# By its own check of the YAML, before it loads a model; and by loading them.
@pytest.mark.parametrize("how", [[], ["--no-check-yaml"]])
def test_dg_finds_the_wrong_model(project, defs, how):
    file = one_is_wrong(defs, 1)
    code, said = dg(project, "check", "defs", *how)
    assert code != 0
    assert_found(said, file)


def test_three_models_that_are_right_load(project, defs):
    for name in NAMES:
        declare(defs, name)
    code, said = dg(project, "check", "defs")
    assert code == 0, said


def test_an_unknown_alert_channel_names_file_and_key(orchard, tmp_path, monkeypatch):
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text("team_risk: {type: console}\n", "utf-8")
    monkeypatch.setenv("MLOPS_ALERTS", str(alerts))
    file = declare(orchard, "apples", "  training:", "  alerts: [team_rsik]\n  training:")
    declare(orchard, "pears")
    said = refused(orchard)
    assert f"{file}: alerts: no channel 'team_rsik' in {alerts}" in said
    assert "did you mean 'team_risk'?" in said


def test_two_models_of_one_name_are_refused_by_the_key_they_share(orchard):
    declare(orchard, "apples")
    declare(orchard, "pears", "name: pears", "name: apples")
    assert "Duplicate asset key: AssetKey(['apples', 'raw_data'])" in refused(orchard)


def test_a_declaration_without_attributes_names_its_file(orchard):
    (orchard / "apples").mkdir()
    (orchard / "apples" / "defs.yaml").write_text("type: mlops_assets.ModelLifecycle\n", "utf-8")
    declare(orchard, "pears")
    assert str(orchard / "apples") in refused(orchard)


@pytest.fixture(scope="module")
def scaffolded(project, tmp_path_factory):
    """What ``dg`` scaffolds, taken out of the copy."""
    code, said = dg(project, "scaffold", "defs", "mlops_assets.ModelLifecycle", "churn")
    assert code == 0, said
    made = tmp_path_factory.mktemp("scaffolded") / "churn"
    return shutil.move(project / "mlops_assets" / "defs" / "churn", made)


def test_what_is_scaffolded_loads(project, defs, scaffolded):
    shutil.copytree(scaffolded, defs / "churn")
    # Dagster's check of the YAML is part of it.
    code, said = dg(project, "check", "defs")
    assert code == 0, said


def test_what_is_scaffolded_runs_to_a_served_model(scaffolded, lab, tmp_path):
    shutil.copytree(scaffolded, tmp_path / "churn")
    attributes = yaml.safe_load((scaffolded / "defs.yaml").read_text("utf-8"))["attributes"]
    churn = Lab(tmp_path / "churn", lab.instance)
    churn.declare(attributes)
    assert churn.spec.name == "churn"
    with churn.server():
        result = churn.run("lifecycle")
    assert result.success, errors(result)
    assert "deployment" in materialized(result)
    assert all(check.passed for check in checks(result).values())
    assert churn.aliases() == {"champion": 1}


def test_a_name_that_no_model_can_have_is_refused_by_the_scaffolder(project, defs):
    code, said = dg(project, "scaffold", "defs", "mlops_assets.ModelLifecycle", "Churn-2")
    written = defs / "Churn-2" / "defs.yaml"
    assert code != 0
    assert "Churn-2" in said
    assert not written.exists()
