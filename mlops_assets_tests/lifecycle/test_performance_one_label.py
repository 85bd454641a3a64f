"""Windows whose labels are all alike: judged where the metric has an answer, believed by chance."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, mean_poisson_deviance

from mlops_assets.lifecycle.advice.advise import advise
from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets_tests.lifecycle.test_advice import CALM, drift
from mlops_assets_tests.lifecycle.test_performance import NOW, frame, judged, spec

RARE = 0.02


def answers(score):
    return [{"prediction": int(s > 0.5), "score": float(s)} for s in score]


def promise(task="binary_classification", size=1000, rare=RARE, unit=None) -> HoldOut:
    """A hold-out of which a share is rare, and answers that know nothing more."""
    truth = (np.arange(size) < rare * size).astype(int)
    if task == "multiclass_classification":
        said = [{"prediction": 0, "scores": [0.9, 0.05, 0.05]}] * size
    else:
        said = answers([RARE] * size)
    return HoldOut(rows=Answered(truth, said, np.ones(size), unit))


def live(size, label=0.0, score=RARE, unit=None):
    return frame([label] * size, answers([score] * size), unit=unit)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "brier_score"])
def test_a_small_window_without_a_rare_class_is_judged(metric):
    # 50 rows of which none is rare: .98 ** 50 = .36.
    found = judged(live(50), promise(), spec("binary_classification", metric))
    assert found.verdict == "healthy"
    assert found.one_label == ""
    expected = {
        "accuracy": accuracy_score([0] * 50, [0] * 50),
        "log_loss": log_loss([0] * 50, [RARE] * 50, labels=[0, 1]),
        "brier_score": RARE**2,
    }
    assert found.realised.value == pytest.approx(expected[metric])
    assert found.discrimination is None
    assert "no finite interval" in found.missing["discrimination"]


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc", "balanced_accuracy", "f1"])
def test_what_is_another_question_on_one_class_is_not_judged(metric):
    found = judged(live(50), promise(), spec("binary_classification", metric))
    assert (found.verdict, found.realised) == ("insufficient_data", None)
    assert "only the label [0] is present" in found.reason


def test_labels_that_are_alike_beyond_chance_are_never_healthy():
    # .98 ** 500 is 4e-05: rather a feed that tells nothing but 0, and flatters the model.
    found = judged(live(500), promise(), spec("binary_classification", "accuracy"))
    assert found.verdict == "insufficient_data"
    assert found.realised.value == 1
    assert found.p_value is None
    assert f"{0.98**500:.1g} of windows" in found.reason
    assert found.reason == found.one_label


def test_units_are_what_chance_draws():
    # 20 rows a customer, of whom one in fifty has another label: 25 customers, not 500 rows.
    declared = spec("binary_classification", "accuracy")
    customers = np.arange(1000) // 20
    found = judged(live(500, unit=list(np.arange(500) // 20)), promise(unit=customers), declared)
    assert found.verdict == "healthy"
    # A row each of as many as 500: what the rows say, and not that of customers with 20 rows.
    mixed = HoldOut(
        rows=Answered(
            np.tile([1] + [0] * 49, 20),
            answers([RARE] * 1000),
            np.ones(1000),
            np.arange(1000) // 50,
        )
    )
    one_each = judged(live(60, unit=list(range(60))), mixed, declared)
    assert one_each.verdict == "healthy"  # .98 ** 60 = .30; no customer of the hold-out is all 0
    assert judged(live(500, unit=list(range(500))), mixed, declared).verdict != "healthy"


def test_a_loss_is_decay_whatever_the_labels():
    found = judged(live(500, label=1.0), promise(), spec("binary_classification", "accuracy"))
    assert found.verdict == "decayed"
    assert found.realised.value == 0
    assert "only the label [1]" in found.one_label


def test_without_the_hold_outs_labels_nothing_explains_them():
    declared = spec("binary_classification", "accuracy")
    found = judged(live(50), hold_out=0.98, declared=declared)
    assert found.verdict == "insufficient_data"
    assert "not at hand" in found.reason


def test_several_classes_and_counts():
    made = frame([2.0] * 300, [{"prediction": 0, "scores": [0.9, 0.05, 0.05]}] * 300)
    several = spec("multiclass_classification", "accuracy")
    found = judged(made, promise("multiclass_classification"), several)
    assert (found.verdict, found.realised.value) == ("decayed", 0)
    quiet = frame([0.0] * 100, [{"prediction": 0.03}] * 100).assign(exposure=1.0)
    truth = (np.arange(1000) < 30).astype(float)
    hold_out = HoldOut(rows=Answered(truth, [{"prediction": 0.03}] * 1000, np.ones(1000)))
    counts = spec("count_regression", "mean_poisson_deviance", weight="exposure")
    found = judged(quiet, hold_out, counts)
    assert found.verdict == "healthy"
    expected = mean_poisson_deviance([0.0] * 100, [0.03] * 100)
    assert found.realised.value == pytest.approx(expected)


def test_wrong_labels_stay_wrong():
    for label in (2.0, math.nan):
        found = judged(live(50, label=label), promise(), spec("binary_classification", "accuracy"))
        assert (found.verdict, found.realised) == ("insufficient_data", None)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_nothing_is_trained_on_labels_that_tell_one_thing(label):
    declared = spec("binary_classification", "accuracy")
    report = judged(live(500, label=label), promise(), declared)
    calm = drift(*CALM)
    report = report.model_copy(update={"window": calm.window})
    found = advise(declared, calm, report, now=NOW)
    assert found.action == "fix_the_data"
    assert found.needs_person
    assert found.reasons[0].startswith(f"labels: only the label [{label:.0f}] is present")
