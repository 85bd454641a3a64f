"""The declared rate of false alarms holds, and what moved is found."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets_tests.lifecycle.drift.worlds import ROWS, column, compared, normal


def gaussian(rng, size):
    return pd.DataFrame(rng.normal(size=(size, 20))).rename(columns=str)


def of_many_kinds(rng, size):
    kinds = [
        lambda: rng.exponential(size=size),
        lambda: rng.lognormal(0, 2, size),
        lambda: rng.choice(list("abcde"), size),
        lambda: rng.random(size) < 0.05,
        lambda: rng.zipf(1.5, size).astype(str),
        lambda: rng.integers(0, 300, size).astype(str),
        lambda: np.where(rng.random(size) < 0.5, np.nan, rng.normal(size=size)),
        lambda: np.where(rng.random(size) < 0.85, np.nan, rng.normal(size=size)),
        lambda: rng.poisson(0.3, size),
        lambda: rng.choice([0.0, 1e9], size, p=[0.99, 0.01]),
    ]
    return pd.DataFrame({str(i): kinds[i % 10]() for i in range(20)})


def of_a_few_huge_values(rng, size):
    kinds = [
        lambda: np.where(rng.random(size) < 0.003, 1e6, rng.normal(size=size)),
        lambda: np.where(rng.random(size) < 0.99, 0, rng.lognormal(4, 2, size)),
        lambda: rng.standard_cauchy(size),
    ]
    return pd.DataFrame({str(i): kinds[i % 3]() for i in range(18)})


def alarms(make, windows, shift=0.0, before=ROWS, now=ROWS):
    rng = np.random.default_rng(1)
    found = 0
    # Making a large reference costs more than judging by it.
    kept = [Profile.of(make(rng, before)) for _ in range(4)] if before > ROWS else []
    for window in range(windows):
        reference = kept[window % 4] if kept else make(rng, before)
        live = make(rng, now)
        if shift:
            live.iloc[:, :4] += shift
        found += compared(reference, live, str(window)).verdict == "drifted"
    return found / windows


@pytest.mark.slow
@pytest.mark.parametrize("make", [gaussian, of_many_kinds])
@pytest.mark.parametrize(
    ("before", "now", "windows"), [(ROWS, ROWS, 200), (20_000, 5_000, 100), (20_000, 50_000, 50)]
)
def test_false_alarms_are_as_declared(make, before, now, windows):
    # 2 % is 1.4 standard errors of 200 windows above the declared 1 %.
    assert alarms(make, windows, before=before, now=now) <= 0.02


@pytest.mark.slow
def test_a_few_huge_values_make_no_false_alarms():
    """One mean of all beyond the last edge, the huge and the others, alarmed in 7 of these 60."""
    assert alarms(of_a_few_huge_values, 60, now=10 * ROWS) <= 0.02


def test_few_false_alarms():
    assert alarms(of_many_kinds, 30) <= 0.05


def test_shift_is_found():
    assert alarms(gaussian, 40, shift=0.3) >= 0.95


def test_shift_that_is_too_small_to_matter_is_no_alarm():
    found, _ = column(normal(20_000), normal(20_000, 1, 0.05))
    assert found.verdict == "stable"
    assert found.threshold == 0.1


def test_lower_declared_rate_raises_the_limit():
    limits = [column(normal(), normal(seed=1), false_alarms=a)[0].threshold for a in (0.2, 0.001)]
    assert limits[0] < limits[1]
