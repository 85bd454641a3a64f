"""No bad window is stable, and none crashes."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mlops_assets_tests.lifecycle.drift.worlds import ROWS, column, compared, mixed, normal


@pytest.mark.parametrize("size", [0, 1, 5, 199])
def test_few_rows_are_insufficient(size):
    for frames in ((mixed(), mixed(size, 1)), (mixed(size), mixed(seed=1))):
        report = compared(*frames)
        assert report.verdict == "insufficient_data"
        assert "min_rows is 200" in report.columns[0].reason
        assert not report.drifted


def test_missing_column_is_broken_whatever_else_drifted():
    report = compared(mixed(), mixed(seed=1, shift=0.4).drop(columns="region"))
    assert report.verdict == "broken"
    assert not report.drifted
    verdicts = {c.column: c.verdict for c in report.columns}
    assert (verdicts["region"], verdicts["amount"]) == ("broken", "drifted")


def test_extra_columns_are_not_looked_at():
    live = mixed(seed=1).assign(id=range(ROWS), labels=[[1]] * ROWS)
    assert compared(mixed(), live).columns == compared(mixed(), mixed(seed=1)).columns


def test_column_twice_is_broken():
    live = pd.concat([mixed(seed=1), mixed(seed=1)[["amount"]]], axis=1)
    found = compared(mixed(), live).columns[0]
    assert found.kind == "numeric"
    assert (found.verdict, found.reason) == (
        "broken", "the live rows hold 2 columns of this name"
    )  # fmt: skip


DAYS = pd.date_range("2026", periods=ROWS)


@pytest.mark.parametrize(
    ("reference", "live", "words"),
    [
        (normal(), np.full(ROWS, np.nan), "no value in the live rows"),
        (normal(), [None] * ROWS, "no value in the live rows"),
        (normal(), normal().astype(str), "the type changed: number in the reference, text live"),
        (["a"] * ROWS, normal(), "the type changed: text in the reference, number live"),
        (normal() > 0, normal(), "boolean in the reference, number live"),
        (normal(), [*normal(ROWS - 1), np.inf], "the live rows hold 1 infinite values"),
        ([*normal(ROWS - 1), -np.inf], normal(), "the reference rows hold 1 infinite"),
        (normal(), [[1]] * ROWS, "mixed values"),
        (normal(), [{"a": 1}] * ROWS, "mixed values"),
        (["a"] * ROWS, ["a", 1] * (ROWS // 2), "mixed-integer values"),
        (normal(), pd.Series([10**400] * ROWS, dtype=object), "a number that no float holds"),
        (normal() * 1e200, normal(), "the reference rows hold numbers beyond 1e+150"),
        (normal(), normal() * 1e200, "the live rows hold numbers beyond 1e+150"),
        (normal(), normal() + 1j, "complex"),
        (DAYS, DAYS.tz_localize("UTC"), "time in the reference, time with a zone live"),
        (
            DAYS,
            pd.Series([*DAYS[:-1], DAYS[-1].tz_localize("UTC")]),
            "times with and without a zone",
        ),
        (normal(), DAYS, "number in the reference, time live"),
        (normal(), DAYS - DAYS[0], "timedelta"),
    ],
)
def test_values_that_can_not_be_compared_are_broken(reference, live, words):
    found, report = column(reference, live)
    assert found.verdict == report.verdict == "broken"
    assert words in found.reason
    assert found.value is None


@pytest.mark.parametrize(
    ("live", "verdict"), [(5.0, "stable"), (5.00001, "stable"), (6.0, "drifted")]
)
def test_constant_reference(live, verdict):
    assert column([5.0] * ROWS, [live] * ROWS)[0].verdict == verdict


@pytest.mark.parametrize("values", [("a", "b"), (True, False), (5.0, 6.0)])
def test_constant_reference_without_a_least_effect(values):
    for value, verdict in zip(values, ("stable", "drifted"), strict=True):
        sides = pd.Series([values[0]] * ROWS), pd.Series([value] * ROWS)
        assert column(*sides, min_effect=0)[0].verdict == verdict


def test_column_that_became_constant_drifted():
    assert column(normal(), np.zeros(ROWS))[0].verdict == "drifted"


@pytest.mark.parametrize(("before", "now"), [(0.0, 0.2), (0.5, 0.8), (0.6, 0.1), (1.0, 0.0)])
def test_jump_of_the_missing_share_drifted(before, now):
    sides = [np.where(np.arange(ROWS) < ROWS * p, np.nan, normal()) for p in (before, now)]
    found, _ = column(*sides)
    assert (found.verdict, found.statistic) == ("drifted", "missing_share")
    assert found.reason == f"missing values: {before:.1%} in the reference, {now:.1%} live"
    assert found.value == pytest.approx(abs(now - before))


def test_small_change_of_the_missing_share_is_stable():
    sides = [np.where(np.arange(20_000) < 20_000 * p, np.nan, normal(20_000)) for p in (0.1, 0.14)]
    assert column(*sides)[0].verdict == "stable"


def test_column_that_nobody_fills_is_insufficient():
    found, report = column([None] * ROWS, [None] * ROWS)
    assert found.verdict == "insufficient_data"
    assert report.verdict == "stable"


DTYPES = {
    "Int64": lambda x: pd.Series((x * 10).round()).astype("Int64"),
    "Float64 with nulls": lambda x: pd.Series(x).mask(x > 1.5).astype("Float64"),
    "int64[pyarrow]": lambda x: pd.Series((x * 10).round()).astype("int64[pyarrow]"),
    "double[pyarrow]": lambda x: pd.Series(x).astype("double[pyarrow]"),
    "float32": lambda x: x.astype("float32"),
    "Decimal": lambda x: pd.Series([Decimal(f"{v:.3f}") for v in x]),
    "object": lambda x: pd.Series([None, *x[1:]], dtype=object),
    "boolean": lambda x: pd.Series(x > 0).astype("boolean"),
    "bool[pyarrow]": lambda x: pd.Series(x > 0).astype("bool[pyarrow]"),
    "bool": lambda x: x > 0,
    "category": lambda x: pd.Series(np.where(x > 0, "a", "b")).astype("category"),
    "category of numbers": lambda x: pd.Series(x > 0).astype(int).astype("category"),
    "string": lambda x: pd.Series(np.where(x > 0, "a", "b")).astype("string"),
    "string[pyarrow]": lambda x: pd.Series(np.where(x > 0, "a", "b")).astype("string[pyarrow]"),
}


@pytest.mark.parametrize("cast", DTYPES.values(), ids=DTYPES)
def test_dtypes_have_a_verdict(cast):
    assert column(cast(normal()), cast(normal(seed=1)))[0].verdict == "stable"
    assert column(cast(normal()), cast(normal(seed=1, shift=1)))[0].verdict == "drifted"


def test_same_values_in_another_dtype_are_the_same():
    counts = np.random.default_rng(0).poisson(3, ROWS)
    plain = column(counts, counts[::-1].copy())[0]
    assert column(pd.Series(counts, dtype="Int64"), counts[::-1].astype(float))[0] == plain


def test_many_categories_are_fast_and_stable():
    rng = np.random.default_rng(0)
    reference, live = (rng.integers(0, 20_000, 20_000).astype(str) for _ in range(2))
    assert column(reference, live)[0].verdict == "stable"


def test_new_categories_are_found_among_many():
    rng = np.random.default_rng(0)
    reference, live = (rng.integers(0, 20, 2_000).astype(str) for _ in range(2))
    live[:200] = [f"new-{i}" for i in range(200)]
    assert column(reference, live)[0].verdict == "drifted"


@pytest.mark.parametrize("cast", [lambda t: t, lambda t: t.tz_localize("UTC"), lambda t: t.date])
def test_times_are_compared(cast):
    days, later = (cast(DAYS + pd.Timedelta(days=n)) for n in (0, 300))
    same, moved = column(days, days[::-1])[0], column(days, later)[0]
    assert (same.kind, same.verdict, same.value) == ("datetime", "stable", 0)
    # 300 days over the standard deviation of 0, 1, ..., 499 days.
    assert moved.value == pytest.approx(300 / np.arange(ROWS).std(), rel=0.01)
    assert moved.verdict == "drifted"
