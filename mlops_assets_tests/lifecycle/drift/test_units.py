"""Rows of one unit count as what they are worth."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, f_oneway
from sklearn.dummy import DummyRegressor

from mlops_assets.lifecycle import reference
from mlops_assets.lifecycle.drift.judge import judge
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.drift.unit_codes import UNIT_CODE
from mlops_assets.lifecycle.drift.unit_counts import KEPT, UnitCounts
from mlops_assets.lifecycle.drift.units import (
    likeness_of,
    likeness_of_bins,
    live_units,
)
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.spec import DriftPolicy, ModelSpec
from mlops_assets.lifecycle.training import TrainingData
from mlops_assets_tests.lifecycle.drift.worlds import compared, spec

UNITS, EACH = 200, 25


def of_customers(rng, units=UNITS, each=EACH, share=1.0, columns=5):
    """Numbers of which a share of the variance is the customer's, and the customer."""
    level = rng.normal(0, share**0.5, (units, columns)).repeat(each, axis=0)
    own = rng.normal(0, (1 - share) ** 0.5, (units * each, columns))
    frame = pd.DataFrame(level + own).rename(columns=str)
    who = rng.integers(0, 2**60, units).astype(str)
    return frame.assign(kind=(level[:, 0] > 0.5).astype(str), who=who.repeat(each))


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_likeness_is_that_of_analysis_of_variance(share):
    frame = of_customers(np.random.default_rng(0), share=share)
    codes = np.arange(len(frame)) // EACH
    f = f_oneway(*np.split(frame["0"].to_numpy(), UNITS)).statistic if share < 1 else np.inf
    expected = max(0, (f - 1) / (f - 1 + EACH)) if share < 1 else 1
    assert likeness_of(frame["0"].to_numpy(), codes) == pytest.approx(expected)
    assert likeness_of(frame["0"].to_numpy(), codes) == pytest.approx(share, abs=0.05)


def test_likeness_of_bins_is_rao_and_scotts_mean_effect():
    frame = of_customers(np.random.default_rng(0), share=0.4)
    bins = np.digitize(frame["0"], [-1, -0.3, 0.3, 1])
    codes = np.arange(len(frame)) // EACH
    inside = np.eye(5)[bins][:, :-1]
    p = inside.mean(axis=0)
    # Of the shares, with whole units as draws, over that with rows as draws.
    clustered = np.cov(inside.reshape(UNITS, EACH, 4).mean(axis=1).T) / UNITS
    simple = (np.diag(p) - np.outer(p, p)) / len(frame)
    effect = np.trace(np.linalg.solve(simple, clustered)) / 4
    found = 1 + (EACH - 1) * likeness_of_bins(bins, codes)
    assert found == pytest.approx(effect, rel=0.01)


def test_rows_a_unit_are_those_of_a_rows_unit():
    rng = np.random.default_rng(0)
    who = rng.zipf(1.6, 400_000) % 30_000
    sizes = pd.Series(who).value_counts()
    assert UnitCounts.of(pd.DataFrame({"who": who[:9_000]}), "who").rows_a_unit == pytest.approx(
        (pd.Series(who[:9_000]).value_counts() ** 2).sum() / 9_000
    )
    even = pd.DataFrame({"who": np.arange(1_000_000) // 7})
    assert UnitCounts.of(even, "who").rows_a_unit == pytest.approx(7)
    assert sizes.max() > 1
    assert UnitCounts.of(pd.DataFrame({"who": ["a", "a", None, None]}), "who").rows_a_unit == 1.5
    assert UnitCounts.of(pd.DataFrame({"who": [None] * 5}), "who").rows_a_unit == 1
    with pytest.raises(EvidenceError, match="units can't be told by 'nobody'"):
        UnitCounts.of(even, "nobody")


@pytest.mark.parametrize(("units", "error"), [(500, 1e-9), (40_000, 0.05)])
def test_what_both_sides_share_of_units_does_not_move_them_apart(units, error):
    rng = np.random.default_rng(0)
    sides = [rng.integers(first, first + units, 6 * units) for first in (0, units // 2)]
    p, q = (np.bincount(side, minlength=2 * units) / len(side) for side in sides)
    expected = ((p - q) ** 2).sum() / (2 / len(sides[0]))
    before, now = (UnitCounts.of(pd.DataFrame({"who": side}), "who") for side in sides)
    assert before.apart(now) == pytest.approx(expected)
    stored = UnitCounts.read(before.kept())
    assert len(stored.hashes) <= KEPT
    assert stored.apart(now) == pytest.approx(expected, rel=error)
    assert before.apart(before) == 0


def shelf(seed, shift=0.0, products=40, each=6):
    """Prices of the same products each week: each has its own, and moves about it a little."""
    level = np.random.default_rng(1).normal(0, 1, products).repeat(each)
    rng = np.random.default_rng([2, seed])
    moved = {name: level + shift + rng.normal(0, 0.3, level.size) for name in ("price", "cost")}
    return pd.DataFrame(moved).assign(who=np.arange(products).repeat(each))


def test_the_same_units_each_window_hide_no_shift_and_make_no_alarm():
    windows = {f"w{n}": shelf(n) for n in range(4)}
    made = Profile.of(pd.concat(windows.values()), windows=windows, unit="who", pooled=4)
    assert made["price"].likeness > 0.9
    calm = [compared(made, shelf(seed), str(seed), unit="who").verdict for seed in range(10, 30)]
    assert calm == ["stable"] * 20
    assert compared(made, shelf(9, shift=0.3), unit="who").verdict == "drifted"


def false_alarms(windows, unit, **world):
    found = 0
    for seed in range(windows):
        rng = np.random.default_rng(seed)
        sides = [of_customers(rng, **world) for _ in range(2)]
        sides = sides if unit else [side.drop(columns="who") for side in sides]
        found += compared(*sides, str(seed), unit=unit).verdict == "drifted"
    return found


def test_what_belongs_to_customers_keeps_the_declared_rate():
    windows = 30
    # More than this many of 30 come once in 300 times at 1 %.
    most = int(binom.isf(1 / 300, windows, 0.01))
    assert false_alarms(windows, "who") <= most
    assert false_alarms(10, None) >= 7


def test_units_of_one_row_and_units_that_are_not_alike_cost_nothing():
    rng = np.random.default_rng(0)
    sides = [of_customers(rng, 500, 1) for _ in range(2)]
    plain = [side.drop(columns="who") for side in sides]
    assert compared(*sides, unit="who").columns == compared(*plain).columns
    sides = [of_customers(rng, share=0.0) for _ in range(2)]
    plain = [side.drop(columns="who") for side in sides]
    limits = [
        [c.threshold for c in compared(*each, min_effect=0, unit=unit).columns[:5]]
        for each, unit in ((sides, "who"), (plain, None))
    ]
    assert np.mean(limits[0]) == pytest.approx(np.mean(limits[1]), rel=0.1)


def test_missing_values_and_new_categories_come_by_customers():
    def world(seed, absent):
        rng = np.random.default_rng(seed)
        who = np.arange(UNITS).repeat(EACH) + seed * UNITS
        value = np.where(np.arange(UNITS).repeat(EACH) < absent, np.nan, rng.normal(size=len(who)))
        device = rng.choice(2_000, UNITS).repeat(EACH).astype(str)
        return pd.DataFrame({"value": value, "device": device, "who": who.astype(str)})

    sides = world(0, 16), world(1, 30)
    report = compared(*sides, unit="who")
    assert [c.verdict for c in report.columns] == ["stable", "stable"]
    assert report.columns[1].reference.unseen == pytest.approx(0.9, abs=0.06)
    plain = compared(*(side.drop(columns="who") for side in sides))
    assert [c.verdict for c in plain.columns] == ["drifted", "drifted"]
    broken = compared(world(0, 16), world(1, 120), unit="who").columns[0]
    assert broken.statistic == "missing_share"


def test_rows_that_come_without_their_units_have_as_many_as_the_reference():
    rng = np.random.default_rng(0)
    before, now = (of_customers(rng) for _ in range(2))
    made = Profile.of(before, unit="who")
    live = scan(now, made)
    told = live_units(live, made, now, "who")
    policy = DriftPolicy()
    assert judge(policy, made, live) == judge(policy, made, told)
    single = live_units(live, made, now.assign(who=np.arange(len(now)).astype(str)), "who")
    limits = [judge(policy, made, each)[0].threshold for each in (told, single)]
    assert limits[1] < 0.9 * limits[0]
    again = Profile.read(made.written())
    assert again == made
    assert again["0"].likeness == pytest.approx(1)


def test_a_version_keeps_how_much_its_units_are_alike():
    declared = spec().model_dump(exclude_unset=True, by_alias=True)
    weekly = {"cadence": "weekly", "start": "2020-01-06", "training": {"windows": 3, "hold_out": 1}}
    columns = {"target": "y", "unit": "who", "time": "at"}
    it = ModelSpec.model_validate({**declared, **weekly, "columns": columns})
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2020-01-06", tz="UTC")
    rows = {f"w{n}": of_customers(rng, columns=2).assign(y=1.0, at=at) for n in range(4)}
    data = TrainingData.of(it, {k: rows[k] for k in ("w0", "w1", "w2")}, {"w3": rows["w3"]}, "c")
    model = DummyRegressor().fit(data.seen[["0", "1", "kind"]], data.seen["y"])
    drawn = reference.sample(it, model, data.unseen)
    whose = data.unseen.groupby("0", sort=False)["who"].first()[drawn["0"]]
    assert (pd.factorize(whose)[0] == drawn[UNIT_CODE] // 2).all()
    made = reference.profile(it, model, data, drawn)
    renamed = data.unseen.rename(columns={"0": UNIT_CODE})
    with pytest.raises(EvidenceError, match="no feature can be named '__unit__'"):
        reference.sample(it, model, renamed)
    assert made.names == ["0", "1", "kind", "y", "prediction"]
    assert (made.pooled, len(made.windows)) == (1, 4)
    assert (made["0"].likeness, made["0"].rows_a_unit) == pytest.approx((1, EACH))
    assert made["0"].rows_a_unit_in_windows == EACH
    # Of a training window 2,000 rows are answered.
    assert made["prediction"].rows_a_unit_in_windows == pytest.approx(0.4 * EACH, rel=0.1)
