"""Decay: only mature labels count, and only a clear loss is an alarm."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    mean_absolute_error,
    ndcg_score,
)

from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.decay.performance import performance
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.reports import MetricEstimate
from mlops_assets.lifecycle.spec import ModelSpec, Monitoring
from mlops_assets.lifecycle.tasks import Answered

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def spec(task, metric, drop=0.05, delay="7d", **roles) -> ModelSpec:
    return ModelSpec(
        name="model",
        task=task,
        cadence="weekly",
        start="2026-01-05",
        source={"type": "csv", "path": "rows.csv"},
        columns={"target": "y", "time": "t", "key": ["id"], "label_delay": delay} | roles,
        estimator={"class": "sklearn.linear_model.LogisticRegression"},
        gate={"metric": metric, "margin": 0.01},
        monitoring={"decay": None if drop is None else {"drop": drop}},
    )


BINARY = spec("binary_classification", "average_precision")


def frame(labels, answers, at=NOW - 8 * DAY, unit=None, label="y"):
    size = len(answers)
    return pd.DataFrame(
        {
            "prediction_id": [f"p{i}" for i in range(size)],
            "at": pd.Series(pd.to_datetime([at] * size, utc=True)),
            "unit": pd.Series([None] * size if unit is None else unit, dtype=object),
            "answer": [json.dumps(a) for a in answers],
            label: pd.Series(labels, dtype=object if label == "item" else None),
        }
    )


def scored(size=400, skill=2.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size)
    score = 1 / (1 + np.exp(-rng.normal(skill * (truth - 0.5), 1)))
    return truth, score


def binary(size=400, skill=2.0, **options):
    truth, score = scored(size, skill)
    answers = [{"prediction": int(s > 0.5), "score": float(s)} for s in score]
    return frame(truth.astype(float), answers, **options)


def promised(value, metric, error=1e-6, units=1000) -> HoldOut:
    """A hold-out that is known that well."""
    reach = stats.t.ppf(0.975, units - 1) * error
    found = MetricEstimate(metric=metric, value=value, low=value - reach, high=value + reach)
    return HoldOut({metric: found}, units)


def judged(live, hold_out=0.9, declared=BINARY, error=1e-6, **options):
    if not isinstance(hold_out, HoldOut):
        known = hold_out is not None
        hold_out = promised(hold_out, declared.decay_metric, error) if known else HoldOut()
    return performance(declared, live, hold_out, window="w", version=3, now=NOW, **options)


def test_decay_may_watch_another_metric_than_the_gate():
    policy = {"decay": {"metric": "brier_score", "drop": 0.05}}
    declared = BINARY.model_copy(update={"monitoring": Monitoring.model_validate(policy)})
    truth, score = scored()
    report = judged(binary(), hold_out=0.01, declared=declared)
    assert report.metric == "brier_score"
    assert report.realised.value == pytest.approx(brier_score_loss(truth, score))
    assert report.verdict == "decayed"


def test_realised_metric_is_scikit_learns():
    report = judged(binary())
    assert report.realised.value == pytest.approx(average_precision_score(*scored()))
    assert report.realised.low < report.realised.value < report.realised.high
    assert (report.predictions, report.labelled, report.drop) == (400, 400, 0.05)


def test_regression_and_multiclass_against_scikit_learn():
    rng = np.random.default_rng(0)
    truth, said = rng.normal(size=(2, 50))
    live = frame(truth, [{"prediction": float(p)} for p in said])
    regression = spec("regression", "mean_absolute_error")
    report = judged(live, 5.0, regression)
    assert report.realised.value == pytest.approx(mean_absolute_error(truth, said))

    classes = rng.integers(0, 3, 60)
    answers = [
        {"prediction": int(p.argmax()), "scores": p.tolist()} for p in rng.dirichlet([1] * 3, 60)
    ]
    report = judged(
        frame(classes.astype(float), answers), 0.5, spec("multiclass_classification", "accuracy")
    )
    hits = [a["prediction"] == c for a, c in zip(answers, classes, strict=True)]
    assert report.realised.value == pytest.approx(np.mean(hits))


def test_ranking_against_scikit_learn():
    roles = {"target": None, "unit": "u", "item": "item", "key": []}
    declared = spec("ranking", "ndcg_at_10", **roles)
    ranked = [str(i) for i in range(10)]
    answers = [{"prediction": ranked, "scores": [1.0] * 10}] * 10
    taken = [["0", "7"], ["3"], ["9", "1"], ["4"], ["5"], ["0"], ["1"], ["2"], [], None]
    live = frame(taken, answers, unit=list("abcdefghij"), label="item")
    report = judged(live, 0.1, declared)
    expected = [
        ndcg_score([[i in items for i in ranked]], [range(10, 0, -1)], k=10) for items in taken[:8]
    ]
    assert report.labelled == 8
    assert report.realised.value == pytest.approx(np.mean(expected))


def test_decayed_only_on_evidence_of_more_than_the_drop():
    declared = spec("binary_classification", "accuracy")
    live = binary(skill=1.0)
    value = judged(live, declared=declared).realised.value
    error = math.sqrt(value * (1 - value) / 399)
    reach = stats.t.ppf(0.99, 399) * error  # monitoring.decay.false_alarms is 0.01
    assert judged(live, value + 0.05 + reach - 1e-4, declared).verdict == "healthy"
    report = judged(live, value + 0.05 + reach + 1e-4, declared)
    assert report.verdict == "decayed"
    assert report.p_value == pytest.approx(0.01, abs=1e-3)
    assert "accuracy" in report.reason
    assert report.false_alarms == 0.01


def test_decayed_where_smaller_is_better():
    declared = spec("regression", "mean_absolute_error", drop=0.5)
    rng = np.random.default_rng(0)
    live = frame(rng.normal(size=200), [{"prediction": 0.0}] * 200)
    value = judged(live, 1.0, declared).realised.value
    assert judged(live, value - 0.7, declared).verdict == "decayed"
    assert judged(live, value - 0.49, declared).verdict == "healthy"
    assert judged(live, value + 5, declared).p_value > 0.99


def test_a_hold_out_that_was_lucky_is_not_held_against_the_model():
    declared = spec("binary_classification", "accuracy")
    live = binary(skill=1.0)
    value = judged(live, declared=declared).realised.value
    assert judged(live, value + 0.12, declared).verdict == "decayed"
    unsure = judged(live, value + 0.12, declared, error=0.05)
    assert unsure.verdict == "healthy"
    assert unsure.p_value > 0.05


def test_p_value_is_that_of_welchs_test():
    declared = spec("regression", "mean_absolute_error", drop=0.1)
    rng = np.random.default_rng(3)
    said, truth = rng.normal(size=(2, 150))
    before, was = rng.normal(size=(2, 60)) * 0.8
    answers = [{"prediction": float(p)} for p in before]
    rows = Answered(was, answers, np.ones(60))
    live = frame(truth, [{"prediction": float(p)} for p in said])
    report = judged(live, HoldOut(rows=rows), declared)
    expected = stats.ttest_ind(
        abs(said - truth) - 0.1, abs(before - was), equal_var=False, alternative="greater"
    )
    assert report.p_value == pytest.approx(expected.pvalue)
    assert report.hold_out.value == pytest.approx(abs(before - was).mean())


def test_labels_that_are_not_mature_do_not_count():
    live = pd.concat([binary(), binary(at=NOW - 7 * DAY + timedelta(microseconds=1))])
    report = judged(live)
    assert (report.labelled, report.due, report.known, report.predictions) == (400, 400, 400, 800)
    assert judged(binary(at=NOW - 7 * DAY)).labelled == 400


def test_interval_is_over_units():
    rows = judged(binary(), declared=spec("binary_classification", "accuracy")).realised
    ten = [f"card-{i // 40}" for i in range(400)]
    report = judged(binary(unit=ten), declared=spec("binary_classification", "accuracy"))
    assert report.realised.value == rows.value
    assert report.realised.high - report.realised.low != rows.high - rows.low


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (binary().assign(y=math.nan), "no prediction has a mature label"),
        (binary().iloc[:0], "no prediction has a mature label"),
        (binary().assign(y=1.0), "only the label"),
        (
            binary(unit=["one"] * 400),
            "no finite interval for average_precision; units with labels: 1",
        ),
        (binary().assign(y=2.0), "labels"),
    ],
)
def test_too_little_is_never_healthy(live, words):
    report = judged(live)
    assert report.verdict == "insufficient_data"
    assert words in report.reason
    assert report.realised is None


def test_unknown_hold_out_is_never_healthy():
    assert judged(binary(), None).verdict == "insufficient_data"
    assert judged(binary(), math.nan).verdict == "insufficient_data"


def test_without_a_policy_the_metric_is_only_reported():
    declared = spec("binary_classification", "average_precision", drop=None)
    report = judged(binary(skill=0), 0.99, declared)
    assert (report.verdict, report.drop) == ("healthy", 0.0)
    assert report.realised.value < 0.7
    assert judged(binary().iloc[:0], 0.99, declared).verdict == "insufficient_data"


def test_a_hold_out_without_an_interval_is_never_healthy():
    endless = MetricEstimate(metric="average_precision", value=0.9, low=-math.inf, high=math.inf)
    hold_out = HoldOut({"average_precision": endless}, 3)
    assert judged(binary(), hold_out).verdict == "insufficient_data"


def test_rows_of_another_version_are_refused():
    live = binary().assign(version=[2] * 10 + [3] * 390)
    with pytest.raises(EvidenceError, match="of one version, not of v2, v3"):
        judged(live)


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "much"])
def test_an_answer_that_is_no_number_is_told(bad):
    live = binary()
    live.loc[7, "answer"] = json.dumps({"prediction": 0, "score": bad})
    report = judged(live)
    assert report.verdict == "insufficient_data"
    assert report.reason == "an answer is NaN, infinite or no number"
    assert report.estimated is None


def test_a_label_of_a_class_that_the_version_does_not_know_is_told():
    declared = spec("multiclass_classification", "log_loss")
    answers = [{"prediction": 0, "scores": [0.5, 0.3, 0.2]}] * 300
    labels = np.arange(300) % 3 + 0.0
    labels[5] = 7
    report = judged(frame(labels, answers), 1.0, declared)
    assert report.verdict == "insufficient_data"
    assert report.reason == "a label of class 7, and the version knows 0 to 2"


def test_constant_answers_are_judged():
    live = frame(scored()[0] + 0.0, [{"prediction": 1, "score": 0.5}] * 400)
    report = judged(live, 0.95)
    assert report.verdict == "decayed"
    assert report.calibration.slope is None
    assert report.discrimination.realised.value == pytest.approx(0.5)
