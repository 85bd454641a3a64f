"""The advisor on real rows: a year of bicycle hires, their feeds broken and their world moved."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lifecycle.advice.advise import advise
from mlops_assets.lifecycle.drift.judge import drift
from mlops_assets.lifecycle.reports import PerformanceReport
from mlops_assets.lifecycle.spec import ModelSpec

HOURS = Path(__file__).parents[3] / "shared" / "data" / "bikeshare" / "hourly.parquet"
FEATURES = ["hr", "holiday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not HOURS.exists(), reason="needs the shared data sets")


def spec() -> ModelSpec:
    return ModelSpec(
        name="bikes",
        task="count_regression",
        cadence="none",
        source={"type": "parquet", "path": str(HOURS)},
        columns={"target": "bikers", "key": ["hour"]},
        estimator={"class": "sklearn.linear_model.PoissonRegressor"},
        training={"hold_out": 0.2},
        gate={"metric": "mean_poisson_deviance", "margin": 0.1},
        monitoring={"decay": {"drop": 1.0}},
    )


def performance(verdict="healthy", labelled=2000) -> PerformanceReport:
    return PerformanceReport(
        model="bikes",
        window="all",
        version=1,
        metric="mean_poisson_deviance",
        predictions=2000,
        labelled=labelled,
        realised=None,
        hold_out=None,
        drop=1.0,
        verdict=verdict,
        reason=f"it is {verdict}",
        created_at=NOW,
    )


@pytest.fixture(scope="module")
def hours():
    frame = pd.read_parquet(HOURS)
    # As thermometers read: the data set has Celsius divided by 41 and by 50.
    celsius = {"temp": frame["temp"] * 41, "atemp": frame["atemp"] * 50}
    frame = frame.assign(**celsius, mnth=frame["mnth"])
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def advised(reference, live, judged=None):
    watched = [side[FEATURES].assign(prediction=side["temp"] + 50) for side in (reference, live)]
    report = drift(spec(), *watched, window="all", version=1)
    return advise(spec(), report, judged or performance(), now=NOW), report


def halves(hours):
    return hours.iloc[:4000], hours.iloc[4000:6000].copy()


def test_another_half_of_the_same_hours_is_left(hours):
    found, report = advised(*halves(hours))
    assert report.verdict == "stable"
    assert (found.action, found.columns) == ("leave", [])


def test_fahrenheit_is_found_and_named(hours):
    reference, live = halves(hours)
    live["temp"] = live["temp"] * 1.8 + 32
    found, report = advised(reference, live)
    assert report.prediction_drifted, "the answers moved with it"
    assert (found.action, found.columns) == ("fix_the_data", ["temp"])
    assert "degrees Celsius to Fahrenheit" in found.reasons[0]


@pytest.mark.parametrize(
    ("column", "factor", "words"),
    [("hum", 100, "shares to percent"), ("windspeed", 1000, "kilo to units")],
)
def test_other_units_are_found_and_named(hours, column, factor, words):
    reference, live = halves(hours)
    live[column] *= factor
    found, _ = advised(reference, live)
    assert (found.action, found.columns) == ("fix_the_data", [column])
    assert words in found.reasons[0]


def test_a_column_that_begins_to_vary_has_no_unit_to_change(hours):
    reference, live = halves(hours)
    # A third has no exact float: the standard deviation of the reference is a rounding error.
    found, report = advised(reference.assign(hum=1 / 3), live)
    assert [c.column for c in report.columns if c.verdict == "drifted"] == ["hum"]
    assert found.action == "leave"


def test_a_feed_that_stopped_is_found(hours):
    reference, live = halves(hours)
    live.loc[live.index[:600], "hum"] = np.nan
    found, _ = advised(reference, live)
    assert (found.action, found.columns) == ("fix_the_data", ["hum"])
    assert "missing values: 0.0% in the reference, 30.0% live" in found.reasons[0]


def test_a_sensor_that_got_stuck_is_found(hours):
    reference, live = halves(hours)
    live["windspeed"] = live["windspeed"].iloc[0]
    found, _ = advised(reference, live)
    assert (found.action, found.columns) == ("fix_the_data", ["windspeed"])


def test_a_recoded_category_is_found(hours):
    reference, live = halves(hours)
    live["weathersit"] = live["weathersit"].map(lambda words: f"W:{words}")
    found, _ = advised(reference, live)
    assert (found.action, found.columns) == ("fix_the_data", ["weathersit"])
    assert (
        "100.0% of the rows are in categories that the reference does not have" in found.reasons[0]
    )


def test_a_poisoned_batch_is_found(hours):
    reference, live = halves(hours)
    live.loc[live.index[:20], "hum"] = 3.2e6
    found, _ = advised(reference, live)
    assert (found.action, found.columns) == ("fix_the_data", ["hum"])
    assert "hum has values such as 3.2e+06" in found.reasons[0]


@pytest.mark.parametrize(("verdict", "action"), [("healthy", "leave"), ("decayed", "refit")])
def test_summer_after_winter_is_another_world_and_no_broken_feed(hours, verdict, action):
    winter = hours[hours["mnth"].isin(["Jan", "Feb", "March"])]
    summer = hours[hours["mnth"].isin(["June", "July", "Aug"])]
    found, report = advised(winter, summer, performance(verdict))
    drifted = {c.column for c in report.columns if c.verdict == "drifted"}
    assert {"temp", "atemp"} <= drifted
    assert found.action == action, found.reasons
    late = advised(winter, summer, performance("insufficient_data", 0))[0]
    assert late.action == "refit", "the answers moved with the temperature, and no label has come"
