"""A profile holds what its rows held, and a window is counted as it would be from a profile."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mlops_assets.lifecycle.drift.judge import calibration_words
from mlops_assets.lifecycle.drift.profile import Profile
from mlops_assets.lifecycle.drift.scan import scan
from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets_tests.lifecycle.drift.worlds import ROWS, column, compared, mixed, normal


def test_profile_is_small_and_comes_back():
    rng = np.random.default_rng(0)
    made = Profile.of(pd.DataFrame(rng.normal(size=(5_000, 20))).rename(columns=str))
    assert Profile.read(made.written()) == made
    assert len(made.written()) < 60_000
    with pytest.raises(EvidenceError, match="no reference profile"):
        Profile.read(b'{"rows": 3}')


def test_report_from_profiles_is_that_from_rows():
    reference = Profile.read(Profile.of(mixed()).written())
    live = scan(mixed(400, 1, 0.2), reference)
    assert compared(reference, live).columns == compared(mixed(), mixed(400, 1, 0.2)).columns


def test_every_source_gives_the_same_profile(tmp_path):
    reference, live = Profile.of(mixed()), mixed(400, 1, 0.2)
    file = tmp_path / "window.parquet"
    live.to_parquet(file)
    # A missing number in pandas is a null everywhere else.
    sources = [pl.from_pandas(live), pl.from_pandas(live).lazy(), pa.Table.from_pandas(live), file]
    scanned = [scan(source, reference) for source in (live, *sources)]
    assert all(found == scanned[0] for found in scanned[1:])


def test_file_that_is_no_parquet_is_refused(tmp_path):
    file = tmp_path / "window.parquet"
    file.write_bytes(b"PAR1 it is not")
    for source in (file, tmp_path / "nothing.parquet"):
        with pytest.raises(EvidenceError, match="can't be read"):
            scan(source, Profile.of(mixed()))
    with pytest.raises(EvidenceError, match=r"can't be read from a builtins\.dict"):
        Profile.of({"x": [1, 2]})


def test_counts_are_numpys():
    reference, live = Profile.of(mixed(5_000)), mixed(3_000, 1, 0.3)
    for name in ("amount", "count", "gap"):
        found = scan(live, reference)[name]
        known = live[name].dropna().to_numpy()
        bins = [-np.inf, *np.nextafter(found.numbers.edges, np.inf), np.inf]
        assert found.numbers.counts == np.histogram(known, bins)[0].tolist()
        assert found.missing == live[name].isna().sum()


def test_both_sides_are_described():
    live = mixed(ROWS, 1, 0.2)
    for found in compared(mixed(), live).columns:
        for side, values in (
            (found.reference, mixed()[found.column]),
            (found.live, live[found.column]),
        ):
            assert side.missing == pytest.approx(values.isna().mean())
            if found.kind == "numeric":
                shown = [side.mean, side.sd, side.minimum, side.maximum]
                expected = [values.mean(), values.std(ddof=0), values.min(), values.max()]
                assert shown == pytest.approx(expected)
                assert side.median == pytest.approx(values.median(), abs=0.1)
    assert compared(mixed(), live).columns[1].live.median == live["count"].median()


def test_unseen_share_is_described():
    reference, live = ["a", "b"] * 250, ["a", "b", "c", "d"] * 125
    assert column(reference, live)[0].live.unseen == 0.5


@pytest.mark.parametrize("levels", [1_000, 60_000])
def test_unseen_among_many_is_as_counted_and_as_good_and_turing_expect(levels):
    rng = np.random.default_rng(0)
    sides = [rng.integers(0, levels, 40_000).astype(str) for _ in range(2)]
    reference, live = (pd.DataFrame({"x": side}) for side in sides)
    known = Profile.of(reference)["x"].categories
    found, _ = column(*sides)
    counted = (~live["x"].isin(reference["x"])).mean()
    assert found.live.unseen == pytest.approx(counted, abs=0.02)
    assert known.singletons / known.hashed == pytest.approx(counted, abs=0.02)
    assert (found.verdict, found.kind) == ("stable", "text")


def test_form_of_text_is_compared_where_it_is_always_new():
    rng = np.random.default_rng(0)
    short, longer = rng.integers(0, 10**9, 2_000), rng.integers(0, 10**9, 2_000)
    ids = [[f"u{n}" for n in side] for side in (short, longer)]
    assert column(*ids)[0].verdict == "stable"
    found = column(ids[0], [f"user-{n}" for n in longer])[0]
    assert (found.verdict, found.statistic, found.reason) == (
        "drifted", "wasserstein", "of its length"
    )  # fmt: skip


def test_columns_of_integer_and_of_like_names():
    frame = pd.DataFrame({0: normal(), "1": normal(seed=1), 1: normal(seed=2)})
    found = compared(frame, frame)
    assert [(c.column, c.verdict) for c in found.columns] == [("0", "stable"), ("1", "broken")]


# --- windows ----------------------------------------------------------------------------------


def seasons(count, spread, seed=0):
    rng = np.random.default_rng(seed)
    level = rng.normal(0, spread, count)
    return {
        f"{n:02d}": pd.DataFrame({"x": rng.normal(level[n], 1, ROWS), "ok": rng.normal(size=ROWS)})
        for n in range(count)
    }


def test_noise_between_reference_windows_raises_the_threshold():
    windows = seasons(12, 0.5)
    rows = pd.concat(windows.values())
    calm, aware = Profile.of(rows), Profile.of(rows, windows=windows)
    live = scan(pd.DataFrame({"x": normal(shift=0.6, seed=9), "ok": normal(seed=8)}), calm)
    first, second = (compared(p, live).columns for p in (calm, aware))
    assert (first[0].verdict, second[0].verdict) == ("drifted", "stable")
    assert first[1].threshold == pytest.approx(second[1].threshold, rel=0.5)
    assert "12 reference windows, each against the others" in compared(aware, live).calibration
    assert "unknown with 0 reference windows" in calibration_words(calm)
    far = scan(pd.DataFrame({"x": normal(shift=6), "ok": normal(seed=8)}), calm)
    assert compared(aware, far).columns[0].verdict == "drifted"


def test_one_reference_window_says_nothing_and_two_widen():
    live = pd.DataFrame({"x": normal(), "ok": normal(seed=5)})
    limits = []
    for count in (0, 1, 2):
        both = seasons(2, 0.5, seed=1)
        made = Profile.of(pd.concat(both.values()), windows=dict(list(both.items())[:count]))
        limits.append([c.threshold for c in compared(made, scan(live, made)).columns])
        assert (f"unknown with {count}" in calibration_words(made)) == (count < 2)
    assert limits[0] == limits[1]
    assert limits[2][0] > 2 * limits[0][0]


def test_a_profile_from_before_is_read_as_of_one_window():
    windows = seasons(6, 0.5)
    made = Profile.of(pd.concat(windows.values()), windows=windows, pooled=6)
    before = Profile.read(made.model_copy(update={"pooled": None}).written())
    live = scan(pd.DataFrame({"x": normal(), "ok": normal(seed=5)}), made)
    now, then = (compared(p, live).columns[0].threshold for p in (made, before))
    # The level of one window varies as much as the live one's does; of six a sixth of it.
    assert then / now == pytest.approx((2 / (1 + 1 / 6)) ** 0.5, rel=0.05)
    with pytest.raises(EvidenceError, match="no reference profile"):
        Profile.read(made.written().replace(b'"windows"', b'"seasons"', 1))


# --- labels -----------------------------------------------------------------------------------


def test_labels_are_compared_once_they_are_known():
    reference = mixed().assign(y=normal())
    moved = mixed(seed=1).assign(y=normal(seed=1, shift=1))
    young = moved.assign(y=np.where(np.arange(ROWS) < 250, moved["y"], np.nan))
    verdicts = []
    for live in (moved, young, moved.assign(y=np.nan), mixed(seed=1)):
        found = compared(reference, live)
        verdicts.append((found.columns[-1].verdict, found.verdict))
        assert found.columns[-1].role == "label"
    young_verdict = ("insufficient_data", "stable")
    assert verdicts == [("drifted", "drifted"), *[young_verdict] * 3]
