"""Decay in Dagster: labels that clients send late, a curve of them, and a feed that breaks."""

from datetime import UTC, timedelta

import numpy as np
import pytest

from mlops_assets.lifecycle.ground_truth import FeedbackLog, Label
from mlops_assets.lifecycle.prediction_log import PredictionLog, Record
from mlops_assets_tests.harness import checks, errors, of_week, visits, week, weekly


def answer(lab, rows):
    """Log what version 1 answered, as the server does."""
    log = PredictionLog(lab.settings.prediction_log)
    score = 1 / (1 + np.exp(-2 * rows["interest"]))
    log.append(
        [
            Record(
                prediction_id=row.visit, model="shop", version=1, run_id="", unit=row.customer,
                at=row.at.to_pydatetime(), logged_at=row.at.to_pydatetime(),
                features={"interest": row.interest, "minutes": row.minutes},
                key={"visit": row.visit}, answer={"prediction": int(p > 0.5), "score": float(p)},
                latency_ms=1.0, status=200,
            )
            for row, p in zip(rows.itertuples(), score, strict=True)
        ]
    )  # fmt: skip
    log.close()


def tell(lab, rows, seed):
    """Send labels, each some days after its prediction."""
    feedback = FeedbackLog(lab.settings.prediction_log)
    waits = np.random.default_rng(seed).exponential(1.5, len(rows))
    feedback.append(
        [
            Label(
                model="shop", value=float(row.bought), prediction_id=row.visit,
                logged_at=(row.at.to_pydatetime() + timedelta(days=wait)).astimezone(UTC),
            )
            for row, wait in zip(rows.itertuples(), waits, strict=True)
        ]
    )  # fmt: skip
    feedback.close()


def metadata(result):
    (event,) = (
        e
        for e in result.get_asset_materialization_events()
        if e.asset_key.path[-1] == "performance_report"
    )
    return event.step_materialization_data.materialization.metadata


@pytest.mark.slow
def test_late_labels_have_a_curve_and_a_broken_feed_is_never_healthy(lab):
    frame = visits(6)
    lab.write(frame[frame["at"] < frame["at"][of_week(frame, 3)].min()])
    lab.declare(weekly(columns__label_delay="10d", monitoring__decay={"drop": 0.2}))
    assert lab.fill(0, 2).success
    with lab.server():
        assert lab.run("lifecycle", week(2)).success
    for number in (3, 4, 5):
        rows = frame[of_week(frame, number)]
        answer(lab, rows)
        tell(lab, rows if number < 5 else rows[:40], seed=number)

    first = lab.run("monitoring", week(3))
    assert first.success, errors(first)
    report = lab.stored("performance_report", week(3))
    assert report.verdict == "healthy"
    assert (report.due, report.known, report.labelled) == (400, 400, 400)
    assert report.p_value > 0.5
    assert report.missing["maturity"] == "no window before has live predictions"
    assert report.calibration.hold_out_ratio == pytest.approx(1, abs=0.3)
    assert not report.discrimination.lost
    assert report.estimated.trusted

    second = lab.run("monitoring", week(4))
    assert second.success, errors(second)
    curve = lab.stored("performance_report", week(4)).maturity
    half = np.interp(1.5 * np.log(2), curve.days, curve.complete)
    assert half == pytest.approx(0.5, abs=0.1)
    assert curve.of_window == pytest.approx(1)
    shown = metadata(second)
    assert shown["labels by age"].value.startswith("![label maturity](data:image/png")
    assert len(shown["labels by age"].value) < 20_000
    assert "held" in shown["discrimination"].text

    third = lab.run("monitoring", week(5))
    assert third.success, errors(third)
    report = lab.stored("performance_report", week(5))
    assert report.verdict == "insufficient_data"
    assert report.reason.startswith("40 of 400 answers whose labels are due have one")
    assert not checks(third)["performance_report/no_decay"].passed
    assert report.estimated.trusted
    assert report.estimated.assumptions[1].words.startswith(f"of window {week(4)}")
