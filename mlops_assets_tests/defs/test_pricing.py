"""The pricing example: its simulated chain, what it learns of price, and the limits on advice."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pandera.errors
import pytest
import skops.io
import statsmodels.api as sm
from pandas.testing import assert_frame_equal
from sklearn.ensemble import HistGradientBoostingRegressor
from statsmodels.stats.meta_analysis import combine_effects

from mlops_assets.defs.pricing import features, source
from mlops_assets.defs.pricing.contract import Features, Sales
from mlops_assets.defs.pricing.elasticity import estimate, logged_elasticity, shrink
from mlops_assets.defs.pricing.estimator import DemandModel, RecentUnits
from mlops_assets.defs.pricing.guardrails import PricePolicy, recommend_price, recommend_prices
from mlops_assets.lifecycle.artifact import TRUSTED_TYPES
from mlops_assets.lifecycle.window import Window

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
WEEKS = 26
IDS = ["at", "units", "product_id", "sale_id"]
NOT_SHOWN = ["unit_cost", "last_price", "lowest_price", "highest_price"]


def weeks(first: int, count: int = 1) -> Window:
    start = MONDAY + timedelta(weeks=first)
    return Window(start.date().isoformat(), start, start + timedelta(weeks=count))


def built(seed: int, count: int = WEEKS, **world) -> pd.DataFrame:
    """The features of ``count`` weeks, as the platform makes them."""
    size = {"products": 40} | world
    raw = [source.sales(weeks(week), seed=seed, **size) for week in range(count)]
    frames = [
        features.build(
            raw[week],
            window=weeks(week),
            history=pd.concat(raw[max(0, week - 8) : week]) if week else raw[0].iloc[:0],
        )
        for week in range(count)
    ]
    return pd.concat(frames, ignore_index=True)


def asked(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=IDS + NOT_SHOWN)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return built(seed=0, count=WEEKS + 2)


@pytest.fixture(scope="module")
def past(frame) -> pd.DataFrame:
    return frame[frame["at"] < MONDAY + timedelta(weeks=WEEKS)]


@pytest.fixture(scope="module")
def coming(frame, past) -> pd.DataFrame:
    return frame.drop(past.index)


@pytest.fixture(scope="module")
def model(past) -> DemandModel:
    return DemandModel(random_state=0).fit(asked(past), past["units"])


class TestSource:
    def test_windows_add_up(self):
        size = {"products": 4, "stores": 3}
        parts = [source.sales(weeks(week), **size) for week in (2, 3)]
        assert_frame_equal(pd.concat(parts, ignore_index=True), source.sales(weeks(2, 2), **size))
        assert not source.sales(weeks(2), seed=1, **size)["units"].equals(parts[0]["units"])

    def test_prices_move_as_published(self):
        raw = source.sales(weeks(0, 52), products=60, stores=1)
        by_product = raw.groupby("product_id")["planned_discount"]
        changed = raw["planned_discount"] != by_product.shift()
        assert changed[by_product.cumcount() > 0].mean() == pytest.approx(0.32, abs=0.03)
        discount = raw.loc[raw["planned_discount"] > 0, "planned_discount"]
        assert discount.quantile([0.25, 0.5, 0.75]).tolist() == pytest.approx(
            [0.08, 0.16, 0.21], abs=0.02
        )
        assert raw["explored"].mean() == pytest.approx(0.10, abs=0.02)
        drawn = (raw["price"] / raw["list_price"])[raw["explored"] == 1]
        assert drawn.between(0.795, 1.205).all()
        assert drawn.mean() == pytest.approx(1, abs=0.02)

    def test_elasticities_are_as_published(self):
        true = source.assortment(2_000, 1, 3).elasticity
        assert true.mean() == pytest.approx(-2.7, abs=0.05)
        assert true.std() == pytest.approx(0.7, abs=0.03)
        assert (true.min(), true.max()) == (-4.5, -0.8)

    def test_a_price_war_makes_the_rival_cheaper_and_takes_sales(self):
        shift = (MONDAY + timedelta(weeks=4)).date()
        calm, war = (source.sales(weeks(0, 8), shift_from=day) for day in (None, shift))
        before = calm["at"] < pd.Timestamp(shift, tz="UTC")
        assert_frame_equal(calm[before], war[before])
        ratio = (war["competitor_price"] / calm["competitor_price"])[~before]
        assert ratio.mean() == pytest.approx(0.85, abs=0.01)
        lost = war.loc[~before, "units"].sum() / calm.loc[~before, "units"].sum()
        assert lost == pytest.approx(0.85**1.5, abs=0.02)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"shift": "peace"}, "unknown shift 'peace'; known: price_war"),
            ({"products": 0}, "must be 1 or more"),
            ({"shift_from": "May"}, "Invalid isoformat"),
        ],
    )
    def test_refuses_what_it_cannot_simulate(self, bad, message):
        with pytest.raises(ValueError, match=message):
            source.sales(weeks(0), **bad)
        with pytest.raises(ValueError, match="no bounds"):
            source.sales(Window("all"))
        with pytest.raises(ValueError, match="closes no week"):
            source.sales(Window("a", MONDAY, MONDAY + timedelta(days=2)))


class TestFeatures:
    def test_they_keep_their_contract_and_agree_with_one_row_at_a_time(self):
        raw = source.sales(weeks(0, 10), products=4, stores=3)
        Sales.validate(raw, lazy=True)
        window = weeks(9)
        now, before = raw[raw["at"] >= window.start], raw[raw["at"] < window.start]
        frame = features.build(now, window=window, history=before)
        Features.validate(frame, lazy=True)
        for _, row in frame.iterrows():
            cell = before[
                (before["product_id"] == row["product_id"]) & (before["store_id"] == row["store"])
            ]
            assert row["recent_units"] == cell["units"].tail(4).mean()
            assert row["last_price"] == cell["price"].iloc[-1]
            product = before[before["product_id"] == row["product_id"]]
            assert row["lowest_price"] == product["price"].min()
            assert row["highest_price"] == product["price"].max()

    def test_the_window_itself_and_later_rows_are_not_read(self):
        raw = source.sales(weeks(0, 6), products=3, stores=2)
        window = weeks(4)
        now = raw[(raw["at"] >= window.start) & (raw["at"] < window.end)]
        before = raw[raw["at"] < window.start]
        expected = features.build(now, window=window, history=before)
        assert_frame_equal(features.build(now, window=window, history=raw), expected)

    @pytest.mark.parametrize("column", ["units", "price", "explored"])
    def test_bad_sales_are_refused(self, column):
        bad = source.sales(weeks(0), products=2, stores=2)
        bad.loc[1, column] = -1
        with pytest.raises(pandera.errors.SchemaErrors, match=column):
            Sales.validate(bad, lazy=True)


class TestElasticity:
    def test_it_is_statsmodels_poisson_regression_with_all_effects_as_dummies(self, past):
        rows = past[past["product"] == "p003"]
        log_price = np.log(rows["price"] / rows["list_price"])
        table = estimate(
            rows["units"].to_numpy(float),
            log_price.to_numpy(),
            rows["explored"].to_numpy() == 1,
            product=rows["product"].to_numpy(),
            period=rows["week_of_year"].to_numpy(),
            store=rows["store"].to_numpy(),
        )
        mixed = rows.groupby("week_of_year")["explored"].transform("nunique") == 2
        telling = rows[mixed]
        design = pd.get_dummies(telling[["week_of_year", "store"]].astype(str), dtype=float)
        design = sm.add_constant(design.drop(columns=design.columns[[0, -1]]))
        design.insert(0, "log_price", log_price[mixed])
        fitted = sm.GLM(telling["units"], design, family=sm.families.Poisson()).fit()
        assert table["elasticity"].iloc[0] == pytest.approx(fitted.params["log_price"], abs=1e-5)
        # Theirs knows no noise beyond Poisson's.
        assert 0.8 * fitted.bse["log_price"] < table["se"].iloc[0] < 3 * fitted.bse["log_price"]

    def test_shrinkage_is_statsmodels_random_effects_meta_analysis(self):
        rng = np.random.default_rng(5)
        se = rng.uniform(0.2, 0.8, 30)
        value = rng.normal(-2.5, np.hypot(0.6, se))
        table = pd.DataFrame({"elasticity": value, "se": se})
        ours = shrink(table)
        theirs = combine_effects(value, se**2, method_re="iterated")
        assert ours.between**2 == pytest.approx(theirs.tau2, rel=1e-5)
        assert ours.mean == pytest.approx(theirs.mean_effect_re, rel=1e-6)
        assert ours.mean_se == pytest.approx(theirs.sd_eff_w_re, rel=1e-6)
        kept = (ours.posterior - ours.mean) / (value - ours.mean)
        assert kept == pytest.approx(ours.between**2 / (ours.between**2 + se**2))

    def test_a_product_without_estimate_has_the_mean(self):
        table = pd.DataFrame({"elasticity": [-2.0, np.nan, -3.0], "se": [0.1, np.nan, 0.1]})
        found = shrink(table)
        assert found.posterior[1] == found.mean == pytest.approx(-2.5)
        assert found.posterior_sd[1] > found.posterior_sd[0]

    def test_the_truth_is_recovered_where_the_logs_are_wrong(self):
        """Over five worlds: means, spreads, and how often 90 % intervals hold the truth."""
        found = []
        for seed in range(5):
            frame = built(seed, products=30)
            model = DemandModel(max_iter=1).fit(asked(frame), frame["units"])
            true = source.assortment(30, 12, seed).elasticity
            logged = frame[frame["explored"] == 0]
            naive = logged_elasticity(
                logged["units"].to_numpy(),
                logged["price"].to_numpy(),
                product=logged["product"].to_numpy(),
                period=logged["week_of_year"].to_numpy(),
            )
            half = 1.645 * model.elasticity_sd_
            found.append(
                {
                    "bias": model.elasticity_.mean() - true.mean(),
                    "logged bias": naive - true.mean(),
                    "rmse": np.sqrt(np.mean((model.elasticity_ - true) ** 2)),
                    "held": np.mean(np.abs(model.elasticity_ - true) < half),
                }
            )
        means = pd.DataFrame(found).mean()
        assert abs(means["bias"]) < 0.15
        assert means["logged bias"] > 0.8
        assert means["rmse"] < 0.45
        assert means["held"] == pytest.approx(0.9, abs=0.06)

    def test_without_randomised_prices_it_refuses(self, past):
        logged = past.assign(explored=0)
        with pytest.raises(ValueError, match="can't be told from the reasons"):
            DemandModel().fit(asked(logged), logged["units"])


class TestDemandModel:
    def test_it_beats_recent_sales_and_is_unbiased(self, model, past, coming):
        floor = RecentUnits().fit(asked(past), past["units"]).predict(asked(coming))
        forecast = model.predict(asked(coming))
        error, floor_error = (abs(p - coming["units"]).mean() for p in (forecast, floor))
        assert error < 0.9 * floor_error
        assert forecast.sum() / coming["units"].sum() == pytest.approx(1, abs=0.06)

    def test_demand_falls_in_price_by_the_elasticity(self, model, coming):
        rows = asked(coming.head(50))
        one, dearer = (model.predict(rows.assign(price=rows["price"] * f)) for f in (1, 1.1))
        measured = np.log(dearer / one) / np.log(1.1)
        assert measured == pytest.approx(model.elasticity(rows)["elasticity"].to_numpy())
        assert (measured < 0).all()

    def test_boosting_with_price_as_a_feature_would_not_do(self, model, past, coming):
        """It forecasts about as well, and takes demand for far less elastic than it is."""
        numbers = asked(past).select_dtypes("number")
        plain = HistGradientBoostingRegressor(loss="poisson", random_state=0)
        plain.fit(numbers, past["units"])
        rows = asked(coming)
        now = rows[numbers.columns]
        dearer = now.assign(price=now["price"] * 1.1)
        measured = np.log(plain.predict(dearer) / plain.predict(now)).mean() / np.log(1.1)
        true = source.assortment(40).elasticity.mean()
        assert measured > true + 0.8
        assert model.elasticity(rows)["elasticity"].mean() == pytest.approx(true, abs=0.3)

    def test_an_unknown_product_has_the_mean_and_a_wider_interval(self, model, coming):
        rows = asked(coming.head(2)).assign(product=["p000", "p999"])
        found = model.elasticity(rows, confidence=0.9)
        assert found["elasticity"].iloc[1] == model.mean_elasticity_
        width = found["high"] - found["low"]
        assert width.iloc[1] > width.iloc[0]
        assert np.isfinite(model.predict(rows)).all()

    def test_an_assumed_elasticity_needs_no_exploration(self, past):
        logged = past.head(4_000).assign(explored=0)
        model = DemandModel(max_iter=5, assumed=(-1.8, 0.3)).fit(asked(logged), logged["units"])
        found = model.elasticity(asked(logged.head(3)), confidence=0.95)
        assert found["elasticity"].tolist() == [-1.8] * 3
        assert found["low"].iloc[0] == pytest.approx(-1.8 - 1.96 * 0.3, abs=1e-3)

    @pytest.mark.parametrize("bounds", [(-1, 0.5), (-1, -2), (0, 0)])
    def test_a_rising_demand_is_refused(self, past, bounds):
        with pytest.raises(ValueError, match="negative and in order"):
            DemandModel(bounds=bounds).fit(asked(past), past["units"])

    @pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
    def test_a_price_that_is_none_is_refused(self, model, coming, price):
        with pytest.raises(ValueError, match="positive numbers"):
            model.predict(asked(coming.head(3)).assign(price=price))

    def test_it_is_saved_and_trusted(self, model, coming, tmp_path):
        skops.io.dump(model, tmp_path / "model.skops")
        loaded = skops.io.load(tmp_path / "model.skops", trusted=list(TRUSTED_TYPES))
        assert (loaded.predict(asked(coming)) == model.predict(asked(coming))).all()


class Known:
    """A demand of 100 units at a price of 1, with an elasticity and its interval."""

    def __init__(self, elasticity: float, half: float = 0.3):
        self.centre, self.half = elasticity, half

    def elasticity(self, rows, confidence):
        ends = {"low": self.centre - self.half, "high": self.centre + self.half}
        return pd.DataFrame({"elasticity": self.centre, **ends}, index=rows.index)

    def predict(self, rows):
        return 100 * rows["price"].to_numpy() ** self.centre


def row(**changes: float) -> pd.DataFrame:
    known = {
        "product": "p001",
        "store": "s001",
        "unit_cost": 1.0,
        "last_price": 2.0,
        "lowest_price": 1.2,
        "highest_price": 3.0,
        "price": 2.0,
    }
    return pd.DataFrame([known | changes])


class TestGuardrails:
    def test_the_optimum_of_a_constant_elasticity(self):
        """cost * e / (1 + e): 2.00 at a cost of 1 and an elasticity of -2."""
        advice = recommend_price(Known(-2.0), row(last_price=2.05))
        assert advice.price == 2.0
        assert advice.limited_by == ()
        assert advice.profit == pytest.approx((2 - 1) * 100 / 4)
        assert advice.profit > advice.profit_now
        assert advice.profit_low < advice.profit < advice.profit_high
        grid = np.linspace(1.05, 4, 2_000)
        profit = (grid - 1) * 100 * grid**-2.0
        assert grid[profit.argmax()] == pytest.approx(2.0, abs=0.01)

    @pytest.mark.parametrize(
        ("elasticity", "changes", "price", "rule"),
        [
            (-1.5, {}, 2.2, "step"),  # the optimum is 3.00
            (-4.0, {}, 1.8, "step"),  # 1.33
            (-1.5, {"highest_price": 2.1}, 2.1, "history"),
            (-4.0, {"lowest_price": 1.9}, 1.9, "history"),
            (-40.0, {"last_price": 1.12, "lowest_price": 0.5}, 1.05, "margin"),  # 1.03
        ],
    )
    def test_limits_bind(self, elasticity, changes, price, rule):
        advice = recommend_price(Known(elasticity), row(**changes))
        assert advice.price == pytest.approx(price)
        assert advice.limited_by == (rule,)

    @pytest.mark.parametrize(("elasticity", "half"), [(-1.2, 0.3), (-0.6, 0.1), (-2.0, 1.0)])
    def test_it_abstains_where_the_interval_reaches_minus_one(self, elasticity, half):
        advice = recommend_price(Known(elasticity, half), row())
        assert advice.price is None
        assert "reaches -1" in advice.reason

    def test_it_abstains_where_limits_exclude_each_other(self):
        advice = recommend_price(Known(-2.0), row(unit_cost=2.5))
        assert advice.price is None
        assert advice.reason == "no price from 2.63 to 2.20: margin and step exclude each other"

    def test_a_step_is_never_rounded_over(self):
        for last in np.round(np.linspace(1.01, 9.99, 300), 2):
            wide = row(last_price=last, lowest_price=0.01, highest_price=99.0, unit_cost=last / 3)
            advice = recommend_price(Known(-1.4), wide)
            assert advice.price <= last * 1.1 + 1e-9
            assert advice.price > last * 1.1 - 0.01

    @pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
    def test_a_cost_that_is_none_is_refused(self, value):
        with pytest.raises(ValueError, match="unit_cost of p001 in s001 is"):
            recommend_price(Known(-2.0), row(unit_cost=value))

    def test_an_elasticity_that_is_none_gives_no_price(self):
        with pytest.raises(ValueError, match="NaN or infinity"):
            recommend_price(Known(np.nan), row())

    def test_advice_in_a_known_world_earns_more(self, model, coming):
        """Judged by the true demand, not by the model's own word."""
        rows = coming[coming["at"] == coming["at"].min()].reset_index(drop=True)
        advice = recommend_prices(model, rows, PricePolicy(step=0.05))
        true = source.assortment(40).elasticity[rows["product"].str[1:].astype(int)]
        gains = [
            (a.price - cost) * (a.price / a.last_price) ** e - (a.last_price - cost)
            for a, cost, e in zip(advice, rows["unit_cost"], true, strict=True)
            if a.price is not None
        ]
        assert len(gains) > 200
        assert np.mean(gains) > 0
        assert np.mean(np.array(gains) >= -1e-9) > 0.8
