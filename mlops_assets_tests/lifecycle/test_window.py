"""The grid of windows against Dagster's own partitions."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from mlops_assets.assets.keys import partitions
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.lifecycle.window import UNPARTITIONED, WindowGrid
from mlops_assets_tests.harness import weekly

YEAR = date(2024, 1, 1)
FAR = datetime(2025, 3, 1, tzinfo=UTC)
STARTS = [
    ("daily", YEAR),
    ("daily", date(2024, 2, 29)),
    *(("weekly", YEAR + timedelta(days=d)) for d in range(7)),
    ("monthly", YEAR),
    ("monthly", date(2024, 2, 1)),
]


def declared(cadence: str, start: date, end: date | None = None) -> ModelSpec:
    changes = {"cadence": cadence, "start": start, "end": end}
    return ModelSpec.model_validate(weekly(**changes))


@pytest.mark.parametrize(("cadence", "start"), STARTS)
def test_the_windows_of_a_leap_year_are_dagsters_partitions(cadence, start):
    spec = declared(cadence, start)
    theirs = partitions(spec)
    ours = list(spec.grid.complete(FAR))
    assert [w.key for w in ours] == list(theirs.get_partition_keys(current_time=FAR))
    assert ours[0].start.date() == start
    for window in ours:
        bounds = theirs.time_window_for_partition_key(window.key)
        assert (window.start, window.end) == (bounds.start, bounds.end)
        assert spec.grid.window(window.key) == window


@pytest.mark.parametrize(("cadence", "start"), STARTS)
def test_the_newest_complete_window_is_dagsters_last_partition(cadence, start):
    spec = declared(cadence, start)
    theirs = partitions(spec)
    second = timedelta(seconds=1)
    for day in range(-1, 70):
        midnight = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=day)
        for now in (midnight - second, midnight, midnight + second):
            newest = spec.grid.newest_complete(now)
            keys = theirs.get_partition_keys(current_time=now)
            assert [newest.key] == keys[-1:] if newest else not keys


@pytest.mark.parametrize(("cadence", "start"), STARTS)
@pytest.mark.parametrize("end", [date(2024, 4, 1), date(2024, 4, 8), date(2024, 5, 15)])
def test_a_grid_that_ends_ends_where_dagsters_does(cadence, start, end):
    spec = declared(cadence, start, end)
    ours = [w.key for w in spec.grid.complete(FAR)]
    assert ours == list(partitions(spec).get_partition_keys(current_time=FAR))
    assert spec.grid.newest_complete(FAR).end.date() <= end


@pytest.mark.parametrize(("cadence", "start"), STARTS)
def test_windows_follow_each_other_without_gap_or_overlap(cadence, start):
    windows = list(WindowGrid(cadence, start).complete(FAR))
    assert all(a.end == b.start for a, b in pairwise(windows))


@pytest.mark.parametrize(("cadence", "start"), STARTS)
def test_a_moment_falls_into_the_window_that_holds_it(cadence, start):
    grid = WindowGrid(cadence, start)
    for window in list(grid.complete(FAR))[:60]:
        for moment in (window.start, window.end - timedelta(microseconds=1)):
            assert grid.containing(moment) == window
        assert grid.containing(window.end) != window


def test_a_moment_of_another_time_zone_is_taken_as_utc():
    moment = datetime.fromisoformat("2024-01-09T00:30:00+01:00")
    assert WindowGrid("daily", YEAR).containing(moment).key == "2024-01-08"


@pytest.mark.parametrize(("cadence", "start"), STARTS)
def test_going_back_gives_the_windows_before_and_stops_at_the_start(cadence, start):
    grid = WindowGrid(cadence, start)
    all_of_them = list(grid.complete(FAR))
    for count in (1, 3, 7):
        for last in range(len(all_of_them))[:10]:
            first = max(0, last + 1 - count)
            assert grid.back_from(all_of_them[last].key, count) == all_of_them[first : last + 1]


def test_a_window_is_complete_when_its_labels_are():
    grid = WindowGrid("weekly", YEAR)
    delay = timedelta(days=3)
    assert grid.newest_complete(datetime(2024, 1, 10, 23, 59, tzinfo=UTC), delay) is None
    assert grid.newest_complete(datetime(2024, 1, 11, tzinfo=UTC), delay).key == "2024-01-01"


@pytest.mark.parametrize(
    ("cadence", "key"),
    [
        ("weekly", "2024-01-02"),
        ("weekly", "2023-12-25"),
        ("monthly", "2024-02-02"),
        ("daily", "2023-12-31"),
        ("daily", "2024-02-30"),
        ("daily", "yesterday"),
        ("weekly", ""),
    ],
)
def test_a_key_at_which_no_window_starts_is_refused(cadence, key):
    with pytest.raises(ValueError, match=r"no .* window starts on|is not a date"):
        WindowGrid(cadence, YEAR).window(key)


def test_a_key_beyond_the_end_of_the_grid_is_refused():
    grid = WindowGrid("weekly", YEAR, date(2024, 1, 20))
    assert grid.window("2024-01-08").end.date() == date(2024, 1, 15)
    with pytest.raises(ValueError, match="ends after the grid does"):
        grid.window("2024-01-15")


def test_a_data_set_without_windows_is_one_window():
    grid = WindowGrid("none")
    window = grid.window("whatever")
    assert (window.key, window.start, window.end) == (UNPARTITIONED, None, None)
    assert grid.newest_complete(FAR) == window
    assert grid.back_from("", 5) == [window]
    assert grid.containing(FAR) == window
