"""What a performance report says beside its verdict: calibration, discrimination, KPIs."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlops_assets.lifecycle.decay.calibration import calibration
from mlops_assets.lifecycle.decay.discrimination import discrimination
from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.decay.reliability import reliability
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.tasks import Answered
from mlops_assets_tests.lifecycle.test_performance import frame, judged, spec

BINARY = spec("binary_classification", "log_loss")
SEVERAL = spec("multiclass_classification", "log_loss")
AMOUNTS = spec("regression", "mean_squared_error")
COUNTS = spec("count_regression", "mean_poisson_deviance", weight="exposure")
RANKED = spec("ranking", "ndcg_at_10", target=None, unit="u", item="i", key=[])


def answers(said):
    if said.ndim > 1:
        return [{"prediction": int(p.argmax()), "scores": p.tolist()} for p in said]
    return [{"prediction": float(p), "score": float(p)} for p in said]


def rows(truth, said, weights=None, units=None) -> Answered:
    weights = np.ones(len(truth)) if weights is None else weights
    return Answered(truth, answers(said), weights, units)


def binary(size=3000, seed=0, shift=0.0, slope=1.0, skill=1.5):
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1, skill, size)
    truth = (rng.random(size) < 1 / (1 + np.exp(-(shift + slope * logit)))).astype(int)
    return truth, 1 / (1 + np.exp(-logit))


# The two intervals share monitoring.decay.false_alarms, which is 0.01 unless declared.
LEVEL = 0.005
REACH = stats.norm.isf(LEVEL / 2)

# --- calibration ----------------------------------------------------------------------------


def test_slope_is_that_of_a_logistic_regression_on_the_logit():
    truth, said = binary(slope=0.6)
    found, _ = calibration(BINARY, rows(truth, said))
    logit = sm.add_constant(np.log(said / (1 - said)))
    fit = sm.Logit(truth, logit).fit(disp=0, cov_type="HC0")
    assert found.slope == pytest.approx(fit.params[1])
    assert found.slope_high - found.slope_low == pytest.approx(2 * REACH * fit.bse[1], rel=0.01)
    assert found.slope_high < 1
    assert found.off


def test_ratio_is_observed_over_expected():
    truth, said = binary(shift=0.5)
    found, _ = calibration(BINARY, rows(truth, said), rows(*binary(seed=9)))
    assert found.ratio == pytest.approx(truth.mean() / said.mean())
    reach = stats.ttest_1samp(truth - said, 0).confidence_interval(1 - LEVEL)
    assert found.low == pytest.approx(1 + reach.low / said.mean())
    assert found.high == pytest.approx(1 + reach.high / said.mean())
    assert found.off
    assert found.moved
    assert found.hold_out_ratio == pytest.approx(1, abs=0.1)


def test_what_was_off_on_the_hold_out_already_has_not_moved():
    found, _ = calibration(BINARY, rows(*binary(shift=0.5)), rows(*binary(seed=9, shift=0.5)))
    assert found.off
    assert not found.moved


def test_counts_are_by_exposure_and_by_unit():
    rng = np.random.default_rng(1)
    rate, exposure = rng.gamma(2, 0.1, 4000), rng.uniform(0.1, 1, 4000)
    units = np.array([f"p{u}" for u in rng.integers(0, 800, 4000)])
    truth = rng.poisson(1.2 * rate * exposure) / exposure
    found, _ = calibration(COUNTS, rows(truth, rate, exposure, units))
    assert found.ratio == pytest.approx(METRICS["a_over_e"].value(truth, rate, exposure))
    assert found.low < 1.2 < found.high
    asked = sm.add_constant(np.log(rate))
    fit = sm.GLM(truth, asked, family=sm.families.Poisson(), var_weights=exposure).fit()
    score = (exposure * (truth - fit.fittedvalues))[:, None] * asked
    bread = np.linalg.inv(asked.T @ (asked * (exposure * fit.fittedvalues)[:, None]))
    by_unit = pd.DataFrame(score).groupby(units).sum().to_numpy()
    size = len(by_unit)
    meat = by_unit.T @ by_unit * size / (size - 1) * 3999 / 3998
    reach = stats.t.ppf(1 - LEVEL / 2, size - 1) * np.sqrt((bread @ meat @ bread)[1, 1])
    assert found.slope == pytest.approx(fit.params[1])
    assert found.slope_high - found.slope == pytest.approx(reach, rel=1e-4)


def test_regression_around_zero():
    rng = np.random.default_rng(0)
    said = rng.normal(size=2000)
    truth = 0.5 * said + rng.normal(size=2000)
    found, _ = calibration(AMOUNTS, rows(truth, said))
    fit = stats.linregress(said, truth)
    assert found.slope == pytest.approx(fit.slope)
    assert found.low < 1 < found.high, "a mean near 0 tells nothing of a ratio"
    assert found.off, "the slope does"


def test_several_classes_are_calibrated_by_the_most_probable_one():
    rng = np.random.default_rng(0)
    said = rng.dirichlet([0.5] * 3, 3000)
    truth = (rng.random((3000, 1)) > np.cumsum(said, axis=1)).sum(axis=1)
    found, _ = calibration(SEVERAL, rows(truth, said))
    assert found.expected == pytest.approx(said.max(axis=1).mean())
    assert found.observed == pytest.approx((said.argmax(axis=1) == truth).mean())
    assert not found.off


def test_right_answers_are_off_as_often_as_the_level_says():
    off = sum(calibration(BINARY, rows(*binary(400, seed)))[0].off for seed in range(100))
    # Two intervals of 99.5 %; more than 5 of 100 at 1 % have a probability of 0.0005.
    assert off <= 5


def test_a_slope_of_the_training_has_not_moved():
    before, after = binary(seed=9, slope=0.6), binary(slope=0.6)
    found, _ = calibration(BINARY, rows(*after), rows(*before))
    assert found.off
    assert found.slope_moved is False
    assert found.hold_out_slope == pytest.approx(0.6, abs=0.1)
    moved, _ = calibration(BINARY, rows(*after), rows(*binary(seed=9)))
    assert moved.slope_moved is True


@pytest.mark.parametrize(
    ("truth", "said", "units"),
    [
        ([0, 1] * 50, [0.1, 0.9] * 50, None),  # the answers separate the labels
        ([0, 1] * 50, [0.5] * 100, None),  # and do not vary
        ([0, 1] * 50, [0.0, 1.0] * 50, None),
    ],
)
def test_a_slope_that_can_not_be_told_is_none(truth, said, units):
    found, _ = calibration(BINARY, rows(np.array(truth), np.array(said), units=units))
    assert found.slope is None
    assert found.ratio == pytest.approx(1)


def test_a_level_that_can_not_be_told_is_none():
    truth, said = binary(100)
    one = np.array(["u"] * 100)
    assert calibration(BINARY, rows(truth, said, units=one))[0] is None
    nought = calibration(AMOUNTS, rows(truth - 0.5, said * 0))
    assert nought[0] is None
    assert nought[1].endswith("100 labels of 100 units, mean answer 0")
    assert calibration(RANKED, rows(truth, said))[1] == "task ranking: a list of items has no level"


# --- reliability ----------------------------------------------------------------------------


def test_reliability_is_hosmer_and_lemeshows():
    truth, said = binary(2000, skill=1.0)
    found = reliability(truth, said, np.arange(2000), np.ones(2000))
    group = np.searchsorted(np.quantile(said, np.arange(1, 10) / 10), said, side="right")
    observed, expected = (np.bincount(group, x) for x in (truth, said))
    variance = np.bincount(group, said * (1 - said))
    chi2 = ((observed - expected) ** 2 / variance).sum()
    assert found.groups == 10
    assert found.p_value == pytest.approx(stats.chi2.sf(chi2, 10))
    assert found.error == pytest.approx(abs(observed - expected).sum() / 2000)


@pytest.mark.parametrize("rows_a_unit", [1, 8])
def test_reliability_keeps_its_level_and_finds_what_is_off(rows_a_unit):
    size, alarms, hits = 1600, 0, 0
    units = np.arange(size) // rows_a_unit
    for seed in range(150):
        rng = np.random.default_rng(seed)
        said = rng.beta(2, 5, size)
        # Rows of a unit share their luck, and still each happens as often as was said.
        luck = stats.norm.cdf(
            0.7**0.5 * rng.normal(size=size)[units] + 0.3**0.5 * rng.normal(size=size)
        )
        alarms += reliability(luck < said, said, units, np.ones(size)).p_value < 0.05
        hits += reliability(luck < said**1.3, said, units, np.ones(size)).p_value < 0.05
    # 16 or more of 150 at 5 % have a probability of 0.004.
    assert alarms <= 15
    assert hits >= 135


def test_too_little_to_tell_reliability():
    truth, said = binary(199)
    assert reliability(truth, said, np.arange(199), np.ones(199)) is None
    assert reliability(np.zeros(500), np.full(500, 1e-3), np.arange(500), np.ones(500)) is None
    few = reliability(np.zeros(500), np.full(500, 0.02), np.arange(500), np.ones(500))
    assert few.groups == 1


# --- discrimination -------------------------------------------------------------------------


def test_binary_is_the_area_and_tested_against_the_hold_outs():
    truth, said = binary()
    found, _ = discrimination(BINARY, rows(truth, said), HoldOut(rows=rows(*binary(seed=1))))
    assert found.realised.metric == "roc_auc"
    assert found.realised.value == pytest.approx(roc_auc_score(truth, said))
    assert found.hold_out.value == pytest.approx(roc_auc_score(*binary(seed=1)))
    assert not found.lost
    worse = rows(*binary(slope=0.4))
    found, _ = discrimination(BINARY, worse, HoldOut(rows=rows(*binary(seed=1))))
    assert found.lost
    assert found.p_value < 0.01


def test_several_classes_are_each_against_the_rest():
    rng = np.random.default_rng(0)
    said = rng.dirichlet([0.7] * 4, 600)
    truth = (rng.random((600, 1)) > np.cumsum(said, axis=1)).sum(axis=1)
    found, _ = discrimination(SEVERAL, rows(truth, said), HoldOut(rows=rows(truth, said)))
    expected = roc_auc_score(truth, said, multi_class="ovr")
    assert found.realised.value == pytest.approx(expected)
    assert found.realised.low < expected < found.realised.high
    wide = rng.dirichlet([1] * 21, 50)
    found, words = discrimination(SEVERAL, rows(truth[:50], wide), HoldOut())
    assert (found, words) == (None, "21 classes are more than 20")


def test_regression_is_the_correlation():
    rng = np.random.default_rng(0)
    said, noise = rng.normal(size=(2, 500))
    weights = rng.integers(1, 4, 500)
    found, _ = discrimination(AMOUNTS, rows(said + noise, said, weights * 1.0), HoldOut())
    often = np.repeat(np.arange(500), weights)
    expected = np.corrcoef((said + noise)[often], said[often])[0, 1]
    assert found.realised.value == pytest.approx(expected)
    assert found.hold_out is None
    assert not found.lost


def test_counts_have_their_gini():
    rng = np.random.default_rng(0)
    rate = rng.gamma(1, 1, 1000)
    truth = rng.poisson(rate)
    found, _ = discrimination(COUNTS, rows(truth, rate), HoldOut())
    assert found.realised.metric == "gini"
    assert found.realised.value == pytest.approx(METRICS["gini"].value(truth, rate))


def test_a_wrong_level_is_told_from_a_lost_order():
    """What tells "recalibrate" from "refit"."""
    before = HoldOut(rows=rows(*binary(seed=1)))
    level = judged(_live(*binary(shift=1.2)), before, BINARY)
    assert level.verdict == "decayed"
    assert level.calibration.off
    assert level.calibration.moved
    assert not level.discrimination.lost
    order = judged(_live(*binary(slope=0.2)), before, BINARY)
    assert order.verdict == "decayed"
    assert order.discrimination.lost


def _live(truth, said, **columns):
    return frame(truth + 0.0, answers(said)).assign(**columns)


# --- KPIs -----------------------------------------------------------------------------------


def with_kpis(declared, **kpis):
    """The declaration with KPIs in its gate."""
    fields = json.loads(declared.model_dump_json(by_alias=True, exclude_unset=True))
    fields["gate"]["kpi"] = kpis
    fields["columns"]["kpi"] = "amount"
    return type(declared).model_validate(fields)


def test_declared_kpis_are_realised():
    truth, said = binary()
    amount = np.random.default_rng(0).exponential(50, len(truth))
    declared = with_kpis(
        BINARY,
        blocked_value_at_budget={"alerts_per_day": 50},
        false_positives_per_true_positive={"alerts_per_day": 50},
    )
    report = judged(_live(truth, said, amount=amount), 0.5, declared)
    value, ratio = report.kpis
    top = np.argsort(-said, kind="stable")[:50]
    assert value.metric == "blocked_value_at_budget"
    assert value.value == pytest.approx((amount * truth)[top].sum())
    assert value.low < value.value < value.high
    assert ratio.value == pytest.approx((1 - truth[top]).sum() / truth[top].sum())
    bare = judged(_live(truth, said), 0.5, declared)
    assert [e.metric for e in bare.kpis] == ["false_positives_per_true_positive"]
    words = "amount is not in the prediction log: it is no feature"
    assert bare.missing["blocked_value_at_budget"] == words


def test_actual_over_expected_is_by_exposure():
    rng = np.random.default_rng(0)
    rate, exposure = rng.gamma(2, 0.1, 2000), rng.uniform(0.1, 1, 2000)
    counts = rng.poisson(rate * exposure)
    declared = with_kpis(COUNTS, a_over_e={"limits": [0.9, 1.1]})
    report = judged(_live(counts, rate, exposure=exposure), 0.5, declared)
    assert report.kpis[0].value == pytest.approx(counts.sum() / (rate * exposure).sum())
    assert report.calibration.ratio == pytest.approx(report.kpis[0].value)
