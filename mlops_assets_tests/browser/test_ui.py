"""A walk through the UI: what is drawn is what happened, and nothing complains."""

import pytest

from mlops_assets.assets import keys

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MODELS = ("fraud", "iris", "recommendations")
ASSETS = (
    keys.RAW_DATA,
    keys.VALIDATED_FEATURES,
    keys.TRAINED_MODEL,
    keys.EVALUATION_REPORT,
    keys.DEPLOYMENT,
    keys.LIVE_PREDICTIONS,
    keys.DRIFT_REPORT,
    keys.PERFORMANCE_REPORT,
)
LOCATION = "/locations/__repository__@mlops_assets"
RUN_SECONDS = 90
LAUNCH = "//button[not(@disabled)][normalize-space(.)='Launch Run']"
EDGE = (
    "//*[name()='svg'][.//*[name()='foreignObject']]//*[name()='path']"
    "[not(ancestor::*[name()='foreignObject' or name()='marker'])]"
)
IMAGE_IS_DRAWN = "return arguments[0].complete && arguments[0].naturalWidth > 0"


def test_catalog_lists_every_asset_of_every_model(page):
    page.open("/assets")
    for model in MODELS:
        for asset in ASSETS:
            page.find(f"a[href$='/assets/{model}/{asset}']")
    page.see("Which version serves, since when, on whose word.", "Never materialized")


def test_lineage_draws_every_node_and_an_edge(page):
    page.open(f"{LOCATION}/asset-groups/fraud")
    page.see(*ASSETS)
    nodes = [node.text for node in page.find("svg foreignObject")]
    assert all(any(asset in node for node in nodes) for asset in ASSETS), nodes
    edges = page.driver.find_elements("xpath", EDGE)
    assert len(edges) >= len(ASSETS) - 1


def test_evaluation_report_shows_verdict_table_and_plot(page):
    page.open("/assets/iris/evaluation_report")
    page.see("first_model", "no champion yet; every floor reached")
    tables = [table.text for table in page.find(".dagster-markdown table")]
    assert any("accuracy" in t and "challenger" in t for t in tables), tables
    page.click(f"{_row('intervals')}//a[.='[Show Markdown]']")
    (image,) = page.find("[role='dialog'] img")
    page.wait("the plot", lambda: page.driver.execute_script(IMAGE_IS_DRAWN, image))
    page.assert_clean()


def test_trained_model_links_to_mlflow(page):
    page.open("/assets/iris/trained_model")
    page.see("sklearn.linear_model.LogisticRegression", "petal_width")
    (link, *_) = page.find("a[href*='/#/experiments/']")
    assert link.text == link.get_attribute("href")


def test_launchpad_is_ready_to_launch(page):
    page.open(f"{LOCATION}/jobs/iris_lifecycle/playground")
    page.see("Launch Run", "No errors", "mlops/model: iris")
    page.wait("a button to launch", lambda: page.driver.find_elements("xpath", LAUNCH))


def test_deployment_without_a_server_fails_its_check_and_says_why(page):
    page.open("/assets/iris/deployment?view=checks")
    page.see("endpoint", "Succeeded", "answers equal the model's own")
    page.click("//button[not(@disabled)][normalize-space(.)='Materialize']")
    page.see("Failed", seconds=RUN_SECONDS)
    page.see(
        "The running endpoint serves the version and answers as it does.",
        "nothing answers at http://127.0.0.1:",
        "start mlops-assets serve",
    )


def test_drift_sensor_runs_and_says_what_it_does(page):
    page.open(f"{LOCATION}/sensors/fraud_on_drift")
    page.see("Reads each new drift_report once; asks for a retrain and alerts.", "fraud_lifecycle")
    page.see("0 runs requested", seconds=60)
    assert page.driver.title == "Sensors | fraud_on_drift"


def test_schedule_says_when_it_trains(page):
    page.open(f"{LOCATION}/schedules/fraud_retrain")
    page.see("Train on the newest window whose labels are complete.", "At 03:00 AM UTC")


def _row(key: str) -> str:
    """XPath of the row of the metadata table with a key."""
    return f"//tr[td[normalize-space(.)='{key}']]"
