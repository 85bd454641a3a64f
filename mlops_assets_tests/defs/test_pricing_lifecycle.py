"""The pricing example through its whole life: trained, judged, deployed, and shaken by a rival."""

from datetime import date

from mlops_assets_tests.harness import checks, errors, week

START = date(2025, 1, 6)


def test_trained_judged_and_deployed(lab, monkeypatch):
    from mlops_assets_tests.conftest import ROOT

    lab.folder = ROOT / "mlops_assets" / "defs" / "pricing"
    lab.reload("pricing")
    filled = lab.fill(0, 29)
    assert filled.success, errors(filled)
    run = lab.run("lifecycle", week(29, START))

    assert run.success, errors(run)
    failed = [name for name, check in checks(run).items() if not check.passed]
    assert failed == []
