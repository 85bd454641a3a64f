"""Distances are those that scipy and Evidently compute from all rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets_tests.lifecycle.drift.worlds import ROWS, column, compared, mixed, normal


def test_numeric_distance_is_scipys():
    found, _ = column(normal(), normal(300, 1, 0.4))
    expected = wasserstein_distance(normal(), normal(300, 1, 0.4)) / normal().std()
    # What 35 bins cost.
    assert found.value == pytest.approx(expected, rel=0.03)
    assert (found.kind, found.statistic) == ("numeric", "wasserstein")


@pytest.mark.parametrize("unit", [1e-9, 1e-4, 1e6, 1e12])
def test_the_unit_of_a_column_does_not_matter(unit):
    frauds = np.random.default_rng(0).lognormal(-9, 1, (2, ROWS))
    expected = column(frauds[0], 2 * frauds[1])[0]
    found = column(unit * frauds[0], 2 * unit * frauds[1])[0]
    assert (found.verdict, expected.verdict) == ("drifted", "drifted")
    assert found.value == pytest.approx(expected.value)
    assert found.threshold == pytest.approx(expected.threshold)


def test_a_small_constant_that_doubled_drifted_and_one_that_is_rounded_did_not():
    constant = np.full(ROWS, 1e-6)
    assert column(constant, 2 * constant)[0].verdict == "drifted"
    assert column(constant, constant.astype("float32"))[0].verdict == "stable"


def test_categorical_distance_is_scipys():
    rng = np.random.default_rng(0)
    reference, live = rng.choice(list("abc"), ROWS), rng.choice(list("abd"), ROWS)
    shares = [[np.mean(side == c) for c in "abcd"] for side in (reference, live)]
    found, report = column(reference, live)
    assert found.value == pytest.approx(jensenshannon(*shares))
    assert (found.kind, found.statistic, found.verdict) == (
        "categorical", "jensen_shannon", "drifted"
    )  # fmt: skip
    assert (report.verdict, report.drifted, report.share) == ("drifted", True, 0.5)


def test_watched_answers_are_predictions():
    report = compared(mixed(), mixed(seed=1))
    roles = {c.column: c.role for c in report.columns}
    assert roles.pop("prediction") == "prediction"
    assert set(roles.values()) == {"feature"}


def test_same_data_same_report():
    first, second = (compared(mixed(), mixed(seed=1)) for _ in range(2))
    assert first.columns == second.columns


def test_frames_stay_as_they_are():
    reference, live = mixed(), mixed(seed=1)
    compared(reference, live)
    pd.testing.assert_frame_equal(reference, mixed())
    pd.testing.assert_frame_equal(live, mixed(seed=1))


def test_what_is_meant_to_move_is_not_watched():
    moved = pd.DataFrame({"x": normal(), "week": normal(shift=9)})
    before = pd.DataFrame({"x": normal(seed=1), "week": normal(seed=1)})
    assert compared(before, moved).drifted
    report = compared(before, moved, ignore=["week"])
    assert [c.column for c in report.columns] == ["x"]
    assert not report.drifted
    with pytest.raises(EvidenceError, match="ignore: no feature 'weak'"):
        compared(before, moved, ignore=["weak"])


def test_row_labels_do_not_matter():
    reference, live = mixed(1000), mixed(1000, 1)
    labelled = live.set_index(pd.Index([0] * 1000))
    assert compared(reference, labelled).columns == compared(reference, live).columns
