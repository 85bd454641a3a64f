"""The pricing example through its whole life: trained, judged, served, and shaken by a rival."""

from datetime import date

import dagster as dg
import pytest

from mlops_assets.definitions import resources
from mlops_assets.defs.price_recommendations import price_recommendations
from mlops_assets_tests.conftest import ROOT
from mlops_assets_tests.harness import checks, errors, week

pytestmark = pytest.mark.slow

START = date(2025, 1, 6)
LAST = 17


@pytest.fixture(scope="module")
def pricing(shared_lab):
    """A champion trained on 17 weeks, and the price war from the next week on."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLOPS_PRICING_SHIFT_FROM", week(LAST + 1, START))
        shared_lab.folder = ROOT / "mlops_assets" / "defs" / "pricing"
        shared_lab.reload("pricing")
        assert shared_lab.fill(0, LAST + 1).success
        yield shared_lab


def test_its_whole_life(pricing):
    with pricing.server() as url:
        run = pricing.run("lifecycle", week(LAST, START))
        assert run.success, errors(run)
        assert [name for name, check in checks(run).items() if not check.passed] == []
        report = pricing.stored("evaluation_report", week(LAST, START))
        assert report.verdict.verdict == "first_model"
        features = pricing.stored("trained_model", week(LAST, START)).features
        known = [*features, "units", "at", "sale_id", "product_id"]
        for number in (LAST, LAST + 1):
            frame = pricing.stored("validated_features", week(number, START))
            pricing.ask(url, frame[known])
    healthy, shaken = (
        pricing.run("monitoring", week(number, START)) for number in (LAST, LAST + 1)
    )
    assert healthy.success, errors(healthy)
    assert shaken.success, errors(shaken)
    drift = pricing.stored("drift_report", week(LAST + 1, START))
    assert drift.drifted
    assert "competitor_ratio" in {c.column for c in drift.columns if c.verdict == "drifted"}
    calm = pricing.stored("drift_report", week(LAST, START))
    assert not calm.drifted, [c for c in calm.columns if c.verdict == "drifted"]
    assert "week_of_year" not in {c.column for c in calm.columns}


def test_the_champion_names_prices(pricing):
    """Within 10 % of the last price, above cost and margin, within what was asked before."""
    job = dg.define_asset_job("prices", selection=[price_recommendations])
    beside = dg.Definitions(assets=[price_recommendations], jobs=[job])
    made = (
        dg.Definitions.merge(pricing.definitions, beside)
        .resolve_job_def("prices")
        .execute_in_process(partition_key=week(LAST, START), instance=pricing.instance)
    )
    assert made.success
    advice = resources()["frames"].load(price_recommendations.key, week(LAST, START))
    features = pricing.stored("validated_features", week(LAST, START))
    rows = advice.merge(features, on=["product", "store"], suffixes=("", "_asked"))
    assert len(rows) == len(advice) == len(features)
    named = rows[rows["price_asked"].notna() & rows["price"].notna()]
    assert len(named) > 200
    assert (abs(named["price"] / named["last_price"] - 1) <= 0.1 + 1e-9).all()
    assert (named["price"] >= named["unit_cost"] * 1.05).all()
    assert named["price"].between(named["lowest_price"], named["highest_price"]).all()
    assert (named["high"] < -1).all()
    assert (named["profit"] >= named["profit_now"] * 0.999).all()
