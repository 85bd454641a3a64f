"""What a task draws: the curves hold what scikit-learn says, for one model and for two."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.tasks import TASKS, Cases
from mlops_assets.lifecycle.tasks.plots import amounts, canvas
from mlops_assets_tests.lifecycle import paired_worlds as worlds

TITLES = {
    "binary_classification": (worlds.classes, ["ROC and precision-recall", "calibration"]),
    "multiclass_classification": (worlds.several, ["confusion"]),
    "regression": (worlds.numbers, ["residuals", "lift"]),
    "count_regression": (worlds.counts, ["Lorenz curve", "lift", "A/E by segment"]),
    "ranking": (worlds.rankings, ["NDCG by unit", "hits by place"]),
}


def world(task, units=200):
    """Cases of a task, and two models' scores."""
    pair = TITLES[task][0](np.random.default_rng(2), units, 3, 0.5)
    asked = pd.DataFrame({"half": np.arange(len(pair.truth)) % 2})
    cases = Cases(asked, pair.truth, pair.units, pair.weights)
    return cases, {"challenger v2": pair.challenger, "champion v1": pair.rival}


def lines(axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_label(): line.get_data() for line in axes.get_lines()}


@pytest.mark.parametrize("task", TITLES)
@pytest.mark.parametrize("models", [1, 2])
def test_every_task_draws_one_model_and_two(task, models):
    cases, scored = world(task)
    drawn = TASKS[task].figures(cases, dict(list(scored.items())[:models]))
    paired = ["double lift"] if task == "count_regression" and models == 2 else []
    assert list(drawn) == TITLES[task][1] + paired
    for title, figure in drawn.items():
        figure.savefig(io.BytesIO(), format="png")
        texts = {t.get_text() for t in figure.findobj(match=lambda a: hasattr(a, "get_text"))}
        for name in list(scored)[: 1 if title == "A/E by segment" else models]:
            assert any(name in text for text in texts)


def test_the_areas_under_the_curves_are_scikit_learns():
    cases, scored = world("binary_classification")
    roc, pr = TASKS["binary_classification"].figures(cases, scored)["ROC and precision-recall"].axes
    for name, scores in scored.items():
        assert auc(*lines(roc)[name]) == pytest.approx(roc_auc_score(cases.truth, scores))
        recall, precision = lines(pr)[name]
        steps = -np.sum(np.diff(recall) * precision[:-1])
        assert steps == pytest.approx(average_precision_score(cases.truth, scores))


def test_the_area_under_the_lorenz_curve_is_the_gini():
    cases, scored = world("count_regression")
    (axes,) = TASKS["count_regression"].figures(cases, scored)["Lorenz curve"].axes
    for name, predicted in scored.items():
        gini = METRICS["gini"].value(cases.truth, predicted, cases.weights)
        assert 1 - 2 * auc(*lines(axes)[name]) == pytest.approx(gini, abs=1e-3)


def test_calibration_is_the_observed_rate_in_each_tenth():
    cases, scored = world("binary_classification", units=1000)
    (axes,) = TASKS["binary_classification"].figures(cases, scored)["calibration"].axes
    predicted, observed = lines(axes)["challenger v2"]
    order = np.argsort(scored["challenger v2"])
    tenths = np.array_split(order, 10)
    np.testing.assert_allclose(predicted, [scored["challenger v2"][t].mean() for t in tenths])
    np.testing.assert_allclose(observed, [cases.truth[t].mean() for t in tenths])


def test_the_mean_of_the_lift_is_the_mean_of_the_data():
    cases, scored = world("count_regression")
    bins = canvas.bins_of(scored["champion v1"], cases.weights)
    actual = canvas.means_by(bins, cases.truth, cases.weights)
    weight = canvas.steps_by(bins, cases.weights)
    assert np.average(actual, weights=weight) == pytest.approx(
        np.average(cases.truth, weights=cases.weights)
    )
    assert weight.max() / weight.min() < 1.1


def test_a_double_lift_sides_with_the_model_that_knows():
    rng = np.random.default_rng(0)
    risk, exposure = rng.normal(size=20_000), rng.uniform(0.1, 1, 20_000)
    mean = np.exp(-1 + 0.5 * risk)
    truth = rng.poisson(mean * exposure) / exposure
    flat = np.full(len(mean), np.average(mean, weights=exposure))
    cases = Cases(pd.DataFrame(), truth, np.arange(len(mean)), exposure)
    drawn = lines(amounts.double_lift(cases, {"ours": mean, "theirs": flat}).axes[0])
    actual, ours, theirs = (drawn[n][1] for n in ("actual", "ours", "theirs"))
    assert np.abs(actual - ours).max() < 0.1 * np.abs(actual - theirs).max()


def test_equal_predictions_share_a_bin():
    bins = canvas.bins_of(np.array([1.0, 1, 1, 1, 1, 1, 2, 3]), np.ones(8))
    assert len(set(bins[:6])) == 1
    assert bins[5] < bins[6] < bins[7]


def test_a_curve_of_many_rows_is_thinned_for_the_page():
    assert len(canvas.thinned(np.arange(1_000_000))) == canvas.DRAWN_POINTS
    assert canvas.thinned(np.arange(1_000_000))[-1] == 999_999
