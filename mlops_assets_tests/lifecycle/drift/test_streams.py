"""Real weather."""

import pandas as pd
import pytest

from mlops_assets_tests.lifecycle.drift.worlds import ROWS, STREAMS, compared


@pytest.fixture(scope="module")
def weather():
    file = STREAMS / "noaa_weather.parquet"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    return pd.read_parquet(file)


def test_winter_is_not_summer(weather):
    months = weather["ts"].dt.month
    features = weather.filter(regex=r"^f\d")
    summer, winter = features[months.isin([6, 7, 8])], features[months.isin([12, 1, 2])]
    for start in range(0, 3_000, 300):
        report = compared(summer.iloc[:2_000], winter.iloc[start : start + 300])
        assert report.verdict == "drifted"
        assert report.share >= 0.5


def test_shuffled_weather_is_stable(weather):
    features = weather.filter(regex=r"^f\d").sample(frac=1, random_state=0)
    reference, rest = features.iloc[:3_000], features.iloc[3_000:]
    windows = [rest.iloc[i : i + ROWS] for i in range(0, len(rest) - ROWS, ROWS)]
    verdicts = [compared(reference, live, str(i)).verdict for i, live in enumerate(windows)]
    assert len(verdicts) == 30
    assert verdicts.count("stable") >= 29
