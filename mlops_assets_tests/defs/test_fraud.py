"""The fraud example: its simulated world, its features and what a shift does to a model."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors
import pytest
from pandas.testing import assert_frame_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from mlops_assets.defs.fraud import features, source
from mlops_assets.defs.fraud.contract import Features, Transactions
from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.spec import load_specs
from mlops_assets.lifecycle.window import Window, WindowGrid

SHIPPED, _ = load_specs(Path(source.__file__).parent)["fraud"]
GRID = WindowGrid("weekly", date(2026, 1, 5))
SMALL = {"customers": 120, "terminals": 240}
SHIFT_FROM = date(2026, 4, 6)


def between(first: date, after: date) -> Window:
    def midnight(day):
        return datetime(day.year, day.month, day.day, tzinfo=UTC)

    return Window(first.isoformat(), midnight(first), midnight(after))


def weeks(first: date, count: int) -> list[Window]:
    return [between(day, day + timedelta(days=7)) for day in _mondays(first, count)]


def _mondays(first: date, count: int) -> list[date]:
    return [first + timedelta(days=7 * i) for i in range(count)]


@pytest.fixture(scope="module")
def week() -> Window:
    return GRID.window("2026-03-02")


@pytest.fixture(scope="module")
def history(week) -> pd.DataFrame:
    start = week.start.date()
    return source.transactions(between(start - timedelta(days=42), start), **SMALL)


@pytest.fixture(scope="module")
def raw(week) -> pd.DataFrame:
    return source.transactions(week, **SMALL)


@pytest.fixture(scope="module")
def built(raw, week, history) -> pd.DataFrame:
    return features.build(raw, window=week, history=history)


class TestSource:
    @pytest.mark.parametrize("shift_from", [None, date(2026, 3, 6)])
    def test_windows_add_up_in_any_order(self, shift_from):
        first, second = weeks(date(2026, 3, 2), 2)
        both = between(date(2026, 3, 2), date(2026, 3, 16))
        late = source.transactions(second, shift_from=shift_from, **SMALL)
        early = source.transactions(first, shift_from=shift_from, **SMALL)
        whole = source.transactions(both, shift_from=shift_from, **SMALL)
        assert_frame_equal(pd.concat([early, late], ignore_index=True), whole)

    def test_a_window_may_cut_a_day(self, raw, week):
        noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
        until = source.transactions(Window("a", week.start, noon), **SMALL)
        after = source.transactions(Window("b", noon, week.end), **SMALL)
        assert_frame_equal(pd.concat([until, after], ignore_index=True), raw)

    def test_rows_lie_in_the_window_in_order_of_time(self, raw, week):
        assert raw["at"].is_monotonic_increasing
        assert raw["transaction_id"].is_monotonic_increasing
        assert raw["at"].min() >= week.start
        assert raw["at"].max() < week.end

    def test_another_seed_is_another_world(self, raw, week):
        other = source.transactions(week, seed=1, **SMALL)
        assert not other["amount"].head(50).equals(raw["amount"].head(50))

    def test_a_lone_customer_uses_the_nearest_terminal(self, week):
        frame = source.transactions(week, customers=3, terminals=1)
        assert set(frame["terminal_id"]) == {"t00000"}

    def test_large_amounts_are_fraud(self, raw):
        assert raw.loc[raw["amount"] > 220, "is_fraud"].all()

    def test_fraud_rate_does_not_depend_on_the_size(self):
        quarter = between(date(2026, 1, 1), date(2026, 7, 1))
        rates = [
            source.transactions(quarter, customers=size, terminals=2 * size)["is_fraud"].mean()
            for size in (300, 1_500)
        ]
        assert rates == pytest.approx([0.009, 0.009], abs=0.002)

    @pytest.mark.parametrize("day", [SHIFT_FROM, SHIFT_FROM.isoformat()])
    def test_a_shift_changes_nothing_before_its_day(self, day):
        span = between(SHIFT_FROM - timedelta(days=14), SHIFT_FROM + timedelta(days=7))
        still = source.transactions(span, **SMALL)
        moved = source.transactions(span, shift_from=day, **SMALL)
        at_shift = pd.Timestamp(SHIFT_FROM, tz="UTC")
        assert_frame_equal(still[still["at"] < at_shift], moved[moved["at"] < at_shift])
        assert len(moved) > len(still)

    def test_a_shift_raises_amounts_and_moves_them_to_the_night(self):
        span = between(SHIFT_FROM, SHIFT_FROM + timedelta(days=28))
        size = {"customers": 1_000, "terminals": 2_000}
        still = source.transactions(span, **size)
        moved = source.transactions(span, shift_from=SHIFT_FROM, **size)
        ratio = moved["amount"].median() / still["amount"].median()
        night = [(frame["at"].dt.hour < 7).mean() for frame in (still, moved)]
        assert ratio == pytest.approx(1.5, abs=0.05)
        assert night[1] - night[0] == pytest.approx(0.13, abs=0.02)

    def test_card_tests_are_small_nightly_bursts(self):
        span = between(SHIFT_FROM, SHIFT_FROM + timedelta(days=14))
        moved = source.transactions(span, customers=1_000, terminals=2_000, shift_from=SHIFT_FROM)
        nightly = moved[(moved["at"].dt.hour < 7) & moved["amount"].between(1, 8)]
        frauds = nightly[nightly["is_fraud"] == 1]
        bursts = frauds.groupby(["card_id", frauds["at"].dt.date]).size()
        assert len(frauds) > 50
        assert bursts.median() >= 3

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"shift": "cashless"}, "unknown shift 'cashless'; known: contactless"),
            ({"customers": 0}, "must be 1 or more"),
            ({"shift_from": "April"}, "Invalid isoformat"),
        ],
    )
    def test_refuses_what_it_cannot_simulate(self, week, bad, message):
        with pytest.raises(ValueError, match=message):
            source.transactions(week, **bad)

    def test_refuses_a_window_without_bounds(self):
        with pytest.raises(ValueError, match="no bounds"):
            source.transactions(Window("all"))

    @pytest.mark.slow
    def test_published_totals(self):
        """Le Borgne et al. (2022), chapter 3: 183 days, 5,000 customers, 10,000 terminals."""
        first, after = date(2018, 4, 1), date(2018, 10, 1)
        plan = source._Plan(0, source.SHIFTS["contactless"], None, first.toordinal())
        world = source._world(5_000, 10_000, 0)
        rows = pd.concat(
            [source._day(world, plan, day) for day in range(first.toordinal(), after.toordinal())]
        )
        counts = rows["scenario"].value_counts()
        frauds = rows["scenario"] > 0
        assert len(rows) == pytest.approx(1_754_155, rel=0.025)
        assert frauds.mean() == pytest.approx(0.0084, abs=0.0004)
        value = rows.loc[frauds, "amount"].sum() / rows["amount"].sum()
        assert value == pytest.approx(0.0205, abs=0.002)
        assert counts[1] == pytest.approx(973, rel=0.15)
        assert counts[2] == pytest.approx(9_077, rel=0.08)
        assert counts[3] == pytest.approx(4_631, rel=0.12)


class TestFeatures:
    def test_they_agree_with_one_row_at_a_time(self, built, raw, history):
        known = pd.concat([history, raw], ignore_index=True)
        for i in np.random.default_rng(0).choice(len(raw), 150, replace=False):
            expected = _one_row(raw.iloc[i], known)
            actual = built.loc[i, list(expected)].astype(float).to_dict()
            assert actual == pytest.approx(expected, rel=1e-12)

    def test_rows_and_keys_are_those_of_the_window(self, built, raw):
        keys = list(features.KEYS)
        assert_frame_equal(built[keys], raw[keys])
        assert list(built.columns) == [*features.KEYS, *features.NUMERIC]
        assert not built.isna().any(axis=None)

    def test_order_of_rows_does_not_matter(self, built, raw, week, history):
        shuffled = raw.sample(frac=1, random_state=0)
        again = features.build(
            shuffled, window=week, history=history.sample(frac=1, random_state=1)
        )
        assert_frame_equal(again.sort_values("transaction_id", ignore_index=True), built)

    def test_longer_history_changes_nothing(self, built, raw, week, history):
        cut = history[history["at"] >= week.start - features.HISTORY]
        assert len(cut) < len(history)
        assert_frame_equal(features.build(raw, window=week, history=cut), built)

    @pytest.mark.parametrize("nothing", [pd.DataFrame(), None], ids=["bare", "typed"])
    def test_the_first_window_has_no_history(self, raw, week, nothing):
        empty = raw.iloc[:0] if nothing is None else nothing
        built = features.build(raw, window=week, history=empty)
        assert (built["terminal_count_30d"] == 0).all()
        assert (built["terminal_risk_30d"] == 0).all()
        Features.validate(built)

    def test_an_empty_window_has_no_features(self, raw, week, history):
        built = features.build(raw.iloc[:0], window=week, history=history)
        assert built.empty
        assert list(built.columns) == [*features.KEYS, *features.NUMERIC]
        assert features.build(raw.iloc[:0], window=week, history=raw.iloc[:0]).empty

    def test_the_future_does_not_leak(self, built, raw, week, history):
        now = week.start + timedelta(days=3)
        later = raw["at"] > now
        changed = raw.copy()
        changed.loc[later, "amount"] = 9_999.0
        changed.loc[later, "is_fraud"] = 1
        changed.loc[later, "card_id"] = raw["card_id"].iloc[0]
        changed.loc[later, "terminal_id"] = raw["terminal_id"].iloc[0]
        again = features.build(changed, window=week, history=history)
        assert_frame_equal(again[~later], built[~later])

    def test_history_after_the_window_began_is_not_read(self, built, raw, week, history):
        double = pd.concat([history, raw.assign(amount=1.0)], ignore_index=True)
        assert_frame_equal(features.build(raw, window=week, history=double), built)

    def test_labels_younger_than_the_delay_are_not_read(self, built, raw, week, history):
        changed = history.copy()
        now = week.start + timedelta(days=2)
        young = changed["at"] > now - features.LABEL_DELAY
        assert young.any()
        changed.loc[young, "is_fraud"] = 1 - changed.loc[young, "is_fraud"]
        flipped = raw.assign(is_fraud=1 - raw["is_fraud"])
        again = features.build(flipped, window=week, history=changed)
        earlier = raw["at"] <= now
        numeric = list(features.NUMERIC)
        assert_frame_equal(again.loc[earlier, numeric], built.loc[earlier, numeric])
        assert not again[numeric].equals(built[numeric])


def _one_row(row: pd.Series, known: pd.DataFrame) -> dict[str, float]:
    """The numeric features of one transaction, from their definition."""
    expected = {
        "amount": row["amount"],
        "is_weekend": float(row["at"].weekday() in (5, 6)),
        "is_night": float(row["at"].hour < 7),
    }
    card = known[known["card_id"] == row["card_id"]]
    terminal = known[known["terminal_id"] == row["terminal_id"]]
    delayed = row["at"] - pd.Timedelta("7D")
    for days in (1, 7, 30):
        span = pd.Timedelta(days=days)
        amounts = card.loc[(card["at"] > row["at"] - span) & (card["at"] <= row["at"]), "amount"]
        labels = terminal.loc[
            (terminal["at"] > delayed - span) & (terminal["at"] <= delayed), "is_fraud"
        ]
        expected[f"card_count_{days}d"] = len(amounts)
        expected[f"card_mean_amount_{days}d"] = amounts.mean()
        expected[f"amount_to_card_mean_{days}d"] = row["amount"] / amounts.mean()
        expected[f"terminal_count_{days}d"] = len(labels)
        expected[f"terminal_risk_{days}d"] = labels.mean() if len(labels) else 0.0
    return expected


class TestContract:
    @pytest.mark.parametrize("shift_from", [None, date(2026, 3, 4)])
    def test_accepts_what_the_source_makes(self, week, history, shift_from):
        raw = Transactions.validate(
            source.transactions(week, shift_from=shift_from, **SMALL), lazy=True
        )
        Features.validate(features.build(raw, window=week, history=history), lazy=True)

    def test_accepts_what_comes_back_from_parquet(self, raw, tmp_path):
        raw.to_parquet(tmp_path / "raw.parquet")
        Transactions.validate(pd.read_parquet(tmp_path / "raw.parquet"), lazy=True)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("amount", -1.0),
            ("amount", np.nan),
            ("amount", np.inf),
            ("is_fraud", 2),
            ("card_id", None),
            ("card_id", 7),
            ("terminal_region", "centre"),
            ("customer_age_band", ""),
            ("at", pd.NaT),
        ],
    )
    def test_refuses_a_bad_value(self, raw, column, value):
        bad = raw.head(20).copy()
        bad.loc[3, column] = value
        with pytest.raises(pandera.errors.SchemaErrors, match=column):
            Transactions.validate(bad, lazy=True)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda frame: frame.drop(columns="amount"),
            lambda frame: frame.assign(fraud_scenario=1),
            lambda frame: frame.assign(amount=frame["amount"].astype(str)),
            lambda frame: frame.assign(at=frame["at"].dt.tz_localize(None)),
            lambda frame: pd.concat([frame, frame.head(1)]),
        ],
        ids=["missing", "extra", "text", "naive", "duplicate"],
    )
    def test_refuses_a_bad_frame(self, raw, spoil):
        with pytest.raises(pandera.errors.SchemaErrors):
            Transactions.validate(spoil(raw.head(20)), lazy=True)

    def test_refuses_features_that_contradict_each_other(self, built):
        bad = built.head(20).copy()
        bad.loc[3, "card_count_1d"] = bad.loc[3, "card_count_7d"] + 1
        with pytest.raises(pandera.errors.SchemaErrors, match="longer span"):
            Features.validate(bad, lazy=True)


@pytest.fixture(scope="module")
def frames() -> list[pd.DataFrame]:
    """Features of eight weeks at the default size, the last four of them shifted."""
    spans = weeks(SHIFT_FROM - timedelta(days=70), 14)
    raw = [source.transactions(span, shift_from=SHIFT_FROM) for span in spans]
    return [
        features.build(raw[i], window=spans[i], history=pd.concat(raw[i - 6 : i]))
        for i in range(6, 14)
    ]


class TestModel:
    @staticmethod
    def score(train: list[pd.DataFrame], test: pd.DataFrame, model=None) -> float:
        numeric = list(features.NUMERIC)
        rows = pd.concat(train)
        model = training.build(SHIPPED.estimator) if model is None else model
        model.fit(rows[numeric], rows["is_fraud"])
        return average_precision_score(test["is_fraud"], model.predict_proba(test[numeric])[:, 1])

    def test_it_keeps_up_with_a_forest_and_beats_its_baseline(self, frames):
        """The handbook's forest, given the same features; benchmarks/models_retail.py has more."""
        ours = self.score(frames[:3], frames[3])
        forest = RandomForestClassifier(50, random_state=0)
        assert ours >= 0.97 * self.score(frames[:3], frames[3], forest)
        assert ours > self.score(frames[:3], frames[3], training.build(SHIPPED.gate.baseline))

    def test_a_shift_breaks_the_champion_and_retraining_mends_it(self, frames):
        champion_healthy = self.score(frames[:3], frames[3])
        champion_shifted = self.score(frames[:4], frames[5])
        one_week = self.score(frames[1:5], frames[5])
        two_weeks = self.score(frames[2:6], frames[6])
        assert champion_healthy > 0.6
        assert champion_shifted < champion_healthy - 0.25
        assert one_week > champion_shifted + 0.15
        assert two_weeks > self.score(frames[:4], frames[6]) + 0.3
