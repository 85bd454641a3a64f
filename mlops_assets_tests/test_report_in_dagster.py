"""The evaluation report as people read it: in Dagster's UI, as a page, in MLflow, listed."""

import json
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from mlops_assets.assets.inventory import inventory_definitions
from mlops_assets.cli import main
from mlops_assets.definitions import resources
from mlops_assets_tests.harness import errors, visits, week, weekly

HOSTILE = "<script>alert(1)</script>"
JUDGE = ["evaluation_report"]


@pytest.fixture(scope="module")
def shop(shared_lab):
    """Two lifecycles of a shop whose column names, values and description are markup."""
    lab = shared_lab
    rng = np.random.default_rng(3)
    frame = visits(4)
    frame[HOSTILE] = rng.choice([HOSTILE, '"><img src=x onerror=alert(2)>', "$x_$"], len(frame))
    lab.write(frame)
    lab.declare(weekly(description=HOSTILE))
    assert lab.fill(0, 3).success
    with lab.server():
        for number in (2, 3):
            result = lab.run("lifecycle", week(number))
            assert result.success, errors(result)
        lab.result = result
        yield lab


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dg.MetadataValue]:
    (event,) = result.asset_materializations_for_node(asset)
    return dict(event.metadata)


@pytest.fixture(scope="module")
def shown(shop):
    """Metadata of the second evaluation."""
    return metadata(shop.result, "shop__evaluation_report")


def test_explanations_are_plots_and_tables_in_the_ui(shown):
    for name in ("importance", "partial dependence", "intervals"):
        assert shown[name].value.startswith("![")
    for name in ("coefficients", "slices", "changed against the champion"):
        assert shown[name].value.startswith("| ")
        assert "<script" not in shown[name].value
    assert "all rows" in shown["changed against the champion"].value


def test_metadata_stay_small(shown):
    sizes = {name: len(json.dumps(str(value.value))) for name, value in shown.items()}
    assert sum(sizes.values()) < 60_000, sizes


def test_the_page_lies_beside_the_report_and_in_mlflow(shop, shown):
    report = shop.stored("evaluation_report", week(3))
    page = shop.file("evaluation_report", week(3)).with_suffix(".html")
    assert Path(report.html) == page == Path(shown["report file"].value)
    text = page.read_text("utf-8")
    assert "Content-Security-Policy" in text
    assert HOSTILE not in text
    assert text.count('<img src="data:image/png;base64,') == 2, "the task's own plots"
    run_id = shop.registry.version("shop", 2).run_id
    listed = shop.registry.client.list_artifacts(run_id, "evaluation")
    assert [file.path for file in listed] == [f"evaluation/{week(3)}.html"]
    assert shown["report"].value.endswith(f"{run_id}/artifacts/evaluation/{week(3)}.html")
    assert report.explanation.changes.champion == 1


def test_the_same_judgement_again_keeps_its_explanation(shop):
    before = shop.stored("evaluation_report", week(3))
    again = shop.run("lifecycle", week(3), only=JUDGE)
    assert again.success, errors(again)
    assert shop.stored("evaluation_report", week(3)) == before
    assert "importance" in metadata(again, "shop__evaluation_report")


def test_the_card_is_the_versions_description_and_an_artifact(shop, shown):
    found = shop.registry.client.get_model_version("shop", "2")
    assert found.description.startswith("# shop, version 2")
    assert len(found.description) <= 5000
    assert "<script" not in found.description
    listed = shop.registry.client.list_artifacts(found.run_id, "model_card")
    assert [Path(file.path).name for file in listed] == ["model_card.html", "model_card.md"]
    assert shown["model card"].value.endswith("/artifacts/model_card/model_card.md")


def test_the_card_tells_who_let_the_version_in(shop):
    text = shop.registry.client.get_model_version("shop", "2").description
    decisions = text.split("## Decisions")[1].split("## ")[0]
    assert "promote" in decisions
    assert "dagster run" in decisions


def test_the_card_of_the_champion_that_was_replaced_says_so(shop):
    assert shop.decisions(1) == [("promote", "v1"), ("promote", "v2")]
    assert shop.decisions(2) == [("promote", "v2")]


def test_the_command_prints_and_draws_the_card_of_any_version(shop, capsys, tmp_path):
    command = ["--defs", str(shop.folder), "card"]
    assert main([*command, "shop@1"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("# shop, version 1")
    assert "| promote | v2 |" in first.split("## Decisions")[1]
    assert main([*command, "shop", "--html", str(tmp_path / "card.html")]) == 0
    page = (tmp_path / "card.html").read_text("utf-8")
    assert "shop, version 2" in page
    assert HOSTILE not in page


@pytest.mark.parametrize(
    ("model", "words"),
    [("shop@9", "no version 9"), ("shop@x", "a version is a number"), ("shoe", "no model 'shoe'")],
)
def test_a_card_of_what_is_not_there_is_refused(shop, capsys, model, words):
    assert main(["--defs", str(shop.folder), "card", model]) == 1
    assert words in capsys.readouterr().err


def test_the_inventory_is_an_asset(shop):
    definitions = dg.Definitions.merge(
        inventory_definitions(shop.folder),
        dg.Definitions(resources=resources(), executor=dg.in_process_executor),
    )
    job = definitions.resolve_job_def("take_inventory")
    result = job.execute_in_process(instance=shop.instance)
    shown = metadata(result, "model_inventory")
    assert shown["in production"].value == 1
    assert "shop" in shown["inventory"].value
    stored = resources()["reports"].load(dg.AssetKey(["model_inventory"]), None)
    assert [(m.model, m.version) for m in stored.models] == [("shop", 2)]
    assert stored.models[0].evaluation.startswith("v2: ")


def test_the_command_tells_the_last_evaluation(shop, capsys):
    assert main(["--defs", str(shop.folder), "inventory", "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    verdict = shop.stored("evaluation_report", week(3)).verdict.verdict
    assert found["evaluation"] == f"v2: {verdict}"
    assert found["purpose"] == HOSTILE
