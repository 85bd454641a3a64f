"""Reference windows that lie further apart than chance raise limits, and alike ones don't."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from mlops_assets.lifecycle.drift.between import Spread, independent
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets_tests.lifecycle.drift.worlds import ROWS, compared

COLUMNS = 8
MODELS = 30


def alarms(windows, spread, shift=0.0, moved=COLUMNS, known=True, **policy):
    """Of so many models, each with reference windows and a live window of its own.

    Where the windows are not known as such, nothing but chance can be allowed for.
    """
    found = 0
    for seed in range(MODELS):
        rng = np.random.default_rng([seed, windows])
        levels = rng.normal(0, spread, (windows + 1, COLUMNS)) * (np.arange(COLUMNS) < moved)
        levels[-1, -2:] += shift
        frames = [pd.DataFrame(rng.normal(size=(ROWS, COLUMNS)) + level) for level in levels]
        *before, live = [frame.rename(columns=str) for frame in frames]
        keyed = {f"{n:02d}": frame for n, frame in enumerate(before)}
        kept = keyed if known else None
        made = Profile.of(pd.concat(before), windows=kept, pooled=windows)
        report = compared(made, scan(live, made), str(seed), **policy)
        found += report.verdict == "drifted"
    return found


@pytest.mark.parametrize("windows", [2, 4, 9])
def test_the_declared_rate_holds_with_few_windows(windows):
    # More than this many of 30 come once in 300 times at 1 %.
    assert alarms(windows, 0.1) <= binom.isf(1 / 300, MODELS, 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ks", "jensen_shannon", "psi", "chi_square"])
def test_the_declared_rate_holds_for_every_method(method):
    methods = {"numeric": method}
    assert alarms(5, 0.1, methods=methods, min_effect=0) <= binom.isf(1 / 300, MODELS, 0.01)


@pytest.mark.parametrize(("windows", "shift"), [(2, 0.3), (9, 0.2)])
def test_alike_windows_cost_little_power(windows, shift):
    most = alarms(windows, 0.0, shift, known=False)
    assert most >= 0.8 * MODELS
    assert alarms(windows, 0.0, shift) >= 0.8 * most


@pytest.mark.slow
def test_one_column_that_wanders_does_not_hide_another():
    assert alarms(12, 0.15, shift=0.3, moved=2) >= 0.9 * MODELS


def test_columns_that_move_together_count_as_one():
    rng = np.random.default_rng(0)

    def spreads(deviations):
        centred = deviations - deviations.mean(axis=1, keepdims=True)
        return [Spread(1, 9, 1, 1, np.outer(each, each)) for each in centred]

    apart = independent(spreads(rng.normal(size=(40, 9))))
    together = independent(spreads(rng.choice([-1, 1], (40, 1)) * rng.normal(size=(1, 9))))
    assert 20 < apart <= 40
    assert together == pytest.approx(1)
