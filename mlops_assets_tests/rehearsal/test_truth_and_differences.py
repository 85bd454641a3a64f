"""Alarms judged by when the world changed, and policies held against each other."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from mlops_assets.lifecycle.report_base import MetricEstimate
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import WindowGrid
from mlops_assets.rehearsal.answers import Answers
from mlops_assets.rehearsal.differences import metric_difference
from mlops_assets.rehearsal.replay import cron_times
from mlops_assets.rehearsal.report import Alarm, PolicyOutcome, WindowOutcome
from mlops_assets.rehearsal.truth import changes_seen, judged
from mlops_assets_tests.harness import START, week, weekly

WINDOWS = WindowGrid("weekly", START).back_from(week(9), 10)


def outcome(losses=(), alarms=()) -> PolicyOutcome:
    """An outcome of the policy never, by what its windows lost."""
    rows = [
        WindowOutcome(
            window=w.key,
            rows=10,
            versions={"v1": 10},
            labelled=10,
            metric=None
            if value is None
            else MetricEstimate(metric="log_loss", value=value, low=0, high=9),
        )
        for w, value in zip(WINDOWS, losses, strict=False)
    ]
    counts = dict.fromkeys(("asked", "trained", "promoted", "refused", "failed", "alerts"), 0)
    return PolicyOutcome(
        policy="never",
        words="",
        windows=rows,
        mean_metric=None,
        mean_kpis={},
        alarms=list(alarms),
        **counts,
    )


def alarm(number: int, reference: int, kind="decay", late=timedelta(minutes=30)) -> Alarm:
    at = WINDOWS[number].bounds[1] + late
    return Alarm(
        window=week(number), kind=kind, at=at, version=1, reference=week(reference), columns=[]
    )


HOLD_OUT = MetricEstimate(metric="log_loss", value=0.5, low=0.4, high=0.6)


def test_changes_are_where_a_frozen_model_becomes_bad_and_good_again():
    found = outcome([0.5, 0.59, 0.7, 0.8, None, 0.7, 0.5, 0.55, 0.61])
    changes, source, words = changes_seen(found, HOLD_OUT, 0.1)
    assert changes == [week(2), week(6), week(8)]
    assert source == "never"
    assert "0.6" in words


def test_of_a_metric_of_which_more_is_better_bad_is_less():
    auc = MetricEstimate(metric="roc_auc", value=0.8, low=0.7, high=0.9)
    found = outcome([0.8, 0.69, 0.95])
    assert changes_seen(found, auc, 0.1)[0] == [week(1), week(2)]


def test_without_a_realised_metric_nothing_is_known():
    assert changes_seen(outcome([None, None]), HOLD_OUT, 0.1)[1] == "unknown"


def test_an_alarm_is_true_when_reference_and_window_are_of_two_worlds():
    alarms = [alarm(2, 0), alarm(4, 0), alarm(5, 4), alarm(6, 3, "drift"), alarm(6, 0)]
    found = judged(outcome(alarms=alarms), [week(4)], WINDOWS)
    assert [a.true for a in found.alarms] == [False, True, False, True, True]
    # Windows 2 and 5 had a false alarm and no true one; 4 and 6 had true ones.
    assert (found.false_alarms, found.quiet_windows) == (2, 8)


def test_a_detection_is_the_first_true_alarm_before_the_next_change():
    alarms = [alarm(5, 1, late=timedelta(days=7)), alarm(5, 1, "drift"), alarm(2, 1)]
    found = judged(outcome(alarms=alarms), [week(4), week(7)], WINDOWS)
    first, second = found.detections
    assert (first.change, first.window, first.kind, first.windows) == (week(4), week(5), "drift", 1)
    assert first.days == pytest.approx(14 + 0.5 / 24)
    assert (second.change, second.window, second.days) == (week(7), None, None)


# --- differences ----------------------------------------------------------------------------


def answers(truth, predicted, version) -> Answers:
    rows = len(truth)
    return Answers(
        versions={version: rows},
        rows=pd.DataFrame(index=range(rows)),
        truth=truth,
        predicted=predicted,
        units=np.arange(rows),
        weights=np.ones(rows),
        problem="",
    )


def world(rng, windows=4, rows=200, edge=0.0):
    """Two models of one truth; the first is better by an edge."""
    found = {"declared": {}, "never": {}}
    for number in range(windows):
        chance = rng.uniform(0.1, 0.9, rows)
        truth = (rng.random(rows) < chance).astype(int)
        for version, (policy, noise) in enumerate((("declared", 0.1), ("never", 0.1 + edge))):
            score = np.clip(chance + rng.normal(0, noise, rows), 0.02, 0.98)
            found[policy][week(number)] = answers(truth, score, version)
    return found


def test_the_difference_is_the_mean_over_windows_with_the_paired_error_of_the_rows():
    found = world(np.random.default_rng(0), edge=0.15)
    spec = ModelSpec.model_validate(weekly(monitoring__decay={"drop": 0.1}))
    made = metric_difference(spec, "declared", "never", found)
    gains, variances = [], []
    for window in found["never"]:
        mine, other = found["declared"][window], found["never"][window]
        truth = mine.truth
        rows = -np.log(np.where(truth == 1, other.predicted, 1 - other.predicted))
        rows += np.log(np.where(truth == 1, mine.predicted, 1 - mine.predicted))
        assert rows.mean() == pytest.approx(
            log_loss(truth, other.predicted) - log_loss(truth, mine.predicted)
        )
        gains.append(rows.mean())
        variances.append(rows.var(ddof=1) / len(rows))
    error = np.sqrt(sum(variances)) / len(gains)
    assert made.mean == pytest.approx(np.mean(gains))
    reach = stats.norm.ppf(0.975) * error
    assert (made.low, made.high) == pytest.approx((made.mean - reach, made.mean + reach), rel=0.01)
    spread = stats.t.interval(0.95, 3, np.mean(gains), stats.sem(gains))
    assert (made.windows_low, made.windows_high) == pytest.approx(spread)


def test_where_one_model_answered_for_both_there_is_no_difference():
    rng = np.random.default_rng(1)
    found = world(rng)
    found["declared"][week(0)] = found["never"][week(0)]
    spec = ModelSpec.model_validate(weekly())
    made = metric_difference(spec, "declared", "never", found)
    assert made.by_window[week(0)] == 0
    assert made.same == 1


def test_versions_of_one_number_are_of_two_registries_and_may_differ():
    found = world(np.random.default_rng(4), edge=0.15)
    alike = {
        policy: {key: replace(one, versions={2: len(one.truth)}) for key, one in windows.items()}
        for policy, windows in found.items()
    }
    spec = ModelSpec.model_validate(weekly())
    made = metric_difference(spec, "declared", "never", alike)
    assert made == metric_difference(spec, "declared", "never", found)
    assert made.same == 0


def test_the_interval_covers_no_difference_as_often_as_it_says():
    rng = np.random.default_rng(2)
    spec = ModelSpec.model_validate(weekly())
    made = [metric_difference(spec, "declared", "never", world(rng)) for _ in range(400)]
    covered = sum(d.low <= 0 <= d.high for d in made)
    # 95 % of 400 is 380, with a standard deviation of 4.4.
    assert 365 <= covered <= 395


def test_a_rank_metric_is_signed_so_that_more_is_better():
    found = world(np.random.default_rng(3), edge=0.3)
    gate = {"metric": "roc_auc", "margin": 0.02, "floor": {"roc_auc": 0.6}}
    spec = ModelSpec.model_validate(weekly(gate=gate))
    made = metric_difference(spec, "declared", "never", found)
    first = found["declared"][week(0)], found["never"][week(0)]
    expected = roc_auc_score(first[0].truth, first[0].predicted)
    expected -= roc_auc_score(first[1].truth, first[1].predicted)
    assert made.by_window[week(0)] == pytest.approx(expected)
    assert made.low > 0


# --- the clock ------------------------------------------------------------------------------


def test_the_times_of_a_cron_are_those_in_the_span():
    start = datetime(2026, 1, 5, tzinfo=UTC)
    found = cron_times("30 0 * * 1", "UTC", start, start + timedelta(days=14, minutes=30))
    assert [f"{t:%m-%d %H:%M}" for t in found] == ["01-05 00:30", "01-12 00:30", "01-19 00:30"]
    assert all(t.date() >= date(2026, 1, 5) for t in found)
