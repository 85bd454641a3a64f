"""Label maturity: what earlier windows tell of how complete labels are, and broken feeds."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from mlops_assets.lifecycle.decay.figures import maturity_figure
from mlops_assets.lifecycle.decay.maturity import maturity
from mlops_assets.lifecycle.ground_truth import FeedbackLog, Label, place_of
from mlops_assets.lifecycle.reports import PerformanceReport
from mlops_assets_tests.lifecycle.test_performance import BINARY, binary, judged, spec

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def history(size=6000, mean=4.0, ever=0.7, most=40.0, seed=0):
    """Predictions of the last days; a share gets a label, after an exponential time."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, most, size)
    waits = np.where(rng.random(size) < ever, rng.exponential(mean, size), np.inf)
    asked = pd.Series(pd.to_datetime([NOW] * size)) - pd.to_timedelta(age, unit="D")
    came = waits <= age
    arrived = (asked + pd.to_timedelta(np.where(came, waits, 0), unit="D")).where(came)
    return asked, arrived, came, age, waits


def test_the_curve_is_right_though_newer_predictions_still_wait():
    asked, arrived, came, *_ = history()
    of = pd.Series(pd.to_datetime([NOW - 3 * DAY] * 10))
    curve, _ = maturity(asked, arrived, came, of, NOW)
    truth = 1 - np.exp(-np.array(curve.days) / 4)
    assert np.abs(np.array(curve.complete) - truth).max() < 0.03
    assert curve.of_window == pytest.approx(1 - np.exp(-3 / 4), abs=0.03)
    assert curve.ever == pytest.approx(0.7, abs=0.02)
    # Of the labels that are there, too many are early: what came is no sample of what comes.
    late = came.sum() / (0.7 * len(came))
    assert late < 0.93


def test_the_curve_is_kaplan_and_meiers():
    asked, arrived, came, *_ = history(size=400)
    curve, _ = maturity(asked, arrived, came, asked, NOW)
    ages = (arrived.where(came, NOW) - asked).to_numpy() / np.timedelta64(1, "D")
    fit = SurvfuncRight(ages, came.astype(int))
    gone = np.concatenate([[0.0], 1 - fit.surv_prob])
    for day, share in zip(curve.days, curve.complete, strict=True):
        # 4 digits of the day were kept; it may fall on either side of a step.
        near = gone[np.searchsorted(fit.surv_times, [day * 0.9995, day * 1.0005], side="right")]
        assert near[0] / gone[-1] - 1e-3 <= share <= near[1] / gone[-1] + 1e-3


def test_what_is_not_known_yet_does_not_count():
    asked, arrived, came, age, waits = history()
    then = NOW - 10 * DAY
    old = (asked < then).to_numpy()
    known_then = came & (waits <= age - 10)
    replayed, _ = maturity(asked[old], arrived[old], known_then[old], asked[old], then)
    later, _ = maturity(
        asked[old], arrived[old].where(known_then[old]), known_then[old], asked[old], then
    )
    assert replayed == later


def test_labels_that_do_not_tell_when_they_came_make_no_curve():
    asked, arrived, came, *_ = history()
    curve, words = maturity(asked, arrived.where(arrived.isna()), came, asked, NOW)
    assert curve is None
    assert "do not tell when they came" in words
    curve, words = maturity(asked[:40], arrived[:40], came[:40], asked, NOW)
    assert curve is None
    assert "50 make a curve" in words


def test_a_label_before_its_prediction_is_of_age_0():
    asked = pd.Series(pd.to_datetime([NOW - DAY] * 100))
    curve, _ = maturity(asked, asked - DAY, np.ones(100, bool), asked, NOW)
    assert curve.complete[0] == 1.0
    assert maturity_figure(curve, 7.0).axes


def partly(share, size=400, **options):
    live = binary(size, **options)
    rng = np.random.default_rng(1)
    return live.assign(y=live["y"].where(rng.random(size) < share))


def test_a_tenth_of_the_labels_is_never_healthy():
    report = judged(partly(0.1, 2000))
    assert report.verdict == "insufficient_data"
    assert "is the label feed broken?" in report.reason
    assert report.realised is not None, "what is there is shown"
    assert report.p_value is None
    assert judged(partly(0.9)).verdict == "healthy"


def earlier(share, verdict="healthy", windows=3) -> list[PerformanceReport]:
    made = judged(partly(0.9))
    return [
        made.model_copy(update={"due": 1000, "known": int(1000 * share), "verdict": verdict})
        for _ in range(windows)
    ]


def test_as_many_labels_are_expected_as_the_windows_before_had():
    sparse = partly(0.3, 2000)
    assert judged(sparse).verdict == "insufficient_data"
    assert judged(sparse, earlier=earlier(0.3)).verdict == "healthy"
    thin = judged(partly(0.1, 2000), earlier=earlier(0.3))
    assert thin.verdict == "insufficient_data"
    assert "30% are to be expected (as in 3 windows before)" in thin.reason


def test_windows_with_a_broken_feed_do_not_make_it_usual():
    broken = earlier(0.1, "insufficient_data", windows=8)
    assert judged(partly(0.1, 2000), earlier=broken).verdict == "insufficient_data"


def test_the_share_that_gets_a_label_can_be_declared():
    declared = BINARY.model_copy(
        update={"monitoring": spec("binary_classification", "average_precision").monitoring}
    )
    decay = declared.monitoring.decay.model_copy(update={"coverage": 0.1})
    monitoring = declared.monitoring.model_copy(update={"decay": decay})
    declared = declared.model_copy(update={"monitoring": monitoring})
    assert judged(partly(0.1, 4000), declared=declared).verdict == "healthy"
    assert judged(partly(0.02, 4000), declared=declared).verdict == "insufficient_data"


def test_a_label_delay_at_which_labels_are_not_complete_is_told():
    asked, arrived, came, *_ = history(mean=10.0, most=90.0)
    curve = maturity(asked, arrived, came, asked, NOW)
    report = judged(binary(), maturity=curve)
    assert report.verdict == "insufficient_data"
    assert "columns.label_delay is too short: of the labels that come, 50%" in report.reason
    quick = maturity(*history(mean=1.0)[:3], asked, NOW)
    assert judged(binary(), maturity=quick).verdict == "healthy"


def test_the_first_label_tells_when_it_came_corrections_do_not(tmp_path):
    log = FeedbackLog(tmp_path)
    at = NOW - 9 * DAY

    def label(days, **of):
        return Label(model="shop", value=1.0, logged_at=NOW + days * DAY, **of)

    log.append(
        [
            label(3, prediction_id="a"),
            label(1, prediction_id="a"),
            label(2, unit="u", at=at),
            label(4, prediction_id="b"),
            label(0, prediction_id="other"),
        ]
    )
    place = place_of(label(2, unit="u", at=at))
    came = log.first_came("shop", [("a", None), ("b", place), ("c", place), ("d", None)])
    assert came == [NOW + DAY, NOW + 2 * DAY, NOW + 2 * DAY, None]
    assert log.first_came("shop", []) == []
    log.close()
