"""Evidently's page says what the report says."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.drift.html import drawable, drift_html, snapshot
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets_tests.lifecycle.drift.worlds import ROWS, compared, mixed, normal


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.4])
def test_page_shows_the_reports_verdicts(shift):
    reference, live = mixed(), mixed(400, 1, shift)
    report = compared(reference, live)
    theirs = snapshot(report, reference, live).metric_results.values()
    assert [r.metric_value_location.metric.params["column"] for r in theirs] == list(reference)
    for ours, result in zip(report.columns, theirs, strict=True):
        assert ours.value == result.value
        flagged = result.tests[0].status.value == "FAIL"
        assert flagged == (ours.verdict == "drifted"), ours


def test_page_is_written_and_harmless(tmp_path):
    attack = "</script><script>alert(1)</script>"
    frames = [
        pd.DataFrame({attack: normal(ROWS, s), "x": [attack, "b"] * (ROWS // 2)}) for s in (0, 1)
    ]
    report = compared(*frames)
    page = tmp_path / "drift.html"
    drift_html(report, *frames, page)
    text = page.read_text("utf-8")
    assert len(text) > 1_000_000
    assert "script>alert(1)" not in text
    assert report.columns[0].column == attack


def test_page_leaves_out_what_has_no_distance(tmp_path):
    reference, live = mixed(6_000), mixed(6_000, 1).assign(gap=np.nan).drop(columns="region")
    report = compared(reference, live)
    drawn = snapshot(report, reference, live).metric_results.values()
    assert [r.metric_value_location.metric.params["column"] for r in drawn] == [
        "amount", "count", "known", "prediction"
    ]  # fmt: skip


def test_page_is_drawn_from_a_sample_and_shows_the_verdict_on_all_rows(tmp_path):
    reference = mixed(20_000)
    live = mixed(20_000, 1).assign(gap=np.where(np.arange(20_000) % 500 == 1, 0.0, np.nan))
    reference["gap"] = live["gap"]
    report = compared(reference, live)
    drawn = {
        r.metric_value_location.metric.params["column"]: r.value
        for r in snapshot(report, reference, live).metric_results.values()
    }
    # Of the 40 values of "gap" none is among the rows that are drawn.
    assert drawn == {c.column: c.value for c in report.columns if c.column != "gap"}


def test_page_without_columns_is_refused(tmp_path):
    report = compared(mixed(), mixed(5))
    assert not drawable(report)
    with pytest.raises(EvidenceError, match="no column has a distance"):
        drift_html(report, mixed(), mixed(5), tmp_path / "drift.html")
    assert list(tmp_path.iterdir()) == []
