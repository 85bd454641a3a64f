"""Silence is an alarm: missing reports, runs that never end, traffic that stopped."""

import time as clock
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import pytest

from mlops_assets.automation.overdue import overdue_sensor
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.overdue import gone_quiet
from mlops_assets.lifecycle.rollout.journal import Entry
from mlops_assets.resources import Notifier, Platform
from mlops_assets_tests.harness import weekly

DRIFT, PERFORMANCE = (dg.AssetKey(["shop", a]) for a in ("drift_report", "performance_report"))


@pytest.fixture
def shop(lab):
    """A model that serves since its third week began (by the journal: now)."""
    lab.declare(weekly("shop", start=monday(-3).isoformat(), columns__label_delay="7d"))
    serve(lab)
    return lab


def monday(weeks: int) -> date:
    """A Monday, counted in weeks from the one before now."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday()) + timedelta(weeks=weeks)


def serve(lab, action="promote"):
    entry = Entry("shop", action, 1, None, None, "a test", "")
    lab.journal.finish(lab.journal.begin(entry))


def closed(number: int) -> str:
    """The window that closes in so many weeks; it is the first to close after now, for 0."""
    return monday(number).isoformat()


def look(lab, days: float) -> tuple[str, list]:
    """Evaluate the sensor so many days after the window of now has closed."""
    end = datetime.combine(monday(1), datetime.min.time(), UTC)
    shared = resources()
    shared["platform"] = Platform(as_of=(end + timedelta(days=days)).isoformat())
    shared["notifier"] = Notifier(platform=shared["platform"])
    with dg.build_sensor_context(instance=lab.instance, resources=shared) as context:
        said = overdue_sensor(lab.folder).evaluate_tick(context).skip_message
    return said, lab_alerts(shared["platform"])


def lab_alerts(platform):
    return [(each.kind, each.subject) for each in platform.outbox.newest(100)]


def report(lab, asset, window, **metadata):
    """A report that a run made which was deleted since; it counts as made now."""
    event = dg.AssetMaterialization(asset, partition=window, metadata=metadata)
    lab.instance.report_runless_asset_event(event)


def made_later(monkeypatch, days=400):
    """Reports that are made from now on are made so many days later."""
    real = clock.time
    monkeypatch.setattr(clock, "time", lambda: real() + days * 86_400)


def test_a_report_that_is_missing_is_told_once_and_not_before_it_is_late(shop):
    said, alerts = look(shop, 0.9)
    assert alerts == []
    assert said == "1 models: nothing overdue"
    said, alerts = look(shop, 1)
    assert alerts == [("overdue", f"drift_report {closed(0)}")]
    assert said.startswith("1 models: 1 overdue, each told once")
    assert look(shop, 2)[1] == alerts
    assert look(shop, 7.9)[1] == alerts, "its labels are due after seven days, and late after eight"
    assert look(shop, 8)[1][1:] == [
        ("overdue", f"drift_report {closed(1)}"),
        ("overdue", f"performance_report {closed(0)}"),
    ]


def test_windows_that_closed_before_the_model_served_are_not_wanted(shop):
    _, alerts = look(shop, 1)
    assert [subject for _, subject in alerts] == [f"drift_report {closed(0)}"]


def test_late_after_is_declared(shop):
    shop.declare(weekly("shop", start=monday(-3).isoformat(), monitoring__late_after="3d"))
    assert look(shop, 2.9)[1] == []
    assert len(look(shop, 3)[1]) == 2


@pytest.mark.parametrize("action", ["retire", None])
def test_a_model_that_does_not_serve_owes_no_report(lab, action):
    lab.declare(weekly("shop", start=monday(-3).isoformat()))
    if action is not None:
        serve(lab)
        serve(lab, action)
    assert look(lab, 30)[1] == []


def test_at_most_the_last_eight_windows_are_told_of(shop):
    shop.declare(weekly("shop", start=monday(-3).isoformat(), cadence="daily"))
    _, alerts = look(shop, 100)
    assert len(alerts) == 16


def test_reports_in_time_are_silent_and_ones_from_before_the_labels_do_not_count(shop, monkeypatch):
    report(shop, PERFORMANCE, closed(0), verdict="insufficient_data")
    made_later(monkeypatch)
    report(shop, DRIFT, closed(0), verdict="stable", rows=500)
    assert look(shop, 7)[1] == []
    report(shop, DRIFT, closed(1), verdict="stable", rows=500)
    assert look(shop, 8)[1] == [("overdue", f"performance_report {closed(0)}")]


def test_a_report_of_a_run_that_failed_does_not_count_and_the_run_is_named(shop, monkeypatch):
    made_later(monkeypatch)

    @dg.op
    def reports_and_fails(context):
        metadata = {"verdict": "stable", "rows": 500}
        context.log_event(dg.AssetMaterialization(DRIFT, partition=closed(0), metadata=metadata))
        raise RuntimeError("no labels table")

    @dg.job(name="shop_monitoring", tags={"dagster/partition": closed(0)})
    def monitoring():
        reports_and_fails()

    result = monitoring.execute_in_process(instance=shop.instance, raise_on_error=False)
    look(shop, 1)
    (alert,) = Platform().outbox.newest(10)
    assert "its last run is FAILURE" in alert.message
    assert alert.link.endswith(f"/runs/{result.run_id}")


def test_without_a_run_the_schedule_is_named(shop):
    look(shop, 1)
    (alert,) = Platform().outbox.newest(10)
    assert f"no drift_report of window {closed(0)}" in alert.message
    assert "is the schedule shop_watch on?" in alert.message


def test_traffic_that_stopped_is_told_once(shop, monkeypatch):
    made_later(monkeypatch)
    for number, rows in enumerate([500, 0, 0]):
        report(shop, DRIFT, closed(number), verdict="stable", rows=rows)
        report(shop, PERFORMANCE, closed(number), verdict="insufficient_data")
    assert look(shop, 15)[1] == [("traffic", closed(1))]
    assert look(shop, 15)[1] == [("traffic", closed(1))]


@pytest.mark.parametrize(
    ("rows", "quiet"),
    [
        ([], None),
        ([0], None),
        ([500], None),
        ([500, 0], "1"),
        ([500, 0, 0], "1"),
        ([500, 0, 300], None),
        ([20, 0], None),
        ([0, 0], None),
    ],
)
def test_when_traffic_stopped(rows, quiet):
    assert gone_quiet([(str(n), count) for n, count in enumerate(rows)], 200) == quiet


def watched_at(weeks: int) -> datetime:
    """When the schedule of a model without windows ticks."""
    return datetime.combine(monday(weeks), time(0, 30), UTC)


@pytest.fixture
def fixed(lab):
    """A model without windows, which serves since now."""
    lab.declare(
        weekly(cadence="none", start=None, training={"hold_out": 0.3}, columns__label_delay="7d")
    )
    serve(lab)
    return lab


def test_without_windows_both_reports_are_due_each_week(fixed):
    due = [("overdue", f"{asset.path[-1]} {closed(1)}") for asset in (DRIFT, PERFORMANCE)]
    assert look(fixed, 0.9)[1] == []
    assert look(fixed, 1)[1] == due
    assert look(fixed, 7.9)[1] == due
    assert len(look(fixed, 8)[1]) == 4
    (alert, *_) = Platform().outbox.newest(10)
    assert alert.message == (
        f"no drift_report since {closed(1)}, and one is due every week; no run was asked for: is "
        "the schedule shop_watch on?"
    )


def test_without_windows_the_reports_of_the_last_monday_are_in_time(fixed, monkeypatch):
    monkeypatch.setattr("time.time", watched_at(1).timestamp)
    for asset in (DRIFT, PERFORMANCE):
        event = dg.AssetMaterialization(asset, metadata={"verdict": "stable"})
        fixed.instance.report_runless_asset_event(event)
    assert look(fixed, 7.9)[1] == []
    assert len(look(fixed, 8)[1]) == 2


def test_a_window_that_was_marked_by_hand_was_not_reported_on(fixed, monkeypatch):
    monkeypatch.setattr("time.time", watched_at(1).timestamp)
    for asset in (DRIFT, PERFORMANCE):
        fixed.instance.report_runless_asset_event(dg.AssetMaterialization(asset))
    assert len(look(fixed, 7.9)[1]) == 2


def test_without_windows_the_run_that_failed_is_named(fixed):
    run = dg.DagsterRun(job_name="shop_monitoring", status=dg.DagsterRunStatus.FAILURE)
    fixed.instance.run_storage.add_historical_run(run, watched_at(1))
    look(fixed, 1)
    (alert, _) = Platform().outbox.newest(10)
    assert "its last run is FAILURE" in alert.message
    assert alert.link.endswith(f"/runs/{run.run_id}")


@pytest.mark.parametrize("launched_as", ["a job", "chosen assets"])
def test_a_run_that_never_ends_is_told(shop, launched_as):
    started = dg.DagsterRunStatus.STARTED
    if launched_as == "a job":
        job = shop.definitions.resolve_job_def("shop_lifecycle")
        run = shop.instance.create_run_for_job(job_def=job, status=started)
        shop.instance.add_run_tags(run.run_id, {"mlops/model": "shop"})
    else:
        # As the button Materialize does: it sets no tag.
        asset = dg.AssetKey(["shop", "raw_data"])
        job = shop.definitions.resolve_implicit_job_def_def_for_assets([asset])
        run = shop.instance.create_run_for_job(
            job_def=job, status=started, asset_selection=frozenset([asset])
        )
    _, alerts = look(shop, 1.1)
    assert ("overdue", run.run_id) in alerts
