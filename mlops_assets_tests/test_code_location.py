"""Loading the code location: quick, quiet, and without the heavy libraries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
HEAVY = ["mlflow", "evidently", "sklearn", "pandas", "pandera", "scipy", "skops", "matplotlib"]


def python(code: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:mlops_assets", "-c", code],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_loading_imports_no_heavy_library(tmp_path):
    done = python(
        "import json, sys\n"
        "import mlops_assets.definitions as d\n"
        "import dagster as dg\n"
        "defs = dg.Definitions.merge(dg.load_from_defs_folder(path_within_project=d.PROJECT),"
        " d.shared_definitions())\n"
        "defs.resolve_all_job_defs()\n"
        f"print(json.dumps([m for m in {HEAVY} if m in sys.modules]))",
        MLOPS_HOME=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert "Warning" not in done.stderr, done.stderr
    assert not list(tmp_path.iterdir()), "loading wrote something"


def test_server_and_cli_do_without_dagster():
    done = python(
        "import sys, mlops_assets.cli, mlops_assets.serving.server\n"
        "assert 'dagster' not in sys.modules and 'mlflow' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["dg", "check", "defs"], ["dg", "check", "yaml"]])
def test_dg_finds_nothing_wrong(command):
    dg = Path(sys.executable).with_name(command[0])
    done = subprocess.run([dg, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_every_shipped_model_is_forty_lines_at_most():
    for file in (ROOT / "mlops_assets" / "defs").rglob("defs.yaml"):
        assert len(file.read_text("utf-8").splitlines()) <= 40, file


def test_readme_shows_the_fraud_declaration_as_it_is():
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.split("```yaml\n")[1].split("```")[0]
    shipped = (ROOT / "mlops_assets" / "defs" / "fraud" / "defs.yaml").read_text("utf-8")
    assert yaml.safe_load(shown) == yaml.safe_load(shipped)


def test_processes_that_start_at_once_on_a_fresh_home_do_not_break_each_other(tmp_path):
    env = os.environ | {"MLOPS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "mlops_assets.cli", "status"]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        _, problem = process.communicate(timeout=120)
        assert process.returncode == 0, problem.decode()[-2000:]
