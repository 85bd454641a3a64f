"""Estimated performance: right under its assumptions, which are checked, and never a verdict."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlops_assets.lifecycle.decay.estimated import estimated
from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets_tests.lifecycle.test_performance import frame, judged, spec

# NannyML 0.13.1, performance_estimation.confidence_based.metrics: estimate_roc_auc, estimate_ap,
# estimate_f1, estimate_recall and estimate_accuracy of `probabilities()`, taken for calibrated.
# It rounds the sums behind the areas to 5 digits.
NANNYML = {
    "roc_auc": 0.8296463826863412,
    "average_precision": 0.7309154589417646,
    "f1": 0.6475567996423952,
    "recall": 0.5941301686533915,
    "accuracy": 0.7746100665760377,
}
NOBODY = Answered(np.empty(0), [], np.empty(0))


def probabilities():
    rank = ((np.arange(1000) * 37) % 997 + 0.5) / 998
    return 0.05 + 0.9 * rank**2


def answers(said):
    if said.ndim > 1:
        return [{"prediction": int(p.argmax()), "scores": p.tolist()} for p in said]
    return [{"prediction": int(p > 0.5), "score": float(p)} for p in said]


def answered(truth, said) -> Answered:
    return Answered(truth, answers(said), np.ones(len(truth)))


def drawn(seed=0, size=4000, centre=0.0, slope=1.0):
    """Logits around a centre, labels of probability logistic(slope * logit), and the scores."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(centre, 1.5, size)
    truth = (rng.random(size) < 1 / (1 + np.exp(-slope * logit))).astype(int)
    return truth, 1 / (1 + np.exp(-logit))


def found(metric, said, hold_out, labelled=NOBODY, task="binary_classification", **options):
    declared = spec(task, metric)
    return estimated(
        declared, answers(said), np.ones(len(said)), labelled, hold_out, window="w", **options
    )


def from_probabilities(seed=1):
    said = np.tile(probabilities(), 4)
    truth = (np.random.default_rng(seed).random(len(said)) < said).astype(int)
    return answered(truth, said)


@pytest.mark.parametrize("metric", list(NANNYML))
def test_figures_are_nannymls(metric):
    made, _ = found(metric, probabilities(), from_probabilities())
    assert made.estimate.value == pytest.approx(NANNYML[metric], abs=1e-6)
    assert made.estimate.low < made.estimate.value < made.estimate.high


def test_accuracy_lies_where_the_poisson_binomial_says():
    said = probabilities()[:200]
    made, _ = found("accuracy", said, from_probabilities())
    right = np.maximum(said, 1 - said)
    exact = np.ones(1)
    for chance in right:
        exact = np.convolve(exact, [1 - chance, chance])
    low, high = np.searchsorted(np.cumsum(exact), [0.025, 0.975]) / 200
    assert made.estimate.value == pytest.approx(right.mean())
    assert made.estimate.low == pytest.approx(low, abs=0.011)
    assert made.estimate.high == pytest.approx(high, abs=0.011)


def test_several_classes():
    rng = np.random.default_rng(0)
    said = rng.dirichlet([0.5] * 3, 3000)
    truth = (rng.random((3000, 1)) > np.cumsum(said, axis=1)).sum(axis=1)
    hold_out = answered(truth, said)
    task = "multiclass_classification"
    made, _ = found("accuracy", said, hold_out, hold_out, task)
    assert made.estimate.value == pytest.approx(said.max(axis=1).mean())
    assert made.trusted
    made, _ = found("log_loss", said, hold_out, hold_out, task)
    assert made.estimate.value == pytest.approx(stats.entropy(said, axis=1).mean())


def test_it_follows_a_shift_of_the_inputs_and_its_interval_holds():
    hold_out = answered(*drawn(99))
    within = 0
    for seed in range(40):
        truth, said = drawn(seed, 500, centre=1.5)
        made, _ = found("accuracy", said, hold_out)
        within += made.estimate.low <= ((said > 0.5) == truth).mean() <= made.estimate.high
    # 95 % of the windows are meant to be in; 34 or fewer of 40 are with probability 0.003.
    assert within >= 35
    at_home, _ = found("accuracy", drawn(0)[1], hold_out)
    assert made.estimate.value > at_home.estimate.value + 0.03


def test_it_is_blind_to_a_change_of_concept_until_labels_tell():
    hold_out = answered(*drawn(99))
    truth, said = drawn(1, slope=0.3)
    before, _ = found("roc_auc", said, hold_out)
    assert before.estimate.value > roc_auc_score(truth, said) + 0.1
    assert not before.trusted, "nothing says that probabilities still hold"
    after, _ = found("roc_auc", said, hold_out, answered(truth, said))
    named = {a.name: a.holds for a in after.assumptions}
    assert named["probabilities are calibrated on the newest labels"] is False
    assert not after.trusted


def test_scores_that_are_no_probabilities_are_read_through_the_hold_out():
    truth, said = drawn(5, 8000, slope=0.5)
    new, more = drawn(6, 8000, slope=0.5)
    made, _ = found("accuracy", more, answered(truth, said), answered(new, more))
    assert made.trusted, made.assumptions
    assert "isotonic" in made.assumptions[0].words
    assert made.estimate.value == pytest.approx(((more > 0.5) == new).mean(), abs=0.01)
    assert abs(np.maximum(more, 1 - more).mean() - made.estimate.value) > 0.05


def test_answers_outside_of_what_was_seen_are_not_trusted():
    hold_out = answered(*drawn(99, centre=-2.0))
    truth, said = drawn(1, centre=6.0)
    made, _ = found("accuracy", said, hold_out, answered(truth, said))
    named = {a.name: a.holds for a in made.assumptions}
    assert named["answers are in the range of the hold-out's"] is False
    assert not made.trusted


def test_too_few_labels_tell_nothing_and_the_window_before_does():
    truth, said = drawn(3, 1000)
    rows = HoldOut(rows=answered(*drawn(99, 1000)))
    live = frame(truth + 0.0, answers(said))
    declared = spec("binary_classification", "accuracy")
    before = judged(live, rows, declared)
    assert before.estimated.trusted
    late = frame(truth + np.nan, answers(said))
    alone = judged(late, rows, declared)
    assert alone.verdict == "insufficient_data", "an estimate is never a verdict"
    assert not alone.estimated.trusted
    told = judged(late, rows, declared, earlier=[before]).estimated
    assert told.trusted
    assert told.assumptions[1].words.startswith("of window w: 1000 labels")
    other = before.model_copy(update={"version": 2})
    assert not judged(late, rows, declared, earlier=[other]).estimated.trusted


@pytest.mark.parametrize("task", ["regression", "count_regression", "ranking"])
def test_tasks_whose_answers_do_not_say_how_sure_they_are(task):
    metric = {
        "regression": "mean_absolute_error",
        "count_regression": "gini",
        "ranking": "ndcg_at_10",
    }[task]
    roles = {"unit": "u", "item": "i"} if task == "ranking" else {}
    made, words = estimated(spec(task, metric, **roles), [{}], np.ones(1), NOBODY, None, window="w")
    assert made is None
    assert words == f"task {task}: an answer does not say how uncertain it is"


def test_where_no_positive_is_to_be_expected_there_is_no_estimate():
    made, words = found("roc_auc", np.full(500, 1e-12), answered(*drawn(99)))
    assert (made, words) == (None, "no finite roc_auc is to be expected")


def test_without_answers_there_is_no_estimate():
    assert found("accuracy", np.empty(0), from_probabilities())[1] == "nothing was answered"
    assert "no answers on the hold-out" in found("accuracy", probabilities(), None)[1]
