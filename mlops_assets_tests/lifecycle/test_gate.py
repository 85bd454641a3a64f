"""The paired tests against scipy and statsmodels, in simulation, and the verdicts they lead to."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestPower

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.gate import TESTS, Paired, decide
from mlops_assets.lifecycle.gate.base import Interval
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.reports import MetricEstimate
from mlops_assets.lifecycle.spec import GatePolicy

ALPHA = 0.05
MAE = METRICS["mean_absolute_error"]
PAIRED_T, BOOTSTRAP = TESTS["paired_t"], TESTS["cluster_bootstrap"]


def errors(ours, theirs, units=None) -> Paired:
    """Rows of which the challenger misses the truth by ``ours`` and the rival by ``theirs``."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    rows = np.arange(len(ours))
    return Paired(np.zeros(len(ours)), ours, theirs, rows if units is None else units)


def forecasts(rng, units=60, rows=1, gain=0.0) -> Paired:
    """Two noisy forecasts; rows of a unit share their noise, ``gain`` makes the rival worse."""
    unit = np.repeat(np.arange(units), rows)
    ours, theirs = (
        np.abs(rng.normal(size=units)[unit] + 0.5 * rng.normal(size=len(unit))) for _ in range(2)
    )
    return errors(ours, theirs + gain, unit)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# --- the paired t-test ----------------------------------------------------------------------


def test_with_one_row_a_unit_it_is_the_textbook_paired_t_test(rng):
    pair = forecasts(rng)
    found = PAIRED_T.gain(MAE, pair, ALPHA)
    textbook = stats.ttest_rel(pair.rival, pair.challenger, alternative="greater")
    assert found.p_value == pytest.approx(textbook.pvalue)
    assert found.low == pytest.approx(textbook.confidence_interval(1 - ALPHA).low)
    other = stats.ttest_rel(pair.rival, pair.challenger, alternative="less")
    assert found.high == pytest.approx(other.confidence_interval(1 - ALPHA).high)
    assert found.estimate == pytest.approx((pair.rival - pair.challenger).mean())
    assert found.spread == pytest.approx((pair.rival - pair.challenger).std(ddof=1))


def test_with_equal_clusters_it_is_the_t_test_on_their_means(rng):
    pair = forecasts(rng, units=40, rows=7)
    means = (pair.rival - pair.challenger).reshape(40, 7).mean(axis=1)
    textbook = stats.ttest_1samp(means, 0, alternative="greater")
    found = PAIRED_T.gain(MAE, pair, ALPHA)
    assert found.p_value == pytest.approx(textbook.pvalue)
    assert found.low == pytest.approx(textbook.confidence_interval(1 - ALPHA).low)
    assert found.units == 40


def test_with_unequal_clusters_it_is_statsmodels_cluster_robust_regression(rng):
    units = rng.integers(0, 30, 400)
    difference = rng.normal(size=30)[units] + rng.normal(size=400) + 0.2
    found = PAIRED_T.gain(MAE, errors(np.full(400, 9.0), 9 + difference, units), ALPHA)
    model = sm.OLS(difference, np.ones(400)).fit(
        cov_type="cluster", cov_kwds={"groups": units, "use_correction": False}
    )
    # statsmodels' own correction has another factor, (C / (C - 1)) * (n - 1) / (n - k).
    error = model.bse[0] * math.sqrt(30 / 29)
    assert found.estimate == pytest.approx(model.params[0])
    assert found.low == pytest.approx(model.params[0] - stats.t.ppf(1 - ALPHA, 29) * error)
    assert found.high == pytest.approx(model.params[0] + stats.t.ppf(1 - ALPHA, 29) * error)


def test_the_names_and_order_of_units_do_not_matter(rng):
    pair = forecasts(rng, units=30, rows=4)
    shuffled = rng.permutation(len(pair.truth))
    names = np.array([f"customer {u * 7 % 30}" for u in pair.units])
    other = errors(pair.challenger[shuffled], pair.rival[shuffled], names[shuffled])
    expected = PAIRED_T.gain(MAE, pair, ALPHA)
    found = PAIRED_T.gain(MAE, other, ALPHA)
    assert found.low == pytest.approx(expected.low)
    assert found.units == expected.units


def test_the_level_of_one_model_is_a_t_interval(rng):
    pair = forecasts(rng)
    found = PAIRED_T.level(MAE, pair.truth, pair.challenger, pair.units, ALPHA / 2)
    textbook = stats.ttest_1samp(pair.challenger, 0).confidence_interval(1 - ALPHA)
    assert (found.low, found.high) == pytest.approx((textbook.low, textbook.high))


# --- the bootstrap --------------------------------------------------------------------------


def test_it_agrees_with_scipys_bootstrap_over_units(rng):
    pair = forecasts(rng, units=400, rows=3, gain=0.1)
    found = BOOTSTRAP.gain(METRICS["mean_squared_error"], pair, ALPHA)

    def mse_gain(unit):
        rows = (unit[:, None] * 3 + np.arange(3)).ravel()
        return np.mean(pair.rival[rows] ** 2) - np.mean(pair.challenger[rows] ** 2)

    oracle = stats.bootstrap(
        (np.arange(400),),
        mse_gain,
        vectorized=False,
        method="percentile",
        n_resamples=4000,
        confidence_level=1 - 2 * ALPHA,
        rng=np.random.default_rng(5),
    )
    width = oracle.confidence_interval.high - oracle.confidence_interval.low
    assert found.low == pytest.approx(oracle.confidence_interval.low, abs=0.05 * width)
    assert found.high == pytest.approx(oracle.confidence_interval.high, abs=0.05 * width)
    assert found.spread / 20 == pytest.approx(oracle.standard_error, rel=0.05)


def test_it_agrees_with_scipys_bootstrap_of_average_precision(rng):
    truth = (rng.random(500) < 0.2).astype(int)
    ours, theirs = truth + rng.normal(size=500), truth + 2 * rng.normal(size=500)
    metric = METRICS["average_precision"]
    found = BOOTSTRAP.gain(metric, Paired(truth, ours, theirs, np.arange(500)), ALPHA)
    oracle = stats.bootstrap(
        (truth, ours, theirs),
        lambda t, a, b: metric.value(t, a) - metric.value(t, b),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        confidence_level=1 - 2 * ALPHA,
        rng=np.random.default_rng(5),
    )
    assert found.low == pytest.approx(oracle.confidence_interval.low, abs=0.01)
    assert found.high == pytest.approx(oracle.confidence_interval.high, abs=0.01)


def test_its_bounds_hold_the_truth_as_often_as_they_say(rng, monkeypatch):
    monkeypatch.setattr("mlops_assets.lifecycle.gate.cluster_bootstrap.DRAWS", 400)
    found = [BOOTSTRAP.gain(MAE, forecasts(rng, 40, 5, gain=0.3), ALPHA) for _ in range(300)]
    above = np.mean([i.low > 0.3 for i in found])
    below = np.mean([i.high < 0.3 for i in found])
    limit = stats.binom.ppf(0.999, 300, ALPHA) / 300
    assert above <= limit
    assert below <= limit
    assert np.mean([i.low < 0.3 < i.high for i in found]) <= 0.97, "wider than it has to be"


def test_the_same_rows_give_the_same_interval(rng):
    pair = forecasts(rng)
    assert BOOTSTRAP.gain(MAE, pair, ALPHA) == BOOTSTRAP.gain(MAE, pair, ALPHA)


def test_memory_is_cut_in_blocks_without_changing_the_interval(rng, monkeypatch):
    pair = forecasts(rng)
    whole = BOOTSTRAP.gain(MAE, pair, ALPHA)
    monkeypatch.setattr("mlops_assets.lifecycle.gate.cluster_bootstrap.CELLS_AT_ONCE", 60 * 7)
    blocked = BOOTSTRAP.gain(MAE, pair, ALPHA)
    assert (blocked.low, blocked.high) == pytest.approx((whole.low, whole.high))


def test_the_bootstrap_agrees_with_the_t_test_on_a_mean(rng):
    pair = forecasts(rng, units=300, rows=2)
    by_t, by_draws = PAIRED_T.gain(MAE, pair, ALPHA), BOOTSTRAP.gain(MAE, pair, ALPHA)
    assert by_draws.low == pytest.approx(by_t.low, abs=0.1 * (by_t.high - by_t.low))
    assert by_draws.high == pytest.approx(by_t.high, abs=0.1 * (by_t.high - by_t.low))


@pytest.mark.parametrize("positives", [1, 2])
def test_a_handful_of_positives_proves_nothing(positives):
    truth = np.zeros(500, int)
    truth[:positives] = 1
    rng = np.random.default_rng(0)
    ours, theirs = truth + 0.5 * rng.random(500), rng.random(500) * (1 - truth)
    pair = Paired(truth, ours, theirs, np.arange(500))
    found = BOOTSTRAP.gain(METRICS["average_precision"], pair, ALPHA)
    assert found.estimate > 0.5
    assert found.low <= 0
    assert found.p_value > ALPHA


# --- both, in simulation --------------------------------------------------------------------


def better(test, pairs) -> float:
    return float(np.mean([test.gain(MAE, pair, ALPHA).low > 0 for pair in pairs]))


@pytest.mark.parametrize("rows", [1, 10])
@pytest.mark.parametrize("test", [PAIRED_T, BOOTSTRAP], ids=lambda t: t.name)
def test_equal_models_are_called_better_no_more_often_than_alpha(rng, monkeypatch, test, rows):
    monkeypatch.setattr("mlops_assets.lifecycle.gate.cluster_bootstrap.DRAWS", 400)
    share = better(test, (forecasts(rng, 50, rows) for _ in range(400)))
    assert share <= stats.binom.ppf(0.999, 400, ALPHA) / 400


def test_rows_taken_for_units_would_be_fooled(rng):
    """The simulation has teeth: without units, equal models are often called better."""
    pairs = (forecasts(rng, 50, 10) for _ in range(200))
    share = better(PAIRED_T, (errors(p.challenger, p.rival) for p in pairs))
    assert share > 0.15


@pytest.mark.parametrize("test", [PAIRED_T, BOOTSTRAP], ids=lambda t: t.name)
def test_a_gain_of_three_standard_errors_is_found(rng, monkeypatch, test):
    monkeypatch.setattr("mlops_assets.lifecycle.gate.cluster_bootstrap.DRAWS", 400)
    spread = np.mean([PAIRED_T.gain(MAE, forecasts(rng, 50, 5), ALPHA).spread for _ in range(50)])
    gain = 3 * spread / math.sqrt(50)
    assert better(test, (forecasts(rng, 50, 5, gain) for _ in range(300))) >= 0.8


# --- degenerate evidence --------------------------------------------------------------------


@pytest.mark.parametrize("test", [PAIRED_T, BOOTSTRAP], ids=lambda t: t.name)
@pytest.mark.parametrize("units", [1, 2, 4])
def test_a_few_units_decide_nothing_however_clear_they_look(test, units):
    unit = np.arange(100) % units
    found = test.gain(MAE, errors(np.zeros(100), np.ones(100) + 0.01 * unit, unit), ALPHA)
    assert found.estimate >= 1
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.p_value == 1
    assert verdict(found) == "not_enough_evidence"


@pytest.mark.parametrize("test", [PAIRED_T, BOOTSTRAP], ids=lambda t: t.name)
def test_a_constant_gain_on_enough_units_is_better(test):
    found = test.gain(MAE, errors(np.zeros(20), np.ones(20)), ALPHA)
    assert (found.estimate, found.low, found.high) == (1, 1, 1)
    assert found.p_value < 0.001
    assert verdict(found) == "better"


@pytest.mark.parametrize("test", [PAIRED_T, BOOTSTRAP], ids=lambda t: t.name)
def test_a_model_against_itself_is_not_better(test, rng):
    same = rng.normal(size=50)
    found = test.gain(MAE, errors(same, same), ALPHA)
    assert found.p_value == 1
    assert verdict(found) == "non_inferior"
    assert verdict(found, margin=0) == "not_enough_evidence"


@pytest.mark.parametrize("test", [PAIRED_T, BOOTSTRAP], ids=lambda t: t.name)
def test_nothing_is_decided_on_nan(test):
    found = test.gain(MAE, errors([math.nan] + [0] * 19, np.ones(20)), ALPHA)
    with pytest.raises(EvidenceError, match="gain in mean_absolute_error against v1 is nan"):
        verdict(found)


def test_a_deviance_that_is_no_number_can_not_win():
    truth, rival = np.zeros(50), np.full(50, 0.1)
    pair = Paired(truth, np.full(50, -5.0), rival, np.arange(50))
    found = PAIRED_T.gain(METRICS["mean_poisson_deviance"], pair, ALPHA)
    with pytest.raises(EvidenceError, match="nan"):
        decide.compare(policy(), "paired_t", "v1", found)


# --- sample sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_the_units_needed_are_those_of_statsmodels(effect, alpha):
    needed = decide.units_needed(2.0, 2.0 * effect, alpha)
    by_t = TTestPower().solve_power(effect, power=0.8, alpha=alpha, alternative="larger")
    # ratio=0 is its one-sample test.
    by_z = NormalIndPower().solve_power(
        effect, power=0.8, alpha=alpha, ratio=0, alternative="larger"
    )
    assert needed == math.ceil(by_z)
    assert abs(needed - by_t) <= 4


@pytest.mark.parametrize(
    ("spread", "difference"), [(math.inf, 1.0), (math.nan, 1.0), (1.0, 0.0), (0.0, 1.0)]
)
def test_where_no_number_of_units_can_be_told_it_is_zero(spread, difference):
    assert decide.units_needed(spread, difference, 0.05) == 0


def test_the_units_needed_suffice(rng):
    needed = decide.units_needed(1.0, 0.3, ALPHA)
    rows = rng.normal(0.3, 1, size=(500, needed))
    found = better(PAIRED_T, (errors(np.full(needed, 9.0), 9 + r) for r in rows))
    assert found == pytest.approx(0.8, abs=0.06)


# --- verdicts -------------------------------------------------------------------------------


def policy(**changes) -> GatePolicy:
    declared = {"metric": "mean_absolute_error", "margin": 0.1, "alpha": ALPHA} | changes
    return GatePolicy.model_validate(declared)


def interval(low, high, units=100) -> Interval:
    return Interval((low + high) / 2, low, high, 1.0, units, 0.5)


def verdict(gain: Interval, margin=0.1) -> str:
    return decide.against(decide.compare(policy(margin=margin), "t", "v1", gain))[0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.2, "better"),
        (0.0, 0.2, "non_inferior"),
        (-0.09, 0.2, "non_inferior"),
        (-0.09, -0.01, "non_inferior"),
        (-0.1, 0.2, "not_enough_evidence"),
        (-0.3, 0.2, "not_enough_evidence"),
        (-0.3, 0.0, "not_enough_evidence"),
        (-0.3, -0.01, "worse"),
    ],
)
def test_an_interval_leads_to_one_verdict(low, high, expected):
    assert verdict(interval(low, high)) == expected


def test_bounds_that_are_no_numbers_decide_nothing():
    assert verdict(Interval(0.5, math.nan, math.nan, math.nan, 9, 0.5)) == "not_enough_evidence"


def words(units) -> str:
    compared = decide.compare(policy(), "t", "v1", interval(-0.3, 0.2, units))
    return decide.against(compared)[1]


def test_not_enough_evidence_says_how_many_units_would_do():
    assert "about 619 units would decide (power 80%)" in words(units=100)


def test_it_does_not_ask_for_fewer_units_than_there_were():
    assert "more units would decide" in words(units=700)


def test_without_a_margin_the_gain_itself_sizes_the_sample():
    found = decide.compare(policy(margin=0), "t", "v1", interval(-0.3, 0.5))
    assert found.units_needed == decide.units_needed(1.0, 0.1, ALPHA)


# --- first models and floors ----------------------------------------------------------------

BASELINE = {"class": "sklearn.dummy.DummyRegressor"}


def against_baseline(low, high, **changes) -> str:
    declared = policy(baseline=BASELINE, **changes)
    compared = decide.compare(declared, "t", "the baseline", interval(low, high))
    return decide.first(declared, compared)[0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.2, "first_model"),
        (0.0, 0.2, "not_enough_evidence"),
        (-0.05, 0.2, "not_enough_evidence"),
        (-0.5, 0.2, "not_enough_evidence"),
        (-0.05, -0.01, "below_floor"),
        (-0.5, -0.2, "below_floor"),
        (-0.5, 0.0, "below_floor"),
    ],
)
def test_a_first_model_must_be_better_than_the_baseline(low, high, expected):
    assert against_baseline(low, high) == expected


def test_a_first_model_with_nothing_to_be_judged_by_is_below_the_floor():
    found, why = decide.first(policy(), None)
    assert found == "below_floor"
    assert "gate.floor or gate.baseline" in why


def test_a_declared_baseline_that_was_not_compared_with_is_missing_evidence():
    declared = policy(baseline=BASELINE, floor={"mean_absolute_error": 5})
    with pytest.raises(EvidenceError, match="not compared"):
        decide.first(declared, None)


def test_reaching_the_floor_is_enough_for_a_first_model():
    assert decide.first(policy(floor={"mean_absolute_error": 5}), None)[0] == "first_model"


def missed(metric, value, floor) -> str | None:
    estimate = MetricEstimate(metric=metric, value=value, low=value, high=value)
    return decide.missed_floor(estimate, floor)


def test_a_floor_is_a_least_value_or_for_errors_a_greatest():
    assert missed("roc_auc", 0.7, 0.8) == "roc_auc 0.7 misses its floor 0.8"
    assert missed("roc_auc", 0.8, 0.8) is None
    assert missed("mean_absolute_error", 0.9, 0.8) == "mean_absolute_error 0.9 misses its floor 0.8"
    assert missed("mean_absolute_error", 0.7, 0.8) is None


@pytest.mark.parametrize("metric", ["roc_auc", "mean_absolute_error"])
def test_nan_reaches_no_floor(metric):
    assert missed(metric, math.nan, 0.0)
    assert missed(metric, math.nan, -math.inf)
