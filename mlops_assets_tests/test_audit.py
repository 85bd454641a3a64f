"""A person's word, retirement, replay and reproduction, from Dagster's jobs to HTTP."""

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import httpx
import numpy as np
import pytest
import sklearn
import skops.io
from msgspec.structs import replace
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from mlops_assets.assets import trained_model
from mlops_assets.assets.keys import DEPLOYMENT
from mlops_assets.cli import main
from mlops_assets.definitions import resources
from mlops_assets.defs import iris
from mlops_assets.lifecycle import fingerprint, reproduce
from mlops_assets.lifecycle.contents import skops_digest
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.registry import CANARY, CHALLENGER, CHAMPION
from mlops_assets.lifecycle.threads import as_then, threads
from mlops_assets_tests.conftest import make_home
from mlops_assets_tests.harness import Lab, checks, errors, materialized, visits, week, weekly

REASON = "I have read the model card"


def decide(lab, kind, ok=True, **config):
    job = lab.definitions.resolve_job_def(f"shop_{kind}")
    result = job.execute_in_process(
        instance=lab.instance,
        raise_on_error=False,
        run_config={"ops": {kind: {"config": config}}},
    )
    assert result.success == ok, errors(result)
    return result


def cli(lab, *arguments):
    return main(["--defs", str(lab.folder), *arguments])


def answered(lab, url, rows=3):
    return lab.ask(url, visits(4).tail(rows))["predictions"]


def explained(lab, prediction_id, capsys, code=0):
    capsys.readouterr()
    assert cli(lab, "explain", prediction_id, "--json") == code
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def approved(tmp_path_factory, migrated_store):
    """v1 waited, was approved in the UI's job, and has answered."""
    folder = tmp_path_factory.mktemp("approved")
    with pytest.MonkeyPatch.context() as environment:
        make_home(folder / "home", migrated_store, environment)
        with dg.instance_for_test() as instance:
            lab = Lab(folder / "project", instance)
            lab.write(visits(4))
            lab.declare(
                weekly(gate__approval="required", gate__margin=0.2, serving={"packed": True})
            )
            assert lab.fill(0, 3).success
            with lab.server() as url:
                lab.url = url
                lab.first = lab.run("lifecycle", week(2))
                lab.waiting = lab.aliases()
                lab.approval = decide(lab, "approve", reason=REASON, who="alice")
                lab.predictions = answered(lab, url, 5)
                yield lab


def test_a_challenger_waits_for_a_person_and_the_job_lets_it_in(approved):
    lab, first = approved, approved.first
    assert first.success, errors(first)
    assert DEPLOYMENT not in materialized(first)
    assert lab.waiting == {CHALLENGER: 1}
    waits = checks(first)["deployment/approval"]
    assert (waits.passed, waits.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "shop v1 waits for approval (first_model): launch shop_approve" in waits.description
    state = lab.stored("deployment", week(2))
    assert (state.version, state.share) == (1, 1.0)
    approval, *_, promotion = lab.journal.entries("shop")
    assert approval.why == REASON
    assert approval.who == f"alice, dagster run {lab.approval.run_id}"
    assert promotion.evidence["approval"]["entry"] == approval.hash
    again = lab.run("lifecycle", week(2), only=["deployment"])
    assert checks(again)["deployment/approval"].passed, "and a repeat changes nothing"
    assert checks(again)["deployment/endpoint"].passed
    assert lab.aliases() == {CHAMPION: 1}


def test_a_reason_is_needed(approved):
    result = decide(approved, "retire", ok=False, reason=" ")
    assert "give a reason" in errors(result)
    assert approved.aliases() == {CHAMPION: 1}


def test_a_prediction_is_explained_and_scored_again_to_the_bit(approved, capsys):
    lab = approved
    found = explained(lab, lab.predictions[2]["prediction_id"], capsys)
    told = lab.predictions[2]
    assert found["prediction"]["answer"] == {name: told[name] for name in ("prediction", "score")}
    assert (found["prediction"]["model"], found["prediction"]["version"]) == ("shop", 1)
    assert [(c["action"], c["who"].split(",")[0]) for c in found["history"]] == [
        ("approve", "alice"),
        ("promote", "alice"),
    ]
    assert found["let_in"]["action"] == "promote"
    assert found["verdict"]["verdict"] == "first_model"
    record = lab.stored("trained_model", week(2))
    assert found["training"]["training_windows"] == [week(0), week(1)]
    assert found["training"]["window_versions"] == record.window_versions
    assert set(record.window_versions) == {week(0), week(1)}
    assert found["training"]["git_commit"] == record.git_commit
    assert found["packages"]["scikit-learn"]
    assert [(r["form"], r["same"]) for r in found["rescored"]] == [
        ("estimator", True),
        ("packed", True),
    ]
    assert (found["missing"], found["drift"]) == ([], None)
    assert cli(lab, "explain", lab.predictions[2]["prediction_id"]) == 0
    words = capsys.readouterr().out
    assert "answered by    shop v1 (champion)" in words
    assert "scored again   packed: the same to the bit, alone" in words
    assert "the chain of" in words


def test_an_unknown_prediction_says_where_it_was_looked_for(approved, capsys):
    assert cli(approved, "explain", "0" * 32) == 1
    said = capsys.readouterr().err
    assert "no prediction '00000000" in said
    assert str(approved.settings.prediction_log) in said
    assert "models: shop" in said


def test_an_answer_that_was_forged_in_the_log_is_told(approved, tmp_path, monkeypatch, capsys):
    lab = approved
    forged = tmp_path / "log"
    forged.mkdir()
    (record,) = [
        r
        for r in PredictionLog(lab.settings.prediction_log).read("shop").records
        if r.prediction_id == lab.predictions[0]["prediction_id"]
    ]
    score = record.answer["score"]
    other = PredictionLog(forged)
    one_bit = score + score * 2**-52
    other.append([replace(record, answer=record.answer | {"score": one_bit})])
    other.close()
    monkeypatch.setenv("MLOPS_PREDICTION_LOG", str(forged))
    found = explained(lab, record.prediction_id, capsys, code=1)
    for each in found["rescored"]:
        assert each["differs"] == [f"score: {one_bit!r} was answered, {score!r} now"]


def test_what_was_compacted_is_found_as_well(approved, tmp_path, monkeypatch, capsys):
    lab = approved
    copied = tmp_path / "log"
    shutil.copytree(lab.settings.prediction_log, copied)
    monkeypatch.setenv("MLOPS_PREDICTION_LOG", str(copied))
    assert cli(lab, "compact") == 0
    assert explained(lab, lab.predictions[1]["prediction_id"], capsys)["prediction"]["version"] == 1


def test_a_version_is_reproduced_from_its_record(approved, capsys):
    lab = approved
    before = [v.version for v in lab.registry.client.search_model_versions("name='shop'")]
    capsys.readouterr()
    assert cli(lab, "reproduce", "shop@1", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["outcome"], made["changed"], made["files"]) == ("same", [], [])
    assert made["then"] == made["now"] != ""
    after = [v.version for v in lab.registry.client.search_model_versions("name='shop'")]
    assert before == after
    found = checks(lab.first)["trained_model/reproducible"]
    assert found.passed, found.description


def test_what_differs_in_a_reproduction_is_said(approved, capsys):
    lab = approved
    file = lab.file("validated_features", week(1))
    kept = file.read_bytes()
    frame = lab.stored("validated_features", week(1))
    frame.loc[frame.index[:3], "interest"] = 0.0
    frame.to_parquet(file)
    try:
        capsys.readouterr()
        assert cli(lab, "reproduce", "shop@v1") == 1
        said = capsys.readouterr().out
        assert "shop v1 comes out otherwise" in said
        assert f"training data (windows {week(1)}): 3 of the 800 rows are gone, 3 are new" in said
        assert "differs: model.skops" in said
        assert "largest difference on 400 hold-out rows: 0.0" in said
        assert "roc_auc:" in said
        file.unlink()
        assert cli(lab, "reproduce", "shop@1") == 2
        assert f"window {week(1)}, was never materialized" in capsys.readouterr().out
    finally:
        file.write_bytes(kept)
    assert cli(lab, "reproduce", "shop") == 1
    assert "'shop' is no MODEL@VERSION" in capsys.readouterr().err


def test_a_second_challenger_is_refused_and_a_retired_model_says_so_everywhere(
    approved, monkeypatch, capsys
):
    lab = approved
    second = lab.run("lifecycle", week(3))
    assert second.success, errors(second)
    assert lab.aliases() == {CHAMPION: 1, CHALLENGER: 2}
    assert "ALERT shop approval: shop v2 waits for approval" in capsys.readouterr().err
    monkeypatch.setenv("COLUMNS", "300")
    assert cli(lab, "status") == 0
    assert "v1; v2 waits for approval" in capsys.readouterr().out
    assert cli(lab, "refuse", "shop", "--reason", "too clever") == 0
    assert lab.aliases() == {CHAMPION: 1}
    refused = lab.run("lifecycle", week(3), only=["deployment"])
    assert "shop v2 was refused on" in errors(refused)

    decide(lab, "retire", reason="replaced", who="bob", pointer="https://example.org/new")
    row = {"interest": 0.5, "minutes": 3.0}
    with httpx.Client(base_url=lab.url) as client:
        end = time.monotonic() + 2
        while client.get("/v2/models/shop").status_code != 410 and time.monotonic() < end:
            time.sleep(0.02)
        replies = [
            client.get("/v2/models/shop"),
            client.get("/v2/models/shop/ready"),
            client.get("/v2/models/shop/versions/1"),
            client.post("/predict/shop", json=row),
            client.post("/predict/shop/versions/1", json=row),
            client.post("/v2/models/shop/infer", json={"inputs": []}),
            client.post("/v2/models/shop/invocations", json={"dataframe_records": [row]}),
        ]
    for reply in replies:
        assert reply.status_code == 410, reply.text
        assert "shop is retired since 20" in reply.json()["error"]
        assert "replaced; see https://example.org/new" in reply.json()["error"]
        assert reply.headers["link"] == '<https://example.org/new>; rel="successor-version"'

    definitions = lab.definitions
    for name in ("shop_retrain", "shop_watch"):
        with dg.build_schedule_context(
            instance=lab.instance,
            scheduled_execution_time=datetime(2026, 2, 2, 3, tzinfo=UTC),
            repository_def=definitions.get_repository_def(),
            resources=resources(),
        ) as context:
            tick = definitions.resolve_schedule_def(name).evaluate_tick(context)
        assert "shop was retired on" in tick.skip_message
    sensor = definitions.resolve_sensor_def("shop_on_drift")
    with dg.build_sensor_context(
        instance=lab.instance, definitions=definitions, resources=resources()
    ) as context:
        assert "by bob" in sensor.evaluate_tick(context).skip_message
    capsys.readouterr()
    assert cli(lab, "status") == 0
    assert "retired" in capsys.readouterr().out
    assert cli(lab, "rollback", "shop") == 1
    assert "shop was retired on" in capsys.readouterr().err

    decide(lab, "reinstate", reason="needed after all")
    assert lab.aliases() == {CHAMPION: 1}
    end = time.monotonic() + 60
    while httpx.get(f"{lab.url}/v2/models/shop").status_code != 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert httpx.post(f"{lab.url}/predict/shop", json=row).status_code == 200


def test_approving_on_the_command_line_begins_a_canary(lab, capsys):
    lab.write(visits(4))
    policy = {"strategy": "canary", "steps": [25, 50], "guardrails": {"error_rate": 2.0}}
    lab.declare(weekly(gate__approval="required", gate__margin=0.2, deployment=policy))
    assert lab.fill(0, 3).success
    assert lab.run("lifecycle", week(2), only=["trained_model", "evaluation_report"]).success
    assert cli(lab, "approve", "shop", "--version", "1", "--reason", REASON) == 0
    assert "shop: v1 is approved; it is the champion" in capsys.readouterr().out
    assert lab.run("lifecycle", week(3), only=["trained_model", "evaluation_report"]).success
    assert cli(lab, "approve", "shop", "--reason", REASON) == 0
    assert "v2 is approved; it serves 25% of the units" in capsys.readouterr().out
    assert lab.aliases() == {CHAMPION: 1, CANARY: 2, CHALLENGER: 2}
    assert lab.stored("deployment", week(3)).share == 0.25
    assert cli(lab, "approve", "shop", "--version", "7", "--reason", REASON) == 1
    assert "shop has no version 7" in capsys.readouterr().err


class Careless(LogisticRegression):
    """Draws from a generator that nobody seeds."""

    def fit(self, X, y):
        super().fit(X, y)
        self.coef_ = self.coef_ + np.random.default_rng().normal(0, 1e-9, self.coef_.shape)
        return self


def trained(lab, **changes):
    lab.write(visits(3))
    lab.declare(weekly(**changes))
    assert lab.fill(0, 2).success
    result = lab.run("lifecycle", week(2), only=["trained_model"])
    assert result.success, errors(result)
    return checks(result)


def test_a_model_that_comes_out_otherwise_each_time_is_told(lab, monkeypatch, capsys):
    monkeypatch.setenv("MLOPS_TRUSTED_TYPES", f"{__name__}.Careless")
    found = trained(lab, estimator={"class": f"{__name__}.Careless"})["trained_model/reproducible"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "two fits on the same rows give two models" in found.description
    again = lab.run("lifecycle", week(2), only=["trained_model"])
    known = checks(again)["trained_model/reproducible"]
    assert known.description == found.description, "what was found is kept, not tried again"
    assert cli(lab, "reproduce", "shop@1", "--json") == 1
    made = json.loads(capsys.readouterr().out)
    assert (made["outcome"], made["changed"], made["files"]) == ("differs", [], ["model.skops"])
    assert 0 < made["largest_difference"] < 1e-7
    assert {m["metric"] for m in made["metrics"]} >= {"log_loss", "roc_auc"}


def test_a_long_fit_is_not_tried_twice_and_what_changed_since_is_named(lab, monkeypatch, capsys):
    monkeypatch.setattr(trained_model, "REFIT_SECONDS", 0.0)
    found = trained(lab)["trained_model/reproducible"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "not tried: the fit took" in found.description
    assert "run `mlops-assets reproduce shop@1`" in found.description
    lab.declare(
        weekly(
            estimator={"class": "sklearn.linear_model.LogisticRegression", "params": {"C": 0.5}},
            training={"windows": 2, "hold_out": 1, "reproduce": False},
        )
    )
    checked = {key.name for key in lab.definitions.resolve_asset_graph().asset_check_keys}
    assert {"signature", "safe_to_load"} <= checked
    assert "reproducible" not in checked
    now = fingerprint.environment() | {"scikit-learn": "99.0"}
    monkeypatch.setattr(reproduce, "environment", lambda: now)
    monkeypatch.setattr(reproduce, "environment_digest", lambda: "another")
    capsys.readouterr()
    assert cli(lab, "reproduce", "shop@1") == 1
    said = capsys.readouterr().out
    assert "parameter C: None then, 0.5 now" in said
    assert "code version: " in said
    assert f"scikit-learn: {sklearn.__version__} then, 99.0 now" in said
    assert "differs: model.skops" in said
    assert cli(lab, "reproduce", "shop@9") == 1
    assert "shop has no version 9" in capsys.readouterr().err


def test_iris_as_it_ships_is_reproduced_arrays_and_all(lab, capsys):
    lab.folder = Path(iris.__file__).parent
    lab.reload("iris")
    stages = ["raw_data", "validated_features", "trained_model"]
    result = lab.run("lifecycle", only=stages)
    assert result.success, errors(result)
    assert checks(result)["trained_model/reproducible"].passed
    assert lab.stored("trained_model").packed.startswith("proved")
    assert cli(lab, "reproduce", "iris@1") == 0
    assert "iris v1 is reproduced to the bit" in capsys.readouterr().out


def test_how_many_threads_there_were_is_no_difference_and_a_parameter_is_one(tmp_path):
    seen, truth = np.arange(600.0).reshape(200, 3), np.arange(200) % 2

    def digest(threads: int, **params) -> str:
        with threadpool_limits(threads, "openmp"):
            model = HistGradientBoostingClassifier(max_iter=2, random_state=0, **params)
            skops.io.dump(model.fit(seen, truth), tmp_path / "model.skops")
        return skops_digest(tmp_path / "model.skops")

    assert digest(1) == digest(2)
    assert digest(1) != digest(1, max_bins=10)


def test_a_reproduction_computes_with_as_many_threads_as_the_training():
    with as_then({"blas": 1, "openmp": 1}):
        assert set(threads().values()) == {1}
    with as_then({}):
        assert threads() == {found["user_api"]: found["num_threads"] for found in threadpool_info()}
