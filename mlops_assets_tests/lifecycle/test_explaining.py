"""Explanations against models whose answer is known, scikit-learn, and counting by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    TweedieRegressor,
)
from sklearn.metrics import average_precision_score, mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.evaluation import Candidate
from mlops_assets.lifecycle.explaining.changes import changes
from mlops_assets.lifecycle.explaining.coefficients import linear_terms
from mlops_assets.lifecycle.explaining.dependence import dependences
from mlops_assets.lifecycle.explaining.explain import explain
from mlops_assets.lifecycle.explaining.importance import REPEATS, importances, rows_for
from mlops_assets.lifecycle.explaining.sampling import sample, spread, without_a_group
from mlops_assets.lifecycle.explaining.slices import error_table
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.tasks import TASKS, Cases
from mlops_assets_tests.harness import visits, week, weekly

REGRESSION = TASKS["regression"]


def cases_of(asked: pd.DataFrame, truth: Any, units: Any = None, weights: Any = None) -> Cases:
    count = len(asked)
    return Cases(
        asked=asked,
        truth=np.asarray(truth),
        units=np.arange(count) if units is None else np.asarray(units),
        weights=np.ones(count) if weights is None else np.asarray(weights, float),
    )


@pytest.fixture(scope="module")
def line():
    """y = 3 a + b + noise, and c that says nothing; fitted without error."""
    rng = np.random.default_rng(1)
    asked = pd.DataFrame(rng.normal(size=(500, 3)), columns=["a", "b", "c"])
    truth = 3 * asked.a + asked.b + rng.normal(size=500) * 0.1
    return LinearRegression().fit(asked, truth), cases_of(asked, truth)


# --- importance -----------------------------------------------------------------------------


def test_importance_is_what_scikit_learn_finds(line):
    model, cases = line
    found, rows = importances(REGRESSION, model, cases, METRICS["mean_squared_error"], 0.05)
    theirs = permutation_importance(
        model,
        cases.asked,
        cases.truth,
        scoring="neg_mean_squared_error",
        n_repeats=REPEATS,
        random_state=0,
    )
    assert rows == 500
    assert [i.feature for i in found] == ["a", "b", "c"]
    assert [i.loss.value for i in found] == pytest.approx(list(theirs.importances_mean))


def test_importance_of_a_linear_model_is_twice_the_variance_it_carries(line):
    model, cases = line
    a, b, c = importances(REGRESSION, model, cases, METRICS["mean_squared_error"], 0.05)[0]
    # E[(w x - w x')^2] = 2 w^2 Var(x): 18, 2 and 0.
    assert a.loss.low < 18 < a.loss.high
    assert b.loss.low < 2 < b.loss.high
    assert abs(c.loss.value) < 0.01


def test_importance_counts_rows_by_their_weight(line):
    model, cases = line
    weights = np.random.default_rng(2).exponential(size=500)

    def score(fitted, asked, truth):
        return -mean_squared_error(truth, fitted.predict(asked), sample_weight=weights)

    theirs = permutation_importance(
        model, cases.asked, cases.truth, scoring=score, n_repeats=REPEATS, random_state=0
    )
    weighted = replace(cases, weights=weights)
    found, _ = importances(REGRESSION, model, weighted, METRICS["mean_squared_error"], 0.05)
    assert [i.loss.value for i in found] == pytest.approx(list(theirs.importances_mean))


def test_importance_is_the_same_again(line):
    model, cases = line
    metric = METRICS["mean_squared_error"]
    first = importances(REGRESSION, model, cases, metric, 0.05)
    assert importances(REGRESSION, model, cases, metric, 0.05) == first


@pytest.mark.parametrize(
    ("features", "hold_out", "rows"),
    [(4, 45, 500), (20, 1_000_000, 3000), (20, 10_000, 500), (5_000, 1_000_000, 500)],
)
def test_work_is_bounded_by_features_and_by_the_hold_out(features, hold_out, rows):
    assert rows_for(features, hold_out) == rows


# --- sampling and intervals -----------------------------------------------------------------


def test_a_sample_is_of_whole_units():
    units = np.repeat(np.arange(300), 7)
    rows = sample(units, 1000)
    assert 900 < len(rows) <= 1000
    assert (np.bincount(units[rows], minlength=300) % 7 == 0).all()
    assert len(sample(units, 10_000)) == len(units)


def test_one_unit_that_is_everything_is_sampled_by_rows():
    assert len(sample(np.zeros(5000), 1000)) == 1000


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    metric = METRICS["mean_absolute_error"]
    units = np.repeat(np.arange(60), 5)
    held = 0
    for _ in range(400):
        # Rows of a unit share an error: by rows the interval would hold in 60 % of cases.
        error = 10 + np.repeat(rng.normal(size=60), 5) + 0.3 * rng.normal(size=300)
        values = metric.weighted(np.zeros(300), error, without_a_group(units))
        found = spread(values, 0.05)
        held += found.low < 10 < found.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_single_unit_has_no_interval():
    weights = without_a_group(np.zeros(4))
    found = spread(METRICS["accuracy"].weighted(np.ones(4), np.ones(4), weights), 0.05)
    assert (found.value, found.low, found.high) == (1, -np.inf, np.inf)


# --- partial dependence ---------------------------------------------------------------------


def test_dependence_is_what_scikit_learn_finds(line):
    model, cases = line
    (found,), rows = dependences(REGRESSION, model, cases, ["b"])
    theirs = partial_dependence(model, cases.asked, ["b"], custom_values={"b": np.array(found.at)})
    assert rows == 500
    assert found.means[0] == pytest.approx(list(theirs["average"][0]))
    slope = np.diff(found.means[0]) / np.diff(found.at)
    assert slope == pytest.approx(np.full(11, model.coef_[1]))


def test_dependence_on_categories_and_whole_numbers():
    rng = np.random.default_rng(2)
    asked = pd.DataFrame(
        {"colour": rng.choice(["red", "blue"], 400, p=[0.7, 0.3]), "doors": rng.integers(2, 6, 400)}
    )
    truth = 5.0 * (asked.colour == "red") + asked.doors
    encoder = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encoder, LinearRegression()).fit(asked, truth)
    (colour, doors), _ = dependences(REGRESSION, model, cases_of(asked, truth), ["colour", "doors"])
    assert (colour.kind, colour.at) == ("categorical", ["red", "blue"])
    assert colour.means[0][0] - colour.means[0][1] == pytest.approx(5)
    assert (doors.kind, doors.at) == ("numeric", [2, 3, 4, 5])
    assert np.diff(doors.means[0]) == pytest.approx([1, 1, 1])


def test_dependence_of_classes_is_one_line_a_class():
    rng = np.random.default_rng(2)
    asked = pd.DataFrame({"x": rng.normal(size=300)})
    truth = np.digitize(asked.x, [-0.5, 0.5])
    model = LogisticRegression().fit(asked, truth)
    task = TASKS["multiclass_classification"]
    (found,), _ = dependences(task, model, cases_of(asked, truth), ["x"])
    assert found.outputs == ["class 0", "class 1", "class 2"]
    assert np.sum(found.means, axis=0) == pytest.approx(np.ones(len(found.at)))


# --- coefficients ---------------------------------------------------------------------------


def test_relativities_of_a_poisson_model_behind_one_hot_columns():
    rng = np.random.default_rng(3)
    asked = pd.DataFrame({"area": rng.choice(["A", "B"], 4000), "age": rng.normal(size=4000)})
    counts = rng.poisson(0.5 * np.where(asked.area == "B", 3.0, 1.0))
    encoder = make_column_transformer(
        (OneHotEncoder(drop="first"), ["area"]), (StandardScaler(), ["age"])
    )
    model = make_pipeline(encoder, PoissonRegressor(alpha=0)).fit(asked, counts)
    terms = linear_terms(model, ["area", "age"])
    assert (terms.link, terms.steps) == ("log", ["ColumnTransformer"])
    largest = terms.terms[0]
    assert largest.term == "onehotencoder__area_B"
    # Without a penalty a relativity is the ratio of the two means.
    ratio = counts[asked.area == "B"].mean() / counts[asked.area == "A"].mean()
    assert largest.factor == pytest.approx(ratio, rel=0.01)
    assert largest.factor == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("model", "link"),
    [
        (LogisticRegression(), "logit"),
        (Ridge(), "identity"),
        (TweedieRegressor(power=0), "identity"),
        (TweedieRegressor(power=1.5), "log"),
        (TweedieRegressor(power=0, link="log"), "log"),
    ],
)
def test_the_link_decides_what_a_factor_is(model, link):
    rng = np.random.default_rng(4)
    asked = pd.DataFrame({"x": rng.normal(size=200)})
    fitted = model.fit(asked, (asked.x + rng.normal(size=200) > 0).astype(int))
    terms = linear_terms(fitted, ["x"])
    (term,) = terms.terms
    assert terms.link == link
    assert term.value == pytest.approx(float(np.ravel(fitted.coef_)[0]))
    assert term.factor == (None if link == "identity" else pytest.approx(np.exp(term.value)))


def test_trees_have_no_coefficients(line):
    _, cases = line
    model = HistGradientBoostingClassifier(max_iter=2).fit(cases.asked, cases.truth > 0)
    assert linear_terms(model, ["a", "b", "c"]) is None


# --- slices ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sliced():
    rng = np.random.default_rng(6)
    region = rng.choice(["north", "south", "nowhere", None], 2000, p=[0.5, 0.4, 0.05, 0.05])
    truth = (rng.random(2000) < 0.3).astype(int)
    truth[region == "nowhere"] = 0
    ours = np.clip(truth * 0.3 + rng.random(2000) * 0.7, 0, 1)
    return pd.DataFrame({"region": region}), cases_of(pd.DataFrame({"x": ours}), truth), ours


def test_each_slice_has_scikit_learns_metric(sliced):
    columns, cases, ours = sliced
    found = error_table(columns, cases, ours, 1 - ours, METRICS["average_precision"], 0.05)
    rows = {row.value: row for row in found}
    assert list(rows) == ["missing", "north", "nowhere", "south"]
    for value in ("north", "south"):
        within = (columns.region == value).to_numpy()
        assert rows[value].rows == within.sum()
        for scores, spread_ in (
            (ours, rows[value].challenger),
            (1 - ours, rows[value].champion),
        ):
            expected = average_precision_score(cases.truth[within], scores[within])
            assert spread_.value == pytest.approx(expected)
            assert 0 <= spread_.low < expected < spread_.high <= 1
    assert sum(row.rows for row in found) == 2000


def test_a_slice_of_one_class_says_that_it_has_no_metric(sliced):
    columns, cases, ours = sliced
    found = error_table(columns, cases, ours, None, METRICS["average_precision"], 0.05)
    (nowhere,) = [row for row in found if row.value == "nowhere"]
    assert nowhere.challenger is None
    assert nowhere.reason == "average_precision is not defined on these rows"


def test_rare_values_are_put_together():
    many = pd.DataFrame({"shop": [f"s{i % 20:02d}" for i in range(400)] + ["s00"] * 30})
    cases = cases_of(many, np.zeros(430))
    found = error_table(many, cases, np.ones(430), None, METRICS["mean_squared_error"], 0.05)
    assert len(found) == 13
    assert found[-1].value == "other values"
    assert sum(row.rows for row in found) == 430


# --- what changed ---------------------------------------------------------------------------


def changed(task: str, truth: Any, challenger: Any, champion: Any, **columns: Any):
    truth = np.asarray(truth)
    frame = pd.DataFrame(columns, index=range(len(truth)))
    cases = cases_of(frame, truth)
    names = [f"r{i}" for i in range(len(truth))]
    return changes(task, cases, np.asarray(challenger), np.asarray(champion), 7, frame, names)


def test_flipped_classes_by_slice_and_by_who_was_right():
    found = changed(
        "binary_classification",
        truth=[1, 1, 0, 0, 1],
        challenger=[0.9, 0.2, 0.1, 0.8, 0.7],
        champion=[0.3, 0.6, 0.7, 0.9, 0.6],
        side=["l", "l", "r", "r", "r"],
    )
    everything, left, right = found.groups
    assert (everything.rows, everything.changed) == (5, 3)
    assert everything.right == {"challenger": 2, "champion": 1, "neither": 0}
    assert (left.value, left.changed, left.right["champion"]) == ("l", 2, 1)
    assert (right.value, right.changed, right.right["challenger"]) == ("r", 1, 1)
    # The surest come first: in r0 and r2 either model gave 0.7 or more to what it said.
    assert [(c.case, c.right) for c in found.cases] == [
        ("r0", "challenger"),
        ("r2", "challenger"),
        ("r1", "champion"),
    ]


def test_where_both_classes_are_wrong_nobody_is_right():
    found = changed(
        "multiclass_classification",
        truth=[2],
        challenger=[[0.8, 0.1, 0.1]],
        champion=[[0.1, 0.8, 0.1]],
    )
    assert found.groups[0].right == {"challenger": 0, "champion": 0, "neither": 1}


def test_the_largest_differences_of_numbers_come_first():
    found = changed(
        "regression", truth=[10, 10, 10], challenger=[10, 14, 11], champion=[11, 10, 11]
    )
    assert [(c.case, c.right) for c in found.cases] == [("r1", "champion"), ("r0", "challenger")]
    assert found.groups[0].difference == pytest.approx(5 / 3)


def test_rankings_are_compared_by_what_stays_in_ten():
    truth = np.empty(2, object)
    truth[:] = [["i0"], ["i1"]]
    same = [f"i{i}" for i in range(10)]
    half = same[:5][::-1] + [f"j{i}" for i in range(5)]
    found = changed("ranking", truth, [same, half], [same, same])
    (all_rows,) = found.groups
    assert all_rows.difference == pytest.approx((1 + 0.5) / 2)
    assert all_rows.changed == 1
    # The item that was wanted went from the second place to the fourth.
    assert all_rows.right == {"challenger": 0, "champion": 1, "neither": 0}


# --- the whole ------------------------------------------------------------------------------


def candidate(number: int, estimator: Any) -> Candidate:
    version = Version("shop", number, "", "", {"digest": f"digest {number}"}, 0)
    return Candidate(version, estimator, np.array([], np.uint64), None)


def windows(frame: pd.DataFrame, rows: int) -> dict[str, pd.DataFrame]:
    return {
        week(i): frame[i * rows : (i + 1) * rows].reset_index(drop=True)
        for i in range(len(frame) // rows)
    }


def test_an_explanation_of_a_pipeline_that_hides_its_columns():
    spec = ModelSpec.model_validate(weekly())
    seen, held = training.split(spec, windows(visits(3, 300), 300))
    rows = training.join_windows(seen)
    asked = rows[["interest", "minutes"]]
    double = FunctionTransformer(lambda frame: frame * 2)
    model = make_pipeline(double, LogisticRegression()).fit(asked, rows.bought)
    found = explain(spec, seen, held, candidate(1, model), None)
    assert found.linear is None
    assert found.missing["linear"] == "the step FunctionTransformer does not name its columns"
    assert found.missing["changes"] == "there is no champion to compare with"
    assert [i.feature for i in found.importance] == ["interest", "minutes"]


class Shelf:
    """Recommends the same items to everybody."""

    def __init__(self, items: list[str]):
        self.items = items

    def recommend(self, units: Any, k: int):
        return np.array([self.items[:k]] * len(units)), np.ones((len(units), k))


def test_a_recommender_says_why_nothing_can_be_shuffled():
    items = [f"i{n:02d}" for n in range(20)]
    spec = ModelSpec.model_validate(
        weekly(
            task="ranking",
            columns={"unit": "customer", "item": "item", "time": "at"},
            gate={"metric": "ndcg_at_10", "margin": 0.02},
            retrain={"on": ["drift"]},
        )
    )
    frame = visits(3, 200).assign(item=lambda f: np.array(items)[np.arange(len(f)) % 20])
    seen, held = training.split(spec, windows(frame[["at", "customer", "item"]], 200))
    found = explain(
        spec, seen, held, candidate(2, Shelf(items)), candidate(1, Shelf(items[5:] + items[:5]))
    )
    assert found.importance == []
    assert "no columns that could be shuffled" in found.missing["importance"]
    assert found.changes.kind == "ranking"
    assert found.changes.groups[0].difference == pytest.approx(0.5)
