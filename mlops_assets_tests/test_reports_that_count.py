"""Which reports the sensors read: those of runs that ended well, whatever else is in the log."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mlops_assets.definitions import resources
from mlops_assets.resources import Platform
from mlops_assets_tests.harness import week, weekly

FIRST = datetime.now(UTC).date() - timedelta(weeks=5, days=3)
DRIFT = dg.AssetKey(["live", "drift_report"])


@pytest.fixture
def live(lab):
    """A model whose reports are events only: without an advice, people hear of each alarm."""
    lab.declare(weekly("live", start=FIRST.isoformat()))
    return lab


def report(lab, number, verdict, *, fails=False):
    """A run that reports on a window (None: all), and dies after it where ``fails``."""
    window = None if number is None else week(number, FIRST)

    @dg.op
    def reports(context):
        context.log_event(
            dg.AssetMaterialization(DRIFT, partition=window, metadata={"verdict": verdict})
        )
        if fails:
            raise RuntimeError("no labels table")

    @dg.job
    def monitoring():
        reports()

    result = monitoring.execute_in_process(instance=lab.instance, raise_on_error=False)
    assert result.success is not fails


def mark(lab, number):
    """What the button "Report materialization" does."""
    marked = dg.AssetMaterialization(DRIFT, partition=week(number, FIRST))
    lab.instance.report_runless_asset_event(marked)


def tick(lab):
    """One evaluation of ``live_on_drift``, and the windows that people were told of."""
    definitions = lab.definitions
    sensor = definitions.resolve_sensor_def("live_on_drift")
    with dg.build_sensor_context(
        instance=lab.instance, definitions=definitions, resources=resources()
    ) as context:
        data = sensor.evaluate_tick(context)
    told = [a.message.split(":")[0].split()[-1] for a in Platform().outbox.newest(10)]
    return data, told


def test_a_second_report_whose_run_failed_takes_no_alarm_away(live):
    report(live, 2, "drifted")
    report(live, 2, "stable", fails=True)
    data, told = tick(live)
    assert told == [week(2, FIRST)]
    assert "the run that reports on it failed" in data.skip_message


@pytest.mark.parametrize("number", [2, 3])
def test_a_window_that_was_marked_by_hand_is_no_report_and_stops_no_sensor(live, number):
    report(live, 2, "drifted")
    mark(live, number)
    data, told = tick(live)
    assert told == [week(2, FIRST)]
    assert "marked as materialized by hand, which is no report" in data.skip_message


def test_without_windows_people_are_told_though_the_event_log_is_a_new_one(lab):
    """Its events count from 1 again, as after a move to PostgreSQL."""
    lab.declare(
        weekly(
            "live",
            cadence="none",
            start=None,
            columns={"target": "bought", "time": "at", "key": ["visit"]},
            training={"hold_out": 0.25},
        )
    )
    report(lab, None, "drifted")
    assert len(tick(lab)[1]) == 1
    assert len(tick(lab)[1]) == 1
    with dg.instance_for_test() as another:
        lab.instance = another
        report(lab, None, "drifted")
        assert len(tick(lab)[1]) == 2
