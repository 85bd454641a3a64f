"""Other people's data, declared by YAML alone, up to an answer over HTTP."""

import math
import os
import subprocess
import sys
import urllib.error
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mlops_assets.cli import main
from mlops_assets_tests.harness import call, checks, errors, materialized

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
BIKESHARE = ROOT.parent / "shared" / "data" / "bikeshare" / "hourly.parquet"


def blocks(language):
    """The tutorial's code blocks of a language, in order."""
    parts = TUTORIAL.read_text("utf-8").split("```")
    found = [part.split("\n", 1) for part in parts[1::2]]
    return [code for name, code in found if name == language]


@pytest.fixture
def churn(lab):
    """The tutorial followed up to its declaration: its data and its YAML, as they stand there."""
    lab.folder.mkdir()
    (snippet,) = blocks("python")
    subprocess.run([sys.executable, "-c", snippet], cwd=lab.folder, check=True)
    (text,) = blocks("yaml")
    (lab.folder / "defs.yaml").write_text(text, "utf-8")
    lab.declare(yaml.safe_load(text)["attributes"])
    return lab


def test_the_tutorial_leads_from_a_csv_file_to_an_answer_over_http(
    churn, monkeypatch, capsys, recwarn
):
    monkeypatch.setenv("DAGSTER_HOME", churn.instance.root_directory)
    shell = "\n".join(blocks("sh"))
    assert "mlops-assets backfill churn --window 2026-01-19" in shell
    assert main(["--defs", str(churn.folder), "backfill", "churn", "--window", "2026-01-19"]) == 0
    launch = "dg launch --job churn_lifecycle --partition 2026-01-19"
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"train on them: {launch}"
    assert "DEBUG" not in told.err
    with churn.server() as url:
        assert launch in shell
        result = churn.run("lifecycle", "2026-01-19")
        assert result.success, errors(result)
        assert checks(result)["deployment/endpoint"].passed
        assert not [w for w in recwarn if "Inferred schema" in str(w.message)]

        command = next(line for line in shell.splitlines() if line.startswith("curl"))
        body = command.split("'")[1]
        reply = call(f"{url}/predict/churn", body.encode())
        assert reply["version"] == 1
        (answer,) = reply["predictions"]
        assert answer["prediction"] == 1, "four calls and hardly an hour: leaves"
        assert answer["prediction_id"]

        with pytest.raises(urllib.error.HTTPError) as refused:
            call(f"{url}/predict/churn", body.replace("Calls", "Cals").encode())
        assert refused.value.code == 422
        assert "Calls" in refused.value.read().decode()
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--defs", str(churn.folder), "status"]) == 0
    shown = capsys.readouterr().out
    assert "v1" in shown
    assert "verdict: first_model" in shown


def test_the_text_column_of_the_tutorial_is_a_feature_that_matters(churn):
    for window in ("2026-01-05", "2026-01-12", "2026-01-19"):
        assert churn.run("data", window).success
    with churn.server() as url:
        result = churn.run("lifecycle", "2026-01-19")
        assert result.success, errors(result)
        asked = [
            {"Plan": plan, "HoursWatched": 5.0, "Calls": 1} for plan in ("basic", "family", "vip")
        ]
        reply = call(f"{url}/predict/churn", pd.Series(asked).to_json(orient="values").encode())
    basic, family, unknown = (answer["score"] for answer in reply["predictions"])
    assert basic > family + 0.05
    assert 0 < unknown < 1, "a plan that nobody trained on is answered, not refused"
    assert churn.stored("trained_model", "2026-01-19").features == ["Plan", "HoursWatched", "Calls"]


def test_a_row_that_breaks_the_contract_of_the_tutorial_is_stopped(churn):
    file = churn.folder / "data.csv"
    frame = pd.read_csv(file)
    frame.loc[5, "Plan"] = "platinum"
    frame.to_csv(file, index=False)
    result = churn.run("data", "2026-01-05")
    assert not result.success
    assert materialized(result) == []
    contract = checks(result)["raw_data/contract"]
    assert "(Plan)" in contract.description
    assert "platinum" in contract.metadata["failures in 2026-01-05"].value


def test_a_backfill_that_the_contract_stops_says_where(churn, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_HOME", churn.instance.root_directory)
    file = churn.folder / "data.csv"
    frame = pd.read_csv(file, dtype=str)
    frame.loc[1000, "HoursWatched"] = "abc"
    frame.to_csv(file, index=False)
    assert main(["--defs", str(churn.folder), "backfill", "churn", "--window", "2026-01-19"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "churn/raw_data, contract: churn/raw_data 2026-01-12: "
        "1 check fails on 700 rows: dtype('float64') (HoursWatched)"
    )


def test_the_commands_of_the_tutorial_exist():
    for line in "\n".join(blocks("sh")).splitlines():
        words = line.removesuffix(" &").split()
        if words and words[0] in ("dg", "mlops-assets"):
            tool = Path(sys.executable).with_name(words[0])
            command = [w for w in words[1:3] if w.isalpha()]
            known = [*command[:2]] if words[1] in ("check", "scaffold") else command[:1]
            done = subprocess.run(
                [tool, *known, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}: {done.stderr}"
            for flag in (w for w in words if w.startswith("--")):
                assert flag in done.stdout, line


@pytest.mark.skipif(not BIKESHARE.is_file(), reason=f"no bikeshare data at {BIKESHARE}")
def test_a_year_of_real_bike_rentals_is_served_from_monthly_windows(lab):
    rentals = pd.read_parquet(BIKESHARE)
    hours = pd.to_timedelta((rentals["day"] - 1) * 24 + rentals["hr"], unit="h")
    lab.write(rentals.assign(hour_begins=pd.Timestamp("2011-01-01", tz="UTC") + hours))
    lab.declare(
        {
            "name": "bikes",
            "task": "regression",
            "cadence": "monthly",
            "start": "2011-01-01",
            "end": "2012-01-01",
            "source": {"type": "csv", "path": "data.csv"},
            "contract": {
                "columns": {
                    "hour_begins": {"dtype": "datetime64[us, UTC]"},
                    "bikers": {"dtype": "int", "ge": 0},
                    "weathersit": {"dtype": "str"},
                },
                "unique": ["hour_begins"],
            },
            # What is not known beforehand (casual + registered = bikers) is no feature.
            "columns": {
                "target": "bikers",
                "time": "hour_begins",
                "key": ["hour_begins"],
                "ignore": ["casual", "registered", "day", "season"],
            },
            "estimator": {"class": "sklearn.ensemble.HistGradientBoostingRegressor"},
            "training": {"windows": 3, "hold_out": 1},
            "gate": {
                "metric": "mean_absolute_error",
                "margin": 5,
                "floor": {"mean_absolute_error": 80},
                "baseline": {"class": "sklearn.dummy.DummyRegressor"},
            },
            "retrain": {"schedule": None},
        }
    )
    months = [f"2011-{month:02d}-01" for month in range(1, 13)]
    for month in months[3:9]:
        filled = lab.run("data", month)
        assert filled.success, errors(filled)
    with lab.server() as url:
        first = lab.run("lifecycle", months[7])
        assert first.success, errors(first)
        second = lab.run("lifecycle", months[8])
        report = lab.stored("evaluation_report", months[8])
        # Whatever the verdict on the second is, it is what happened.
        assert second.success == report.verdict.accepted
        assert lab.aliases()["champion"] == (2 if report.verdict.accepted else 1)
        october = rentals[rentals["mnth"] == "Oct"].head(200)
        features = lab.stored("trained_model", months[7]).features
        body = october[features].to_json(orient="records", double_precision=15)
        reply = call(f"{url}/predict/bikes", body.encode())
    assert report.hold_out_windows == [months[8]]
    assert report.hold_out_rows == 717
    assert "weathersit" in features
    assert "casual" not in features
    answers = [answer["prediction"] for answer in reply["predictions"]]
    assert all(map(math.isfinite, answers))
    error = (october["bikers"].to_numpy() - pd.Series(answers)).abs().mean()
    typical = (october["bikers"] - october["bikers"].median()).abs().mean()
    assert error < 0.8 * typical
    assert os.environ["MLOPS_HOME"] in str(lab.file("raw_data", months[8]))
