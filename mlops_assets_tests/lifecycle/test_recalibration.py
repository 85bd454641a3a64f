"""Recalibration: the level is found, the order kept, and what can't be is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss, roc_auc_score

from mlops_assets.lifecycle.artifact import Feature, Serving, load_estimator, write_version
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.fingerprint import row_hashes
from mlops_assets.lifecycle.packed.proving import prove
from mlops_assets.lifecycle.recalibration import recalibrate, recalibration_data
from mlops_assets.lifecycle.rescaled import Rescaled
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets_tests.lifecycle.packed_models import packed

METRICS = {
    "binary_classification": "log_loss",
    "multiclass_classification": "log_loss",
    "regression": "mean_squared_error",
    "count_regression": "mean_poisson_deviance",
    "ranking": "ndcg_at_10",
}


def spec(task, **columns) -> ModelSpec:
    roles = {"item": "item", "unit": "user"} if task == "ranking" else {"target": "y"}
    return ModelSpec(
        name="model",
        task=task,
        cadence="weekly",
        start="2026-01-05",
        source={"type": "csv", "path": "rows.csv"},
        columns=roles | {"time": "at", "key": ["at"]} | columns,
        estimator={"class": "sklearn.linear_model.LogisticRegression"},
        gate={"metric": METRICS[task], "margin": 0.01},
    )


def frame(rows, seed, target):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    made = pd.DataFrame({"x": x, "z": z, "at": pd.Timestamp("2026-01-05", tz="UTC"), "y": 0})
    made["at"] += pd.to_timedelta(np.arange(rows) + seed * rows, unit="s")
    return made.assign(y=target(rng, made))


def flips(intercept):
    """Labels with log-odds ``2 x + intercept``."""
    return lambda rng, f: (rng.random(len(f)) < 1 / (1 + np.exp(-(2 * f.x + intercept)))).astype(
        int
    )


def counts(level, slope=1.0):
    """Counts with mean ``level * exp(x / 2) ** slope``."""
    return lambda rng, f: rng.poisson(level * np.exp(f.x / 2) ** slope)


# --- classes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [LogisticRegression(), HistGradientBoostingClassifier()])
def test_a_prior_that_moved_is_found_and_the_order_kept(estimator):
    task = spec("binary_classification")
    before, now, later = (
        frame(4000, seed, flips(intercept)) for seed, intercept in enumerate((0, -2, -2))
    )
    base = estimator.fit(before[["x", "z"]], before["y"])
    moved = recalibrate(task, base, now)
    asked = later[["x", "z"]]
    old, new = base.predict_proba(asked)[:, 1], task.task_type.scores(moved, asked)
    assert log_loss(later["y"], new) < log_loss(later["y"], old) - 0.05
    assert new.mean() == pytest.approx(later["y"].mean(), abs=0.015)
    assert roc_auc_score(later["y"], new) == pytest.approx(roc_auc_score(later["y"], old), abs=1e-9)


def test_platts_parameters_are_those_of_a_logistic_regression():
    """Of the base's log-odds; Platt's smoothed targets are 1 / n away from it."""
    task = spec("binary_classification")
    before, now = frame(4000, 0, flips(0)), frame(20_000, 1, flips(-2))
    base = LogisticRegression().fit(before[["x", "z"]], before["y"])
    moved = recalibrate(task, base, now)
    odds = base.decision_function(now[["x", "z"]])
    oracle = sm.Logit(now["y"].to_numpy(), sm.add_constant(odds)).fit(disp=False)
    found = moved.calibrated_classifiers_[0].calibrators[0]
    assert [-found.b_, -found.a_] == pytest.approx(oracle.params.tolist(), abs=0.01)


def test_several_classes_come_to_their_new_shares():
    task = spec("multiclass_classification")

    def classes(shift):
        def drawn(rng, f):
            odds = np.stack([f.x, f.z, np.full(len(f), shift)], axis=1)
            return (odds + rng.gumbel(size=odds.shape)).argmax(axis=1)

        return drawn

    before, now, later = (frame(3000, n, classes(s)) for n, s in enumerate((0.0, 2.0, 2.0)))
    base = LogisticRegression().fit(before[["x", "z"]], before["y"])
    moved = recalibrate(task, base, now)
    old, new = (task.task_type.scores(e, later[["x", "z"]]) for e in (base, moved))
    assert log_loss(later["y"], new) < log_loss(later["y"], old) - 0.1
    shares = np.bincount(later["y"], minlength=3) / len(later)
    assert new.mean(axis=0) == pytest.approx(shares, abs=0.03)
    with pytest.raises(EvidenceError, match="no new row is of class 2"):
        recalibrate(task, base, now[now["y"] < 2])


# --- numbers ----------------------------------------------------------------------------------


def poisson_base():
    before = frame(20_000, 0, counts(0.2))
    return PoissonRegressor(alpha=0).fit(before[["x", "z"]], before["y"])


def test_a_frequency_that_rose_is_found_as_a_level():
    now = frame(20_000, 1, counts(0.3))
    moved = Rescaled(poisson_base()).fit(now[["x", "z"]], now["y"])
    assert (moved.link_, moved.slope_) == ("log", 1.0)
    assert np.exp(moved.level_) == pytest.approx(1.5, abs=0.06)
    assert moved.predict(now[["x", "z"]]).sum() == pytest.approx(now["y"].sum())


def test_a_slope_that_flattened_is_that_of_a_poisson_regression():
    now = frame(20_000, 1, counts(0.3, slope=0.4))
    base = poisson_base()
    moved = Rescaled(base).fit(now[["x", "z"]], now["y"])
    logged = sm.add_constant(np.log(base.predict(now[["x", "z"]])))
    oracle = sm.GLM(now["y"].to_numpy(), logged, family=sm.families.Poisson()).fit()
    assert [moved.level_, moved.slope_] == pytest.approx(oracle.params.tolist(), rel=1e-5)
    assert moved.slope_ == pytest.approx(0.4, abs=0.06)


def test_a_slope_is_not_moved_by_chance():
    base, moved = poisson_base(), 0
    for seed in range(1, 101):
        now = frame(500, seed, counts(0.3))
        moved += Rescaled(base).fit(now[["x", "z"]], now["y"]).slope_ != 1.0
    # At a level of 0.01, more than 5 in 100 would come once in two thousand times.
    assert moved <= 5


def test_exposure_is_weight_and_the_level_is_observed_over_expected():
    task = spec("count_regression", weight="years")
    rng = np.random.default_rng(0)
    now = frame(5000, 1, counts(0.3)).assign(years=rng.uniform(0.1, 1, 5000))
    now["y"] = rng.poisson(0.3 * np.exp(now.x / 2) * now.years)
    moved = recalibrate(task, poisson_base(), now)
    expected = (moved.predict(now[["x", "z"]]) * now["years"]).sum()
    assert expected == pytest.approx(now["y"].sum())


def test_numbers_below_zero_are_moved_as_least_squares_does():
    def linear(level, slope):
        return lambda rng, f: level + slope * (3 * f.x + f.z) + rng.normal(size=len(f))

    before, now = frame(3000, 0, linear(0, 1)), frame(3000, 1, linear(4, 0.5))
    base = LinearRegression().fit(before[["x", "z"]], before["y"])
    moved = Rescaled(base).fit(now[["x", "z"]], now["y"])
    oracle = sm.OLS(now["y"], sm.add_constant(base.predict(now[["x", "z"]]))).fit()
    assert moved.link_ == "identity"
    assert [moved.level_, moved.slope_] == pytest.approx(oracle.params.tolist())
    shifted = Rescaled(base).fit(before[["x", "z"]], before["y"] + 4)
    assert (shifted.slope_, shifted.level_) == (1.0, pytest.approx(4))


def test_no_level_fits_where_nothing_was_observed():
    now = frame(200, 1, lambda rng, f: 0)
    with pytest.raises(EvidenceError, match=r"observed 0, expected .*: no level fits"):
        recalibrate(spec("count_regression"), poisson_base(), now)


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "estimator", "target"),
    [
        ("binary_classification", LogisticRegression(), flips(0)),
        ("count_regression", PoissonRegressor(), counts(0.5)),
    ],
)
def test_a_recalibrated_version_is_data_and_answers_the_same(task, estimator, target, tmp_path):
    declared, rows = spec(task), frame(2000, 0, target)
    moved = recalibrate(declared, estimator.fit(rows[["x", "z"]], rows["y"]), rows)
    asked = rows[["x", "z"]]
    answered = declared.task_type.scores(moved, asked)
    serving = Serving(
        model="model",
        task=task,
        features=[Feature(name=n, dtype="float64") for n in ("x", "z")],
        unit=None,
        time="at",
        key=[],
    )
    write_version(tmp_path / "model", moved, serving, asked.head(), answered[:5])
    loaded = load_estimator(tmp_path / "model")
    assert (declared.task_type.scores(loaded, asked) == answered).all()


BASES = {
    "logistic": ("binary_classification", LogisticRegression(), flips(0)),
    "hist": ("binary_classification", HistGradientBoostingClassifier(max_iter=20), flips(0)),
    "forest": ("binary_classification", RandomForestClassifier(5, random_state=0), flips(0)),
    "boosting": (
        "binary_classification",
        GradientBoostingClassifier(loss="exponential", n_estimators=5),
        flips(0),
    ),
    "poisson": ("count_regression", PoissonRegressor(), counts(0.5)),
    "linear": ("regression", LinearRegression(), counts(0.5)),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("moved", [False, True])
def test_as_plain_arrays_it_answers_the_same_to_the_bit(base, moved, tmp_path):
    task, estimator, target = BASES[base]
    later = target
    if moved:
        later = flips(-1) if task.startswith("binary") else counts(0.8, slope=0.3)
    rows, now = frame(1000, 0, target), frame(1000, 1, later)
    fitted = recalibrate(spec(task), estimator.fit(rows[["x", "z"]], rows["y"]), now)
    unseen = frame(200, 2, target)[["x", "z"]]
    model = packed(fitted, unseen, task, tmp_path / "packed")
    assert [step.kind for step in model.steps][-1] in ("sigmoid", "rescaled")
    proof = prove(tmp_path / "packed", fitted, unseen, task)
    assert proof.hold_out_rows == 200


# --- which rows -------------------------------------------------------------------------------


def base_on(rows):
    version = SimpleNamespace(number=3, digest="d3", __str__=lambda: "model v3")
    return SimpleNamespace(version=version, estimator=None, training_rows=row_hashes(rows))


def windows(*intercepts, rows=300):
    return {f"2026-01-{5 + 7 * n:02d}": frame(rows, n, flips(i)) for n, i in enumerate(intercepts)}


def test_the_newest_rows_that_the_base_has_not_seen_are_taken():
    task, frames = spec("binary_classification"), windows(0, 0, 0, 0)
    keys = sorted(frames)
    held = {keys[-1]: frames.pop(keys[-1])}
    data = recalibration_data(task, base_on(frames[keys[0]]), frames, held, "code")
    # 300 rows have enough of both classes: older ones would only blur the level.
    assert data.windows == [keys[2]]
    assert data.params["recalibrates"] == "3"
    assert data.params["recalibration.method"] == "sigmoid"
    assert len(data.row_hashes) == 600
    rare = windows(-4, -4, -4, -4)
    held = {keys[-1]: rare.pop(keys[-1])}
    data = recalibration_data(task, base_on(rare[keys[0]]), rare, held, "code")
    assert data.windows == keys[1:3]


def test_equal_inputs_have_one_fingerprint_and_others_another():
    task, frames = spec("binary_classification"), windows(0, 0)
    (key, seen), held = frames.popitem(), dict(frames)

    def made(base, code="code"):
        return recalibration_data(task, base, {key: seen}, held, code).fingerprint

    one = base_on(seen.head(10))
    other = base_on(seen.head(10))
    other.version.digest = "d4"
    assert made(one) == made(one)
    assert len({made(one), made(other), made(one, "changed")}) == 3


def test_too_few_new_rows_are_refused():
    task, frames = spec("binary_classification"), windows(0)
    (rows,) = frames.values()
    with pytest.raises(EvidenceError, match="0 in 0 windows, 0 say something where 20"):
        recalibration_data(task, base_on(rows), frames, {}, "code")
    with pytest.raises(EvidenceError, match="30 in 1 windows"):
        recalibration_data(task, base_on(rows.iloc[:-30]), frames, {}, "code")


def test_a_ranking_has_no_level():
    with pytest.raises(EvidenceError, match="no level that could be recalibrated"):
        recalibration_data(spec("ranking"), base_on(frame(5, 0, flips(0))), {}, {}, "code")
