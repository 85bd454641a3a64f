"""Every metric against scikit-learn, weights and ties included."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets_tests.lifecycle import paired_worlds as worlds

ROWS = 300


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def binary(rng, ties: bool):
    """Labels 0 and 1 with scores that carry some signal; with ``ties`` there are 8 scores."""
    truth = rng.integers(0, 2, ROWS)
    scores = np.clip(0.3 * truth + 0.7 * rng.random(ROWS), 0.01, 0.99)
    return truth, np.round(scores * 8) / 10 + 0.05 if ties else scores


def weightings(rng):
    """Equal weights, fractions, and counts of a bootstrap draw, in which rows are missing."""
    counts = rng.multinomial(ROWS, np.full(ROWS, 1 / ROWS)).astype(float)
    return np.vstack([np.ones(ROWS), rng.random(ROWS) + 0.1, counts])


def agrees(metric, oracle, truth, predicted, weights):
    """Our metric under all weightings at once equals the oracle's under each."""
    ours = METRICS[metric].weighted(truth, predicted, weights)
    theirs = [oracle(truth, predicted, sample_weight=w) for w in weights]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert METRICS[metric].value(truth, predicted) == pytest.approx(oracle(truth, predicted))


def accuracy(truth, predicted, sample_weight=None):
    most_probable = predicted > 0.5 if predicted.ndim == 1 else predicted.argmax(axis=1)
    return sk.accuracy_score(truth, most_probable, sample_weight=sample_weight)


def by_class(score, **options):
    """A scikit-learn score of classes, as one of probabilities."""

    def scored(truth, predicted, sample_weight=None):
        found = predicted > 0.5 if predicted.ndim == 1 else predicted.argmax(axis=1)
        return score(truth, found.astype(int), sample_weight=sample_weight, **options)

    return scored


BINARY = {
    "balanced_accuracy": by_class(sk.balanced_accuracy_score),
    "f1": by_class(sk.f1_score),
    "recall": by_class(sk.recall_score),
    "average_precision": sk.average_precision_score,
    "roc_auc": sk.roc_auc_score,
    "log_loss": sk.log_loss,
    "brier_score": sk.brier_score_loss,
    "accuracy": accuracy,
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("metric", BINARY)
def test_a_binary_metric_equals_scikit_learns(rng, metric, ties):
    agrees(metric, BINARY[metric], *binary(rng, ties), weightings(rng))


@pytest.mark.parametrize("kind", [bool, float, np.int8, np.uint8])
@pytest.mark.parametrize("metric", BINARY)
def test_the_type_of_binary_labels_changes_nothing(rng, metric, kind):
    truth, scores = binary(rng, ties=True)
    same = METRICS[metric].value(truth.astype(kind), scores)
    assert same == METRICS[metric].value(truth, scores)


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("log_loss", sk.log_loss),
        ("accuracy", accuracy),
        ("balanced_accuracy", by_class(sk.balanced_accuracy_score)),
        ("macro_f1", by_class(sk.f1_score, average="macro")),
    ],
)
def test_a_multiclass_metric_equals_scikit_learns(rng, metric, oracle):
    truth = rng.integers(0, 4, ROWS)
    raw = rng.random((ROWS, 4)) + np.eye(4)[truth]
    agrees(metric, oracle, truth, raw / raw.sum(axis=1, keepdims=True), weightings(rng))


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("mean_absolute_error", sk.mean_absolute_error),
        ("mean_squared_error", sk.mean_squared_error),
        ("root_mean_squared_error", sk.root_mean_squared_error),
        ("r2", sk.r2_score),
    ],
)
def test_a_regression_metric_equals_scikit_learns(rng, metric, oracle):
    agrees(metric, oracle, rng.normal(size=ROWS), rng.normal(size=ROWS), weightings(rng))


def test_poisson_deviance_equals_scikit_learns_where_counts_are_zero_too(rng):
    truth = rng.poisson(0.8, ROWS)
    assert (truth == 0).any()
    predicted = rng.gamma(2, 0.5, ROWS)
    agrees("mean_poisson_deviance", sk.mean_poisson_deviance, truth, predicted, weightings(rng))


@pytest.mark.parametrize(("name", "power"), [("1_5", 1.5), ("1_9", 1.9)])
def test_tweedie_deviance_equals_scikit_learns(rng, name, power):
    truth = np.where(rng.random(ROWS) < 0.7, 0, rng.gamma(2, 500, ROWS))
    predicted = rng.gamma(2, 150, ROWS)

    def oracle(truth, predicted, sample_weight=None):
        return sk.mean_tweedie_deviance(truth, predicted, sample_weight=sample_weight, power=power)

    agrees(f"mean_tweedie_deviance_{name}", oracle, truth, predicted, weightings(rng))


def lorenz_gini(truth, predicted, sample_weight=None):
    """One minus twice the area, as scikit-learn's Tweedie example computes it."""
    exposure = np.ones(len(truth)) if sample_weight is None else sample_weight
    ranking = np.argsort(predicted)
    cumulated = np.cumsum(truth[ranking] * exposure[ranking])
    cumulated = np.append(0, cumulated / cumulated[-1])
    shares = np.append(0, np.cumsum(exposure[ranking]) / exposure.sum())
    return 1 - 2 * sk.auc(shares, cumulated)


def test_gini_is_that_of_scikit_learns_insurance_example(rng):
    predicted = rng.gamma(2, 0.5, ROWS)
    agrees("gini", lorenz_gini, rng.poisson(predicted), predicted, weightings(rng))


def test_gini_does_not_depend_on_the_order_of_equal_predictions(rng):
    truth, predicted = rng.poisson(1, ROWS), rng.integers(1, 4, ROWS).astype(float)
    shuffled = rng.permutation(ROWS)
    again = METRICS["gini"].value(truth[shuffled], predicted[shuffled])
    assert METRICS["gini"].value(truth, predicted) == pytest.approx(again)
    assert METRICS["gini"].value(truth, np.ones(ROWS)) == pytest.approx(0)


def test_actual_over_expected_is_the_ratio_of_weighted_sums(rng):
    truth, predicted, weights = rng.poisson(1, ROWS), rng.random(ROWS) + 0.5, rng.random(ROWS)
    found = METRICS["a_over_e"].value(truth, predicted, weights)
    assert found == pytest.approx(np.average(truth, weights=weights)
                                  / np.average(predicted, weights=weights))  # fmt: skip


DRAWN = {
    worlds.classes: [*BINARY],
    worlds.several: ["log_loss", "accuracy", "balanced_accuracy", "macro_f1"],
    worlds.numbers: ["mean_absolute_error", "root_mean_squared_error", "r2"],
    worlds.counts: ["mean_poisson_deviance", "gini", "a_over_e"],
    worlds.rankings: ["ndcg_at_10", "map_at_10"],
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("world", "metric"), [(world, metric) for world, names in DRAWN.items() for metric in names]
)
def test_a_metric_of_drawn_units_is_that_of_their_weighted_rows(rng, world, metric, ties):
    """What the bootstrap computes from counts of units equals the metric under row weights."""
    pair = world(rng, 30, 4)
    predicted = pair.challenger
    if ties and predicted.dtype.kind == "f":
        predicted = predicted.round(1) + 0.05
    weights = rng.random(len(pair.truth)) + 0.1
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=5).astype(np.uint8)
    drawn = METRICS[metric].resampled(pair.truth, predicted, weights, pair.units, 30)
    expected = METRICS[metric].weighted(pair.truth, predicted, counts[:, pair.units] * weights)
    np.testing.assert_allclose(drawn(counts), expected, rtol=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, -100.0])
def test_poisson_deviance_of_a_mean_that_is_not_positive_is_no_number(bad):
    truth, predicted = np.array([0, 2]), np.array([bad, 2.0])
    with pytest.raises(ValueError, match="strictly positive"):
        sk.mean_poisson_deviance(truth, predicted)
    assert math.isnan(METRICS["mean_poisson_deviance"].value(truth, predicted))


def ranking_cases(rng, units=60, items=40):
    """Relevant items and a ranking of ten, with the 0/1 relevance and score matrices they mean."""
    relevance = np.zeros((units, items))
    scores = np.zeros((units, items))
    truth = np.empty(units, dtype=object)
    ranked = np.empty((units, 10), dtype=int)
    for unit in range(units):
        truth[unit] = rng.choice(items, size=rng.integers(1, 16), replace=False).tolist()
        relevance[unit, truth[unit]] = 1
        ranked[unit] = rng.choice(items, size=10, replace=False)
        scores[unit, ranked[unit]] = np.arange(10, 0, -1)
    return truth, ranked, relevance, scores


def test_ndcg_equals_scikit_learns_on_explicit_relevance_vectors(rng):
    truth, ranked, relevance, scores = ranking_cases(rng)
    ours = METRICS["ndcg_at_10"].rows(truth, ranked)
    # Ties among the items that were not ranked lie below the tenth place.
    theirs = [
        sk.ndcg_score([r], [s], k=10, ignore_ties=True)
        for r, s in zip(relevance, scores, strict=True)
    ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    weights = rng.random((3, len(truth)))
    expected = [sk.ndcg_score(relevance, scores, k=10, sample_weight=w) for w in weights]
    np.testing.assert_allclose(METRICS["ndcg_at_10"].weighted(truth, ranked, weights), expected)


def test_hit_rate_is_the_share_of_units_with_a_hit(rng):
    truth, ranked, relevance, _ = ranking_cases(rng)
    hits = np.take_along_axis(relevance, ranked, axis=1).sum(axis=1) > 0
    assert 0 < hits.mean() < 1
    assert METRICS["hit_rate_at_10"].value(truth, ranked) == hits.mean()


def test_recall_is_the_share_of_a_units_relevant_items(rng):
    truth, ranked, relevance, _ = ranking_cases(rng)
    hits = np.take_along_axis(relevance, ranked, axis=1).sum(axis=1)
    np.testing.assert_allclose(
        METRICS["recall_at_10"].rows(truth, ranked), hits / relevance.sum(axis=1)
    )


def test_map_is_the_textbooks():
    """Manning et al. (2008), section 8.4: precisions at the relevant items' places, averaged."""
    truth = np.empty(2, dtype=object)
    truth[:] = [["a", "b", "c"], ["z"]]
    ranked = np.array([["a", "x", "b", *"defghij"], [*"abcdefghi", "y"]], dtype=object)
    np.testing.assert_allclose(
        METRICS["map_at_10"].rows(truth, ranked), [(1 + 2 / 3) / 3, 0], rtol=1e-12
    )


def test_a_perfect_ranking_scores_one_however_many_items_are_relevant():
    for relevant in (1, 3, 10, 14):
        truth = np.empty(1, dtype=object)
        truth[0] = list(range(relevant))
        assert METRICS["ndcg_at_10"].value(truth, np.arange(14)[None, :10]) == pytest.approx(1)


def test_the_same_item_ten_times_is_one_hit():
    truth = np.empty(1, dtype=object)
    truth[0] = ["bread", "milk"]
    ranked = np.array([["milk"] * 10], dtype=object)
    once = np.array([["milk", *"abcdefghi"]], dtype=object)
    assert METRICS["ndcg_at_10"].value(truth, ranked) == METRICS["ndcg_at_10"].value(truth, once)


def test_a_unit_without_relevant_items_scores_zero():
    truth = np.empty(1, dtype=object)
    truth[0] = []
    assert METRICS["ndcg_at_10"].value(truth, np.arange(10)[None, :]) == 0


@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_without_a_positive_row_there_is_no_number(metric):
    assert math.isnan(METRICS[metric].value(np.zeros(5, int), np.linspace(0, 1, 5)))


def test_without_a_negative_row_there_is_no_roc_auc():
    assert math.isnan(METRICS["roc_auc"].value(np.ones(5, int), np.linspace(0, 1, 5)))


def test_a_constant_score_earns_chance():
    truth, constant = np.array([0, 1, 0, 0]), np.full(4, 0.3)
    assert METRICS["roc_auc"].value(truth, constant) == 0.5
    assert METRICS["average_precision"].value(truth, constant) == 0.25


def test_being_sure_and_wrong_costs_a_finite_log_loss():
    truth, sure = np.array([0, 1]), np.array([1.0, 0.0])
    assert METRICS["log_loss"].value(truth, sure) == pytest.approx(sk.log_loss(truth, sure))


@pytest.mark.parametrize("metric", ["log_loss", "brier_score", "mean_absolute_error"])
def test_a_nan_prediction_makes_the_metric_nan(metric):
    assert math.isnan(METRICS[metric].value(np.array([0, 1]), np.array([0.5, np.nan])))


def test_errors_are_better_when_smaller():
    smaller = {m.name for m in METRICS.values() if m.sign == -1}
    assert smaller == {
        "root_mean_squared_error",
        "mean_tweedie_deviance_1_5",
        "mean_tweedie_deviance_1_9",
        "log_loss",
        "brier_score",
        "mean_absolute_error",
        "mean_squared_error",
        "mean_poisson_deviance",
    }
