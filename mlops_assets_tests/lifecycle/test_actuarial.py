"""Actuarial tables and figures, against scikit-learn, statsmodels and known truths."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from statsmodels.stats.rates import confint_poisson

from mlops_assets.lifecycle import actuarial
from mlops_assets.lifecycle.tasks import TASKS, Cases

BETA = {"A": 0.0, "B": 0.4, "C": -0.3}
ROWS = 20_000


@pytest.fixture(scope="module")
def cases() -> Cases:
    """A portfolio whose frequency depends on the area by ``BETA`` and on age by 0.02 a year."""
    rng = np.random.default_rng(7)
    area = rng.choice(list(BETA), ROWS, p=[0.5, 0.3, 0.2])
    age = rng.integers(20, 60, ROWS)
    exposure = rng.uniform(0.1, 1, ROWS)
    rate = 0.2 * np.exp(np.array([BETA[a] for a in area]) - 0.02 * (age - 40))
    claims = rng.poisson(rate * exposure)
    asked = pd.DataFrame({"area": area.astype(object), "age": age, "noise": rng.normal(size=ROWS)})
    return Cases(asked, claims / exposure, np.arange(ROWS), exposure)


@pytest.fixture(scope="module")
def glm(cases):
    columns = make_column_transformer(
        (OneHotEncoder(drop=["A"], sparse_output=False), ["area"]), ("passthrough", ["age"])
    )
    model = make_pipeline(columns, PoissonRegressor(alpha=1e-10, solver="newton-cholesky"))
    weight = {"poissonregressor__sample_weight": cases.weights}
    return model.fit(cases.asked, cases.truth, **weight)


@pytest.fixture(scope="module")
def constant(cases):
    class Constant:
        def predict(self, asked):
            return np.full(len(asked), cases.truth @ cases.weights / cases.weights.sum())

    return Constant()


def test_a_over_e_has_exact_poisson_intervals(cases, constant):
    predicted = constant.predict(cases.asked)
    table = actuarial.actual_over_expected(
        cases.truth, predicted, cases.weights, cases.asked["area"]
    )
    for area, row in table.iterrows():
        inside = cases.asked["area"] == area
        claims = (cases.truth * cases.weights)[inside].sum()
        low, high = confint_poisson(claims, 1, method="exact-c")
        expected = (predicted * cases.weights)[inside].sum()
        assert row["ratio"] == pytest.approx(claims / expected)
        assert [row["low"], row["high"]] == pytest.approx([low / expected, high / expected])
    assert table["actual"].sum() == pytest.approx(table["expected"].sum())
    assert (table.loc["B", "low"] > 1) & (table.loc["C", "high"] < 1)


def test_a_group_without_claims_has_an_upper_bound():
    table = actuarial.actual_over_expected(
        np.zeros(4), np.full(4, 0.5), np.ones(4), np.array(["x", "x", "y", "y"])
    )
    # The rule of three: 3.69 is -ln(0.025).
    assert table["low"].tolist() == [0, 0]
    assert table["high"].tolist() == pytest.approx([3.689, 3.689], abs=1e-3)


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    counts = rng.poisson(6.0, 4_000)
    low, high = actuarial.poisson_interval(counts.astype(float))
    held = ((low <= 6) & (high >= 6)).mean()
    assert 0.95 <= held < 0.985


def test_double_lift_favours_the_better_model(cases, glm, constant):
    good, poor = glm.predict(cases.asked), constant.predict(cases.asked)
    table = actuarial.double_lift(cases.truth, good, poor, cases.weights)
    assert table["ratio"].is_monotonic_increasing
    assert len(table) == 10
    assert table["exposure"].max() / table["exposure"].min() < 1.01
    error = {m: ((table["actual"] - table[m]) ** 2).sum() for m in ("challenger", "champion")}
    assert error["challenger"] < error["champion"] / 10
    inside = table["challenger"].between(table["low"], table["high"])
    assert inside.mean() >= 0.8
    swapped = actuarial.double_lift(cases.truth, poor, good, cases.weights)
    turned = 1 / table["ratio"].to_numpy()[::-1]
    assert swapped["ratio"].to_numpy() == pytest.approx(turned, rel=0.01)


def test_relativities_of_a_glm_are_its_exponentiated_coefficients(cases, glm):
    coefficient = dict(zip(["B", "C", "age"], glm[-1].coef_, strict=True))
    table = actuarial.relativities(glm.predict, cases.asked, "area", cases.truth, cases.weights)
    assert table.loc["A", "modelled"] == 1  # most exposure: the base
    for area in "BC":
        assert table.loc[area, "modelled"] == pytest.approx(np.exp(coefficient[area]))
        assert np.exp(BETA[area]) == pytest.approx(table.loc[area, "modelled"], rel=0.1)
        assert table.loc[area, "low"] < table.loc[area, "observed"] < table.loc[area, "high"]


def test_relativities_of_numbers_go_by_bands(cases, glm):
    rows = np.arange(300)
    table = actuarial.relativities(
        glm.predict, cases.asked, "age", cases.truth, cases.weights, rows
    )
    assert len(table) == 12
    assert table["modelled"].is_monotonic_decreasing
    assert table["exposure"].sum() == pytest.approx(cases.weights.sum())
    age = np.log(table["modelled"].iloc[0] / table["modelled"].iloc[-1]) / -glm[-1].coef_[-1]
    assert 34 <= age <= 38


def test_rare_and_missing_levels_are_groups_of_their_own():
    values = pd.Series([f"town {i}" for i in range(20)] + [None, "town 0"], name="town")
    group = actuarial.levels(values, np.arange(22, 0, -1.0), most=3)
    assert group.value_counts().to_dict() == {
        "all others": 17,
        "town 0": 2,
        "town 1": 1,
        "town 2": 1,
        "missing": 1,
    }
    numbers = actuarial.levels(pd.Series([*range(100), np.nan]), np.ones(101), most=4)
    assert numbers.cat.categories.tolist() == [
        "from 0 to 24",
        "above 24 to 49",
        "above 49 to 74",
        "above 74",
        "missing",
    ]
    assert numbers.value_counts()["above 24 to 49"] == 25


def test_the_figures_of_a_count_regression(cases, glm, constant, tmp_path):
    scored = {"challenger": glm.predict(cases.asked), "champion": constant.predict(cases.asked)}
    figures = {t: draw(cases, scored) for t, draw in TASKS["count_regression"].plots().items()}
    assert {"Lorenz curve", "lift", "A/E by segment"} <= set(figures)
    figures["relativities"] = actuarial.relativities_figure(cases, glm)
    for name in ("A/E by segment", "relativities"):
        titles = [axes.get_title() for axes in figures[name].axes]
        assert titles[:2] == ["area", "age"]  # by how far the predictions differ along them
        figures[name].savefig(tmp_path / "figure.png")
    points = figures["A/E by segment"].axes[0].lines[0].get_ydata()
    table = actuarial.actual_over_expected(
        cases.truth, scored["challenger"], cases.weights, cases.asked["area"]
    )
    assert list(points) == pytest.approx(table["ratio"].tolist())
