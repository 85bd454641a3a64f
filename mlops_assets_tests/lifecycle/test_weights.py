"""Weights and exposures: in training, in every metric, in the tests, and on live answers."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.lifecycle import training
from mlops_assets.lifecycle.decay.hold_out import HoldOut
from mlops_assets.lifecycle.decay.performance import performance
from mlops_assets.lifecycle.errors import DeclarationError, EvidenceError
from mlops_assets.lifecycle.evaluation import Candidate, evaluate
from mlops_assets.lifecycle.fingerprint import row_hashes
from mlops_assets.lifecycle.gate import TESTS, Paired
from mlops_assets.lifecycle.label_join import join_labels
from mlops_assets.lifecycle.live import live_predictions
from mlops_assets.lifecycle.metrics import METRICS
from mlops_assets.lifecycle.prediction_log import Record
from mlops_assets.lifecycle.registry import Version
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets_tests.harness import weekly

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ALPHA = 0.05


def claims_spec(**changes) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "claims",
            "task": "count_regression",
            "cadence": "none",
            "source": {"type": "csv", "path": "policies.csv"},
            "columns": {"target": "claims", "weight": "years", "key": ["policy"]},
            "estimator": {"class": "sklearn.linear_model.PoissonRegressor"},
            "training": {"hold_out": 0.3},
            "gate": {
                "metric": "mean_poisson_deviance",
                "margin": 0.01,
                "floor": {"mean_poisson_deviance": 9},
            },
        }
        | changes
    )


def policies(rows=2000, seed=0) -> pd.DataFrame:
    """A year of motor policies: claims are Poisson(years * exp(-2 + risk))."""
    rng = np.random.default_rng(seed)
    years, risk = rng.uniform(0.05, 1, rows), rng.normal(size=rows)
    return pd.DataFrame(
        {
            "policy": [f"P{i}" for i in range(rows)],
            "years": years,
            "risk": risk,
            "claims": rng.poisson(years * np.exp(-2 + risk)),
        }
    )


def test_a_count_model_is_fitted_on_frequencies_weighted_by_exposure():
    frame = policies()
    fitted = training.fit(claims_spec(), frame)
    oracle = PoissonRegressor().fit(
        frame[["risk"]], frame["claims"] / frame["years"], sample_weight=frame["years"]
    )
    assert list(fitted.feature_names_in_) == ["risk"]
    assert fitted.coef_[0] == oracle.coef_[0]
    assert fitted.intercept_ == oracle.intercept_


def test_that_is_the_likelihood_of_the_counts_with_an_offset():
    frame = policies()
    declared = {"class": "sklearn.linear_model.PoissonRegressor", "params": {"alpha": 0}}
    fitted = training.fit(claims_spec(estimator=declared), frame)
    glm = sm.GLM(
        frame["claims"],
        sm.add_constant(frame["risk"]),
        family=sm.families.Poisson(),
        exposure=frame["years"],
    ).fit()
    assert fitted.intercept_ == pytest.approx(glm.params.iloc[0], abs=1e-3)
    assert fitted.coef_[0] == pytest.approx(glm.params.iloc[1], abs=1e-3)


def judged(spec, frame, estimator):
    seen, held = training.split(spec, {"all": frame})
    version = Version(spec.name, 1, "", "", {"digest": "d"}, 0)
    candidate = Candidate(version, estimator, row_hashes(seen["all"]), None)
    return held["all"], evaluate(spec, "all", seen, held, candidate, None)


def test_a_count_model_is_judged_per_unit_of_exposure():
    frame, spec = policies(), claims_spec()
    fitted = training.fit(spec, training.split(spec, {"all": frame})[0]["all"])
    held, report = judged(spec, frame, fitted)
    found = {e.metric: e.value for e in report.challenger}
    frequency, predicted = held["claims"] / held["years"], fitted.predict(held[["risk"]])
    deviance = mean_poisson_deviance(frequency, predicted, sample_weight=held["years"])
    assert found["mean_poisson_deviance"] == pytest.approx(deviance)
    expected = held["claims"].sum() / (predicted * held["years"]).sum()
    assert found["a_over_e"] == pytest.approx(expected)


def test_a_classifier_is_fitted_and_judged_with_case_weights():
    spec = ModelSpec.model_validate(
        weekly(columns__weight="minutes", cadence="none", start=None, training={"hold_out": 0.3})
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"at": pd.Timestamp("2026-01-05", tz="UTC"), "x": rng.normal(size=900)})
    frame["visit"] = frame["customer"] = [f"c{i}" for i in range(900)]
    frame["minutes"], frame["bought"] = rng.exponential(size=900) + 0.1, rng.integers(0, 2, 900)
    seen = training.split(spec, {"all": frame})[0]["all"]
    fitted = training.fit(spec, seen)
    oracle = LogisticRegression().fit(seen[["x"]], seen["bought"], sample_weight=seen["minutes"])
    assert fitted.coef_[0, 0] == oracle.coef_[0, 0]
    held, report = judged(spec, frame, fitted)
    found = {e.metric: e.value for e in report.challenger}
    theirs = log_loss(
        held["bought"], fitted.predict_proba(held[["x"]]), sample_weight=held["minutes"]
    )
    assert found["log_loss"] == pytest.approx(theirs)


def test_in_a_pipeline_the_last_step_gets_the_weights():
    frame = policies()
    spec = claims_spec(
        estimator={"class": "mlops_assets_tests.lifecycle.test_weights.scaled_poisson"}
    )
    fitted = training.fit(spec, frame)
    x = StandardScaler().fit_transform(frame[["risk"]])
    oracle = PoissonRegressor().fit(
        x, frame["claims"] / frame["years"], sample_weight=frame["years"]
    )
    assert fitted[-1].intercept_ == oracle.intercept_


def scaled_poisson():
    return make_pipeline(StandardScaler(), PoissonRegressor())


def test_an_estimator_that_takes_no_weights_is_refused():
    neighbours = {"class": "sklearn.neighbors.KNeighborsRegressor"}
    with pytest.raises(DeclarationError, match=r"KNeighborsRegressor\.fit takes no sample_weight"):
        training.fit(claims_spec(estimator=neighbours), policies())


@pytest.mark.parametrize("bad", [0, -1.5, math.nan, math.inf])
@pytest.mark.parametrize("judge", [False, True])
def test_a_weight_that_is_none_is_refused_with_its_row(bad, judge):
    frame, spec = policies(200), claims_spec()
    frame.loc[17, "years"] = bad
    use = spec.task_type.cases if judge else None
    with pytest.raises(EvidenceError, match=r"years is .* in row 17, policy P17 \(1 such rows\)"):
        use(frame, frame, spec.columns) if judge else training.fit(spec, frame)


def test_a_ranking_has_no_weight():
    with pytest.raises(ValueError, match=r"task: ranking has no columns\.weight"):
        claims_spec(
            task="ranking",
            columns={"unit": "u", "item": "i", "weight": "w"},
            gate={"metric": "ndcg_at_10", "margin": 0},
        )


@pytest.mark.parametrize("key", ["metric", "floor"])
def test_actual_over_expected_decides_nothing(key):
    gate = {"metric": "gini", "margin": 0.01}
    gate |= {"metric": "a_over_e"} if key == "metric" else {"floor": {"a_over_e": 0.9}}
    with pytest.raises(ValueError, match="a_over_e is a description"):
        claims_spec(gate=gate)


def test_a_weight_must_be_there_as_the_target_must():
    assert claims_spec().columns.required == ["claims", "years"]


# --- the tests ------------------------------------------------------------------------------


def weighted_pair(seed=3, rows=400, units=30) -> Paired:
    rng = np.random.default_rng(seed)
    unit, weights = rng.integers(0, units, rows), rng.exponential(size=rows) + 0.1
    gain = rng.normal(size=units)[unit] + rng.normal(size=rows) + 0.2
    return Paired(np.zeros(rows), np.full(rows, 9.0), 9 + gain, unit, weights)


def test_the_t_test_is_statsmodels_weighted_cluster_robust_regression():
    pair = weighted_pair()
    found = TESTS["paired_t"].gain(METRICS["mean_absolute_error"], pair, ALPHA)
    model = sm.WLS(pair.rival - 9, np.ones(400), weights=pair.weights).fit(
        cov_type="cluster", cov_kwds={"groups": pair.units, "use_correction": False}
    )
    error = model.bse[0] * math.sqrt(30 / 29)
    assert found.estimate == pytest.approx(model.params[0])
    assert found.low == pytest.approx(model.params[0] - stats.t.ppf(1 - ALPHA, 29) * error)


def test_a_weight_is_as_many_rows_of_its_unit():
    pair = weighted_pair()
    times = np.random.default_rng(1).integers(1, 4, 400)
    whole = Paired(pair.truth, pair.challenger, pair.rival, pair.units, times.astype(float))
    rows = np.repeat(np.arange(400), times)
    copied = Paired(*(v[rows] for v in (pair.truth, pair.challenger, pair.rival, pair.units)))
    metric = METRICS["mean_absolute_error"]
    for test in (t for t in TESTS.values() if t.supports(metric) is None):
        ours, theirs = test.gain(metric, whole, ALPHA), test.gain(metric, copied, ALPHA)
        assert ours.estimate == pytest.approx(theirs.estimate)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_the_bootstrap_of_a_rank_metric_honours_weights():
    rng = np.random.default_rng(0)
    truth, weights = rng.integers(0, 2, 200), rng.integers(1, 4, 200)
    scores, unit = truth + rng.normal(size=200), np.arange(200)
    rows = np.repeat(unit, weights)
    bootstrap = TESTS["cluster_bootstrap"]
    for name in ("roc_auc", "average_precision"):
        metric = METRICS[name]
        ours = bootstrap.level(metric, truth, scores, unit, ALPHA, weights.astype(float))
        theirs = bootstrap.level(metric, truth[rows], scores[rows], unit[rows], ALPHA)
        assert ours.estimate == pytest.approx(theirs.estimate)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


# --- live answers ---------------------------------------------------------------------------


def answered(frame, spec):
    """The answers to a frame's rows, as the log has them, joined with that frame."""
    records = [
        Record(
            prediction_id=f"p{i}",
            run_id="r",
            model="claims",
            version=1,
            variant="champion",
            at=NOW - timedelta(days=8),
            logged_at=NOW,
            unit=None,
            key={"policy": row.policy},
            features={"risk": row.risk},
            answer={"prediction": math.exp(-2 + row.risk)},
            latency_ms=1,
        )
        for i, row in enumerate(frame.itertuples())
    ]
    return live_predictions(records, frame, spec, join_labels(records, frame, spec))


def test_live_answers_are_judged_per_unit_of_exposure():
    spec, frame = claims_spec(), policies(500)
    live = answered(frame, spec)
    report = performance(spec, live, HoldOut(), window="w", version=1, now=NOW)
    frequency, predicted = frame["claims"] / frame["years"], np.exp(-2 + frame["risk"])
    deviance = mean_poisson_deviance(frequency, predicted, sample_weight=frame["years"])
    assert report.realised.value == pytest.approx(deviance)
    assert json.loads(live["answer"][0])["prediction"] == predicted[0]


def test_an_answer_whose_exposure_is_not_known_yet_is_not_labelled():
    spec, frame = claims_spec(), policies(500)
    live = answered(frame, spec)
    live.loc[:99, "years"] = math.nan
    report = performance(spec, live, HoldOut(), window="w", version=1, now=NOW)
    assert (report.predictions, report.labelled) == (500, 400)
