"""All columns together: what no column shows alone, and what belongs to customers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import rankdata

from mlops_assets.lifecycle.drift.methods.domain_classifier import auc_threshold
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.unit_codes import UNIT_CODE, unit_codes
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets_tests.lifecycle.drift.worlds import compared

CLASSIFIER = {"multivariate": "domain_classifier"}


def together(correlation, seed, rows=2_000):
    rng = np.random.default_rng(seed)
    both = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], rows)
    return pd.DataFrame(both, columns=["x", "z"]).assign(region=rng.choice(list("nse"), rows))


def test_classifier_finds_what_no_column_shows():
    calm = compared(together(0, 1), together(0, 2), **CLASSIFIER)
    assert (calm.verdict, calm.multivariate.verdict) == ("stable", "stable")
    moved = compared(together(0, 1), together(0.8, 2), **CLASSIFIER)
    assert {c.verdict for c in moved.columns} == {"stable"}
    assert (moved.verdict, moved.drifted, moved.multivariate.verdict) == (
        "drifted",
        True,
        "drifted",
    )
    assert moved.multivariate.columns == ["x", "z", "region"]
    assert compared(together(0, 1), together(0.8, 2)).multivariate is None


def test_classifier_needs_rows():
    reference = Profile.of(together(0, 1))
    with pytest.raises(EvidenceError, match="multivariate compares rows"):
        compared(reference, together(0, 2), **CLASSIFIER)


def test_classifier_leaves_out_what_is_broken():
    live = together(0, 2).assign(z=np.inf, region=None)
    found = compared(together(0, 1), live, **CLASSIFIER)
    assert (found.verdict, found.multivariate.verdict) == ("broken", "insufficient_data")


def test_classifiers_threshold_is_mann_and_whitneys():
    # Without drift the area is that of ranks dealt out by chance.
    ranks = rankdata(np.random.default_rng(0).normal(size=(4_000, 400)), axis=1)[:, :200]
    areas = (ranks.sum(axis=1) - 200 * 201 / 2) / 200**2
    assert auc_threshold(200, 200, 0.05, 0.0) == pytest.approx(np.quantile(areas, 0.95), abs=0.003)


# --- rows of one customer -----------------------------------------------------------------------


def of_customers(seed, units=200, correlation=0.0, each=10):
    """Two numbers that belong to a customer, who comes with several rows and not again."""
    rng = np.random.default_rng(seed)
    level = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], units)
    frame = pd.DataFrame(level.repeat(each, axis=0), columns=["x", "z"])
    who = [f"{seed}-{n}" for n in range(units)]
    return frame.assign(hour=rng.integers(0, 24, len(frame)), who=np.repeat(who, each))


def test_new_customers_are_no_drift():
    def verdicts(unit):
        drop = [] if unit else ["who"]
        pairs = [(of_customers(seed), of_customers(100 + seed)) for seed in range(8)]
        reports = [
            compared(*(side.drop(columns=drop) for side in pair), unit=unit, **CLASSIFIER)
            for pair in pairs
        ]
        return [report.multivariate.verdict for report in reports]

    assert verdicts("who") == ["stable"] * 8
    # What rows that counted as independent would have said.
    assert verdicts(None) == ["drifted"] * 8


def test_customers_who_are_different_together_are_found():
    sides = of_customers(0, 800, each=4), of_customers(1, 800, correlation=0.9, each=4)
    report = compared(*sides, unit="who", **CLASSIFIER)
    assert {c.verdict for c in report.columns} == {"stable"}
    assert (report.verdict, report.multivariate.verdict) == ("drifted", "drifted")


def test_threshold_is_wider_where_customers_have_more_rows():
    def threshold(each):
        sides = of_customers(0, 1_000 // each, each=each), of_customers(1, 1_000 // each, each=each)
        return compared(*sides, unit="who", **CLASSIFIER).multivariate.threshold

    assert threshold(20) > threshold(5) > threshold(1)


def test_few_customers_tell_nothing():
    sides = of_customers(0, 12, each=50), of_customers(1, 12, each=50)
    found = compared(*sides, unit="who", **CLASSIFIER).multivariate
    assert (found.verdict, found.value) == ("insufficient_data", None)
    assert found.reason == "too few units on a side to tell noise from drift"
    one = compared(of_customers(0), of_customers(1, 1, each=300), unit="who", **CLASSIFIER)
    assert one.multivariate.verdict == "insufficient_data"


def test_a_sample_tells_its_units_without_their_names():
    before, now = of_customers(0), of_customers(1)
    codes = unit_codes(pl.Series(before["who"]))
    sample = before.drop(columns="who").assign(**{UNIT_CODE: codes})
    reference = Profile.of(before, unit="who")
    asked = {"samples": (sample, now), "unit": "who", **CLASSIFIER}
    found = compared(reference, now, **asked).multivariate
    assert found == compared(before, now, unit="who", **CLASSIFIER).multivariate
    assert found.verdict == "stable"
    old = {**asked, "samples": (before.drop(columns="who"), now)}
    found = compared(reference, now, **old).multivariate
    assert (found.verdict, found.value) == ("insufficient_data", None)
    assert found.reason.endswith("train it again")


def test_codes_are_of_units_and_no_more_of_their_name_than_a_bit():
    names = ["b", "a", None, "b", None, "c"]
    codes = unit_codes(pl.Series(names, dtype=pl.String))
    assert [int(code) // 2 for code in codes] == [0, 1, 3, 0, 4, 2]
    again = unit_codes(pl.Series(["c", "a", "b"]))
    assert again[::-1].tolist()[0] % 2 == codes[0] % 2
    odd = unit_codes(pl.Series([f"customer {n}" for n in range(2_000)])) % 2
    assert odd.mean() == pytest.approx(0.5, abs=0.05)
    assert sorted(unit_codes(pl.Series([None] * 4, dtype=pl.String)) % 2) == [0, 0, 1, 1]
