"""How often the test of decay is wrong, and how often it finds what is there: by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from mlops_assets.lifecycle.decay.hold_out import Promise
from mlops_assets.lifecycle.decay.loss import loss
from mlops_assets.lifecycle.evaluation import estimate
from mlops_assets.lifecycle.gate import default_test
from mlops_assets.lifecycle.metrics import METRICS

ALPHA = 0.05  # of the intervals


def right_or_wrong(rng, size, worse):
    """Accuracy 0.8 less ``worse``, each row its own unit."""
    truth = rng.integers(0, 2, size)
    right = rng.random(size) < 0.8 - worse
    return truth, np.where(right, truth, 1 - truth) * 0.9 + 0.05, np.arange(size)


def ranked(rng, size, worse):
    """Two classes whose scores lie so far apart that the area is 0.8 less ``worse``."""
    truth = (rng.random(size) < 0.2).astype(int)
    apart = math.sqrt(2) * stats.norm.ppf(0.8 - worse)
    return truth, rng.normal(apart * truth), np.arange(size)


def by_customer(rng, size, worse):
    """Absolute errors of mean 1 and more, ten rows a customer who is easy or hard."""
    units = np.arange(size) // 10
    error = rng.gamma(2, 0.5, size // 10)[units] * rng.exponential(1, size) + worse
    return np.zeros(size), error, units


WORLDS = {
    "accuracy": right_or_wrong,
    "roc_auc": ranked,
    "mean_absolute_error": by_customer,
}


def level(metric, rows):
    return default_test(METRICS[metric]).level(METRICS[metric], *rows, ALPHA / 2)


def promise(metric, rows) -> Promise:
    return Promise(estimate(metric, *rows, ALPHA), len(set(rows[2])))


def p_values(metric, worse, drop, times, sizes=(600, 900), seed=0):
    rng = np.random.default_rng(seed)
    world = WORLDS[metric]
    found = []
    for _ in range(times):
        live, before = world(rng, sizes[0], worse), world(rng, sizes[1], 0.0)
        tested = loss(METRICS[metric], level(metric, live), promise(metric, before), drop, ALPHA)
        found.append(tested.p_value)
    return np.array(found)


@pytest.mark.parametrize("metric", list(WORLDS))
def test_a_model_worse_by_just_the_drop_alarms_as_often_as_declared(metric):
    p = p_values(metric, worse=0.03, drop=0.03, times=500)
    # Binomial bounds of 500 reports, each passed with probability above 0.999.
    assert (p < 0.05).sum() <= stats.binom.ppf(0.999, 500, 0.055)
    assert (p < 0.05).sum() >= stats.binom.ppf(0.001, 500, 0.04)
    assert (p < 0.01).sum() <= stats.binom.ppf(0.999, 500, 0.012)


@pytest.mark.parametrize("metric", list(WORLDS))
def test_a_model_that_is_as_it_was_hardly_ever_alarms(metric):
    drop = 0.1 if metric == "mean_absolute_error" else 0.03
    p = p_values(metric, worse=0.0, drop=drop, times=300, seed=1)
    assert (p < 0.01).mean() <= 0.01


def test_power_is_what_two_samples_of_that_size_can_have():
    p = p_values("accuracy", worse=0.12, drop=0.03, times=300, seed=2)
    error = math.sqrt(0.68 * 0.32 / 600 + 0.8 * 0.2 / 900)
    expected = stats.norm.sf(stats.norm.ppf(0.99) - 0.09 / error)
    assert expected == pytest.approx(0.93, abs=0.02)
    assert (p < 0.01).mean() == pytest.approx(expected, abs=0.05)


def test_a_hold_out_taken_for_exact_would_alarm_too_often():
    """The interval of the window alone, held against the hold-out's value."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(400):
        live, before = (right_or_wrong(rng, size, 0.0) for size in (2000, 400))
        alarms += level("accuracy", live).high < promise("accuracy", before).estimate.value
    assert alarms / 400 > 0.15, "where 0.025 was meant"
    p = p_values("accuracy", worse=0.0, drop=0.0, times=400, sizes=(2000, 400), seed=3)
    assert (p < 0.025).sum() <= stats.binom.ppf(0.999, 400, 0.03)


def test_a_year_of_windows_against_one_hold_out():
    """The level is each report's; one unlucky hold-out is in all 52 of them."""
    rng = np.random.default_rng(4)
    reports = years = 0
    for _ in range(60):
        before = promise("accuracy", right_or_wrong(rng, 900, 0.0))
        found = [
            loss(METRICS["accuracy"], level("accuracy", live), before, 0.03, ALPHA).p_value
            for live in (right_or_wrong(rng, 600, 0.03) for _ in range(52))
        ]
        alarms = (np.array(found) < 0.01).sum()
        reports, years = reports + alarms, years + (alarms > 0)
    assert reports / (60 * 52) == pytest.approx(0.01, abs=0.008)
    # Fewer than 1 - 0.99**52 = 41 %, as they come together.
    assert years / 60 < 0.41
