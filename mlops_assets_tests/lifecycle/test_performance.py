"""Decay: only mature labels count, and only a clear loss is an alarm."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    mean_absolute_error,
    ndcg_score,
)

from mlops_assets.lifecycle.decay.performance import performance
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.reports import MetricEstimate
from mlops_assets.lifecycle.spec import ModelSpec, Monitoring

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


def judged(live, hold_out=0.9, declared=BINARY):
    if hold_out is not None:
        hold_out = MetricEstimate(metric=declared.decay_metric, value=hold_out, low=0, high=1)
    return performance(declared, live, hold_out, window="w", version=3, now=NOW)


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


def test_decayed_only_when_the_favourable_bound_is():
    live = binary(skill=1.0)
    high = judged(live).realised.high
    assert judged(live, high + 0.049).verdict == "healthy"
    report = judged(live, high + 0.051)
    assert report.verdict == "decayed"
    assert "average_precision" in report.reason


def test_decayed_where_smaller_is_better():
    declared = spec("regression", "mean_absolute_error", drop=0.5)
    rng = np.random.default_rng(0)
    live = frame(rng.normal(size=200), [{"prediction": 0.0}] * 200)
    low = judged(live, 1.0, declared).realised.low
    assert judged(live, low - 0.51, declared).verdict == "decayed"
    assert judged(live, low - 0.49, declared).verdict == "healthy"


def test_labels_that_are_not_mature_do_not_count():
    live = pd.concat([binary(), binary(at=NOW - 7 * DAY + timedelta(microseconds=1))])
    assert judged(live).labelled == 400
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


def test_hold_out_of_another_metric_is_refused():
    other = MetricEstimate(metric="accuracy", value=0.9, low=0, high=1)
    with pytest.raises(EvidenceError, match="accuracy can't judge average_precision"):
        performance(BINARY, binary(), other, window="w", version=3, now=NOW)
