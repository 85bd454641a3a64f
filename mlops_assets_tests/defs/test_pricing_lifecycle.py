"""The pricing example through its whole life: trained, judged, served, and shaken by a rival."""

from datetime import date

import pytest

from mlops_assets_tests.conftest import ROOT
from mlops_assets_tests.harness import checks, errors, week

START = date(2025, 1, 6)
LAST = 19


@pytest.fixture(scope="module")
def pricing(shared_lab):
    """A champion trained on 18 weeks, and the price war from the next week on."""
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
        for number in (LAST, LAST + 1):
            frame = pricing.stored("validated_features", week(number, START))
            pricing.ask(url, frame)
    healthy, shaken = (
        pricing.run("monitoring", week(number, START)) for number in (LAST, LAST + 1)
    )
    assert healthy.success, errors(healthy)
    assert shaken.success, errors(shaken)
    drift = pricing.stored("drift_report", week(LAST + 1, START))
    assert drift.drifted
    assert "competitor_ratio" in {c.column for c in drift.columns if c.verdict == "drifted"}
    assert not pricing.stored("drift_report", week(LAST, START)).drifted
