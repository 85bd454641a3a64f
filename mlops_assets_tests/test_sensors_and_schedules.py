"""The loop by itself: sensors on real reports, schedules, and the alerts that reach people."""

import json
import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import numpy as np
import pytest
import sqlalchemy as sa

from mlops_assets.assets.incident import failed_runs
from mlops_assets.automation.alerts import failure_sensor
from mlops_assets.components.lifecycle import lifecycle_definitions
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.alerts.outbox import Outbox
from mlops_assets.lifecycle.alerts.tables import CHANNELS, DELIVERIES
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets_tests.harness import errors, free_port, of_week, visits, week, weekly

# Five windows are complete and the sixth is three days old, whatever day it is.
FIRST = datetime.now(UTC).date() - timedelta(weeks=5, days=3)
DRIFT = dg.AssetKey(["live", "drift_report"])
DECAY = dg.AssetKey(["live", "performance_report"])
NEWEST = week(4, FIRST)


def live(**changes):
    """A model that a null does not stop, so that broken data can reach the monitors."""
    estimator = {
        "class": "sklearn.ensemble.HistGradientBoostingClassifier",
        "params": {"max_iter": 20},
    }
    declared = {
        "start": FIRST.isoformat(),
        "estimator": estimator,
        "alerts": ["team"],
        "monitoring__decay": {"drop": 0.1},
        "retrain__on": ["drift", "decay"],
    }
    return weekly("live", **(declared | changes))


class Inbox:
    """A webhook: a real HTTP server that keeps what it is sent, and answers with ``status``."""

    def __init__(self):
        self.alerts = []
        self.status = 200
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if inbox.status is None:  # hangs up without an answer
                    self.close_connection = True
                    return
                inbox.alerts.append(json.loads(body))
                self.send_response(inbox.status)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"

    @contextmanager
    def listening(self):
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


@pytest.fixture(scope="module")
def server_of_alerts():
    with Inbox().listening() as inbox:
        yield inbox


@pytest.fixture
def inbox(server_of_alerts):
    """The webhook, emptied."""
    server_of_alerts.alerts.clear()
    server_of_alerts.status = 200
    return server_of_alerts


@pytest.fixture(autouse=True)
def channels(server_of_alerts, tmp_path_factory, monkeypatch):
    """The alerts file names the webhook by an environment variable."""
    file = tmp_path_factory.mktemp("alerts") / "alerts.yaml"
    file.write_text('team: {type: webhook, url: "{{ env.TEAM_WEBHOOK }}"}\n', "utf-8")
    monkeypatch.setenv("MLOPS_ALERTS", str(file))
    monkeypatch.setenv("TEAM_WEBHOOK", server_of_alerts.url)
    return file


@pytest.fixture(scope="module")
def watched(shared_lab, tmp_path_factory):
    """A served model and four reports on real traffic, in this order:

    window 3 stable and healthy, 4 drifted and decayed, 1 drifted, 2 broken.
    """
    lab = shared_lab
    frame = visits(5, start=FIRST)
    lab.write(frame)
    # Here the alerts go to the console: the fixture outlives the tests' alerts file.
    lab.declare(live(alerts=["console"]))
    assert lab.fill(0, 4).success
    rng = np.random.default_rng(0)
    asked = frame.assign(interest=frame["interest"].where(~_in(frame, 1, 4), frame["interest"] + 2))
    # In window 4 customers ask for one thing and buy another.
    asked.loc[of_week(frame, 4, FIRST), "interest"] = rng.permutation(
        asked.loc[of_week(frame, 4, FIRST), "interest"]
    )
    asked["minutes"] = asked["minutes"].mask(of_week(frame, 2, FIRST))
    with lab.server() as url:
        first = lab.run("lifecycle", week(2, FIRST))
        assert first.success, errors(first)
        for number in (1, 2, 3, 4):
            lab.ask(url, asked[of_week(frame, number, FIRST)])
    verdicts = []
    for number in (3, 4, 1, 2):
        result = lab.run("monitoring", week(number, FIRST))
        assert result.success, errors(result)
        verdicts.append(lab.stored("drift_report", week(number, FIRST)).verdict)
    assert verdicts == ["stable", "drifted", "drifted", "broken"]
    assert lab.stored("performance_report", week(3, FIRST)).verdict == "healthy"
    assert lab.stored("performance_report", week(4, FIRST)).verdict == "decayed"
    return lab


def _in(frame, *numbers):
    return np.logical_or.reduce([of_week(frame, number, FIRST) for number in numbers])


@pytest.fixture
def lab(watched):
    """The watched model as declared; runs that a test adds are taken away again."""
    before = {run.run_id for run in watched.instance.get_runs()}
    watched.declare(live(retrain__on=["drift"]))
    empty_outbox(watched)
    yield watched
    for run in watched.instance.get_runs():
        if run.run_id not in before:
            watched.instance.delete_run(run.run_id)


def empty_outbox(lab):
    """Nobody was told of anything yet."""
    Outbox(lab.settings.database_url)
    with sa.create_engine(lab.settings.database_url).begin() as connection:
        connection.execute(DELIVERIES.delete())
        connection.execute(CHANNELS.delete())


class Said(logging.Handler):
    """What a sensor logs."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def tick(lab, cursor=None, on="drift", said=None, definitions=None):
    """One evaluation of a sensor, as the daemon makes it."""
    definitions = definitions or lab.definitions
    sensor = definitions.resolve_sensor_def(f"live_on_{on}")
    with dg.build_sensor_context(
        instance=lab.instance, definitions=definitions, cursor=cursor, resources=resources()
    ) as context:
        if said is not None:
            context.log.addHandler(said)
        return sensor.evaluate_tick(context)


def ids(lab, key=DRIFT):
    """Storage ids of the reports by window number."""
    records = lab.instance.fetch_materializations(key, limit=100).records
    numbers = {week(n, FIRST): n for n in range(5)}
    return {numbers[r.partition_key]: r.storage_id for r in records if r.partition_key in numbers}


def before(lab, number, key=DRIFT):
    """The cursor of a sensor that has read all but the reports from this one on."""
    return str(ids(lab, key)[number] - 1)


def past_run(lab, trigger="drift", status=dg.DagsterRunStatus.SUCCESS, **tags):
    """A run of the lifecycle in the instance's history."""
    job = lab.definitions.resolve_job_def("live_lifecycle")
    tags = {"mlops/trigger": trigger} | {f"mlops/{k}": v for k, v in tags.items()}
    return lab.instance.create_run_for_job(job_def=job, status=status, tags=tags)


# --- sensors --------------------------------------------------------------------------------


def test_a_stable_report_asks_for_nothing_and_says_why(lab, inbox):
    found = ids(lab)
    data = tick(lab, cursor=None)
    assert found[3] == min(found.values()), "the stable report is the first"
    # The stable report is read first, the drifted one after it asks.
    assert len(data.run_requests) == 1
    lab.declare(live(retrain__on=[]))
    quiet = tick(lab, cursor=before(lab, 3))
    assert quiet.run_requests == []
    assert f"{week(3, FIRST)}: nothing to do: stable" in quiet.skip_message


def test_a_drifted_report_asks_for_one_retrain_of_the_newest_complete_window(lab, inbox):
    data = tick(lab, before(lab, 4))
    (request,) = data.run_requests
    report = str(ids(lab)[4])
    assert request.run_key == f"live:drift:{report}"
    assert request.partition_key == NEWEST
    assert request.tags["mlops/trigger"] == "drift"
    assert request.tags["mlops/report"] == report
    assert request.tags["mlops/report_window"] == week(4, FIRST)
    assert data.cursor == report


def test_a_window_that_was_filled_in_later_is_old_news(lab, inbox):
    data = tick(lab, before(lab, 1))
    assert data.run_requests == []
    assert f"old news: window {week(4, FIRST)} has a verdict already" in data.skip_message
    assert [a["kind"] for a in inbox.alerts] == ["data"], "of the broken window after it only"


def test_a_newer_report_whose_run_failed_makes_nothing_old_news(lab, inbox):
    @dg.op
    def report(context):
        metadata = {"verdict": "stable"}
        event = dg.AssetMaterialization(DRIFT, partition=week(5, FIRST), metadata=metadata)
        context.log_event(event)
        raise RuntimeError("no labels table")

    @dg.job
    def monitoring_that_fails():
        report()

    cursor = before(lab, 4)
    failed = monitoring_that_fails.execute_in_process(instance=lab.instance, raise_on_error=False)
    assert not failed.success
    assert len(tick(lab, cursor).run_requests) == 1


def test_labels_that_come_late_move_the_retrain_to_an_earlier_window(lab, inbox):
    lab.declare(live(retrain__on=["drift"], columns__label_delay="10d"))
    (request,) = tick(lab, before(lab, 4)).run_requests
    assert request.partition_key == week(3, FIRST)


def test_with_the_new_cursor_the_same_report_asks_for_nothing(lab, inbox):
    first = tick(lab, before(lab, 4))
    assert len(first.run_requests) == 1
    again = tick(lab, str(max(ids(lab).values())))
    assert again.run_requests == []
    assert again.skip_message == "no new drift_report"


def test_a_report_that_started_a_retrain_never_starts_another_whatever_the_cursor(lab, inbox):
    (request,) = tick(lab, before(lab, 4)).run_requests
    past_run(lab, report=request.tags["mlops/report"], report_window=week(4, FIRST))
    lab.declare(live(retrain__on=["drift"], retrain__cooldown="0s"))
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert f"report {ids(lab)[4]} has already started a retrain" in data.skip_message


def test_every_report_since_the_cursor_is_read_and_none_asks_twice(lab, inbox):
    cursor, asked, seen = None, [], []
    for _ in range(6):
        data = tick(lab, cursor)
        asked += [r.tags["mlops/report_window"] for r in data.run_requests]
        seen.append(data.cursor)
        cursor = data.cursor
    found = ids(lab)
    assert asked == [week(4, FIRST)]
    assert cursor == str(max(found.values()))
    told = [a["message"] for a in inbox.alerts]
    assert [t.split(": ")[1].split(";")[0] for t in told] == ["drifted", "broken"]
    assert told[0].endswith("a retrain is asked for (refit)")


def test_a_report_whose_run_still_runs_waits_and_keeps_the_cursor(lab, inbox):
    seen = {}

    @dg.op
    def report(context):
        verdict = {"verdict": "drifted"}
        context.log_event(dg.AssetMaterialization(DRIFT, partition=NEWEST, metadata=verdict))
        seen["during"] = tick(lab, last)

    @dg.job
    def monitoring_under_way():
        report()

    last = str(max(ids(lab).values()))
    assert monitoring_under_way.execute_in_process(instance=lab.instance).success
    during, after = seen["during"], tick(lab, last)
    assert during.run_requests == []
    assert "still under way" in during.skip_message
    assert during.cursor in (None, last)
    assert inbox.alerts[0]["kind"] == "drift"
    assert len(inbox.alerts) == 1
    assert [r.tags["mlops/report_window"] for r in after.run_requests] == [NEWEST]
    assert int(after.cursor) > int(last)


def test_during_the_cooldown_nothing_is_asked_for(lab, inbox):
    past_run(lab, "schedule")
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert "cooling down until" in data.skip_message
    assert [a["kind"] for a in inbox.alerts] == ["drift", "data"], "people hear of it all the same"
    assert "; cooling down until" in inbox.alerts[0]["message"]


def test_a_run_by_hand_does_not_cool_the_sensor_down(lab, inbox):
    past_run(lab, "manual")
    assert len(tick(lab, before(lab, 4)).run_requests) == 1


def test_a_spent_weekly_budget_asks_a_person(lab, inbox):
    lab.declare(live(retrain__on=["drift"], retrain__cooldown="0s", retrain__max_per_week=2))
    for number in (7, 8):
        past_run(lab, report=str(number), report_window=f"2020-01-0{number}")
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert "retrain.max_per_week is 2: asks a person" in data.skip_message


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
def test_a_retrain_under_way_keeps_the_sensor_from_asking(lab, inbox, status):
    past_run(lab, "manual", status)
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert "a retrain is under way since" in data.skip_message


def test_a_retrain_that_failed_on_the_window_asks_a_person(lab, inbox):
    lab.declare(live(retrain__on=["drift"], retrain__cooldown="0s"))
    failed = dg.DagsterRunStatus.FAILURE
    for number in (1, 4):
        past_run(lab, "drift", failed, report="7", report_window=week(number, FIRST))
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert "asks a person" in data.skip_message


def test_with_an_empty_on_a_drifted_report_only_alerts(lab, inbox):
    lab.declare(live(retrain__on=[]))
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert "drifted, and retrain.on is empty" in data.skip_message
    assert [a["kind"] for a in inbox.alerts] == ["drift", "data"]


def test_broken_data_alerts_and_starts_no_retrain(lab, inbox):
    data = tick(lab, before(lab, 2))
    assert data.run_requests == []
    assert "fix the data, no retrain on it: minutes is broken" in data.skip_message
    (alert,) = inbox.alerts
    assert alert["kind"] == "data"
    assert alert["message"].startswith(f"drift_report of window {week(2, FIRST)}: broken; advice")


def test_a_decayed_report_asks_for_a_retrain_of_its_own(lab, inbox):
    lab.declare(live())
    data = tick(lab, before(lab, 4, DECAY), on="decay")
    (request,) = data.run_requests
    assert request.run_key == f"live:decay:{ids(lab, DECAY)[4]}"
    assert request.tags["mlops/trigger"] == "decay"
    assert request.partition_key == NEWEST
    assert [a["kind"] for a in inbox.alerts] == ["decay"]


def test_drift_and_decay_of_one_window_start_one_retrain(lab, inbox):
    lab.declare(live(retrain__cooldown="0s"))
    drift = tick(lab, before(lab, 4))
    assert drift.run_requests == []
    assert "drifted; live_on_decay answers for the window" in drift.skip_message
    (request,) = tick(lab, before(lab, 4, DECAY), on="decay").run_requests
    assert request.tags["mlops/report_window"] == week(4, FIRST)


# --- the advice -----------------------------------------------------------------------------


@pytest.fixture
def advised(lab):
    """Changes the stored advice on window 4, for a test."""
    file = lab.file("advice", NEWEST)
    stored, manager = file.read_bytes(), resources()["reports"]
    advice = lab.stored("advice", NEWEST)

    def change(**fields):
        path = manager.path(dg.AssetKey(["live", "advice"]), NEWEST)
        manager.write(path, advice.model_copy(update=fields))

    yield change
    file.write_bytes(stored)


def test_the_run_is_told_what_the_advice_is(lab, inbox, advised):
    for action in ("refit", "recalibrate"):
        advised(action=action)
        (request,) = tick(lab, before(lab, 4)).run_requests
        assert request.tags["mlops/advice"] == action


def test_on_broken_data_nothing_is_trained_whatever_drifted(lab, inbox, advised):
    advised(action="fix_the_data", reasons=["minutes looks like seconds"])
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    alert = inbox.alerts[0]
    assert alert["kind"] == "data"
    assert "fix the data, no retrain on it: minutes looks like seconds" in alert["message"]


def test_what_the_advice_leaves_is_a_warning_in_the_log_and_calls_nobody(lab, inbox, advised):
    advised(action="leave", reasons=["the answers did not move"])
    said = Said()
    data = tick(lab, before(lab, 4), said=said)
    assert data.run_requests == []
    assert "the advice is to leave it: the answers did not move" in data.skip_message
    assert [line for line in said.lines if "advice: leave (the answers did not move)" in line]
    assert [a["kind"] for a in inbox.alerts] == ["data"], "of window 2"


def test_a_leave_that_wants_a_person_calls_one(lab, inbox, advised):
    advised(action="leave", needs_person=True)
    assert tick(lab, before(lab, 4)).run_requests == []
    assert inbox.alerts[0]["kind"] == "drift"


@pytest.mark.parametrize("report", ["drift_report_at", "performance_report_at"])
def test_an_advice_on_other_reports_is_void(lab, inbox, advised, report):
    advised(**{report: datetime(2026, 1, 1, tzinfo=UTC)})
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert "no advice says what to do: the advice of" in data.skip_message
    assert "is on earlier reports" in inbox.alerts[0]["message"]


@pytest.mark.parametrize("text", [None, "{", '{"type": "Advice", "report": {}}'])
def test_without_an_advice_people_are_told_and_nothing_is_trained(lab, inbox, advised, text):
    file = lab.file("advice", NEWEST)
    file.unlink() if text is None else file.write_text(text, "utf-8")
    data = tick(lab, before(lab, 4))
    assert data.run_requests == []
    assert inbox.alerts[0]["kind"] == "drift"
    assert "there is no advice on the window" in inbox.alerts[0]["message"]


def test_a_tick_that_is_evaluated_again_tells_nobody_twice(lab, inbox):
    """As after a kill before the cursor was written."""
    first, again = tick(lab, before(lab, 4)), tick(lab, before(lab, 4))
    assert [r.run_key for r in first.run_requests] == [r.run_key for r in again.run_requests]
    assert [a["kind"] for a in inbox.alerts] == ["drift"]


def test_a_run_by_hand_for_history_does_not_crowd_out_the_budget(lab, inbox):
    lab.declare(live(retrain__on=["drift"], retrain__cooldown="0s", retrain__max_per_week=1))
    past_run(lab, report="7", report_window="2020-01-07")
    for _ in range(101):
        past_run(lab, "manual")
    assert "max_per_week is 1: asks a person" in tick(lab, before(lab, 4)).skip_message


def test_a_gate_that_refused_is_told_as_such_and_ends_in_a_call_for_a_person(lab, inbox):
    never = {"metric": "log_loss", "margin": 0.02, "floor": {"roc_auc": 0.999}}
    changes = {"retrain__on": ["drift"], "retrain__give_up_after": 1, "retrain__cooldown": "0s"}
    lab.declare(live(gate=never, **changes))
    tags = {"mlops/trigger": "drift", "mlops/report": "7", "mlops/report_window": "2020-01-07"}
    result = lab.run("lifecycle", NEWEST, **tags)
    assert not result.success
    alert_of(lab, result)
    assert inbox.alerts[0]["kind"] == "rejected"
    assert "live_lifecycle failed: the gate refused: below_floor" in inbox.alerts[0]["message"]

    for _ in range(2):
        data = tick(lab, before(lab, 4))
        assert data.run_requests == []
        assert "the gate refused 1 retrains in a row" in data.skip_message
    assert [a["kind"] for a in inbox.alerts] == ["rejected", "escalation", "data"]

    past_run(lab, "manual", dg.DagsterRunStatus.FAILURE)
    assert len(tick(lab, before(lab, 4)).run_requests) == 1, "a person has trained"


# --- schedules ------------------------------------------------------------------------------


def at(lab, schedule, moment):
    definitions = lab.definitions
    with dg.build_schedule_context(
        instance=lab.instance,
        scheduled_execution_time=moment,
        repository_def=definitions.get_repository_def(),
        resources=resources(),
    ) as context:
        return definitions.resolve_schedule_def(schedule).evaluate_tick(context)


MONDAY = datetime(2026, 3, 2, 3, tzinfo=UTC)


@pytest.fixture
def planned(shared_lab):
    """Declares a model for the schedules, which read no data."""

    def declare(**changes):
        shared_lab.declare(weekly("live", **changes))
        return shared_lab

    return declare


def test_the_schedule_retrains_on_the_newest_complete_window(planned):
    data = at(planned(), "live_retrain", MONDAY)
    (request,) = data.run_requests
    assert request.partition_key == "2026-02-23"
    assert request.run_key == "live:schedule:2026-03-02T03:00"
    assert request.tags["mlops/trigger"] == "schedule"
    assert request.tags["dagster/partition"] == "2026-02-23"


@pytest.mark.parametrize(
    ("delay", "window"), [("3h", "2026-02-23"), ("4h", "2026-02-16"), ("7d", "2026-02-16")]
)
def test_the_schedule_waits_for_the_labels(planned, delay, window):
    (request,) = at(planned(columns__label_delay=delay), "live_retrain", MONDAY).run_requests
    assert request.partition_key == window


def test_before_the_first_window_is_complete_the_schedule_skips(planned):
    data = at(planned(), "live_retrain", datetime(2026, 1, 11, 3, tzinfo=UTC))
    assert data.run_requests == []
    assert "no window has complete labels yet (first: 2026-01-05)" in data.skip_message


@pytest.mark.parametrize("schedule", ["live_retrain", "live_watch"])
def test_after_the_end_of_the_grid_the_schedules_skip(planned, schedule):
    lab = planned(end="2026-02-02")
    last = at(lab, schedule, datetime(2026, 2, 2, 3, tzinfo=UTC))
    assert [r.partition_key for r in last.run_requests] == ["2026-01-26"]
    over = at(lab, schedule, MONDAY)
    assert over.run_requests == []
    assert over.skip_message


def test_the_watch_reports_on_the_window_that_closed_and_the_one_that_matured(planned):
    lab = planned(columns__label_delay="7d")
    data = at(lab, "live_watch", datetime(2026, 3, 2, 0, 30, tzinfo=UTC))
    assert sorted(r.partition_key for r in data.run_requests) == ["2026-02-16", "2026-02-23"]
    assert len({r.run_key for r in data.run_requests}) == 2
    without = at(planned(), "live_watch", datetime(2026, 3, 2, 0, 30, tzinfo=UTC))
    assert [r.partition_key for r in without.run_requests] == ["2026-02-23"]


def test_the_watch_runs_on_the_day_the_windows_begin(planned):
    lab = planned(start="2026-01-08")
    cron = lab.definitions.resolve_schedule_def("live_watch").cron_schedule
    assert cron == "30 0 * * 4"
    data = at(lab, "live_watch", datetime(2026, 1, 15, 0, 30, tzinfo=UTC))
    assert [r.partition_key for r in data.run_requests] == ["2026-01-08"]


def test_a_model_without_a_schedule_has_no_retrain_schedule(planned):
    lab = planned(retrain__schedule=None)
    names = [s.name for s in lab.definitions.get_repository_def().schedule_defs]
    assert names == ["live_watch"]


def test_a_model_without_windows_is_scheduled_without_a_partition(planned):
    lab = planned(
        cadence="none", start=None, training={"hold_out": 0.3}, retrain__schedule="0 3 * * 1"
    )
    for schedule in ("live_retrain", "live_watch"):
        (request,) = at(lab, schedule, MONDAY).run_requests
        assert request.partition_key is None


# --- alerts ---------------------------------------------------------------------------------


def alert_of(lab, result):
    """Evaluate the failure sensor on a run, as the daemon does."""
    failure = next(e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_instance=lab.instance,
        dagster_run=lab.instance.get_run_by_id(result.run_id),
        dagster_event=failure,
        resources=resources(),
    )
    with context.for_run_failure() as failed:
        failure_sensor(lab.folder)(failed)


def test_a_failed_run_reaches_the_channel_with_its_cause_and_a_link(lab, inbox):
    result = lab.run("lifecycle", week(0, FIRST))
    assert not result.success
    alert_of(lab, result)
    (alert,) = inbox.alerts
    assert alert["model"] == "live"
    assert alert["kind"] == "failure"
    assert "live_lifecycle failed: step live__trained_model" in alert["message"]
    assert "0 windows to train on, 2 wanted" in alert["message"]
    assert alert["link"].endswith(f"/runs/{result.run_id}")


def test_a_run_by_the_button_materialize_reaches_its_models_channel_and_its_incident_page(
    lab, inbox, capfd
):
    chosen = dg.AssetKey(["live", "trained_model"])
    job = lab.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        partition_key=week(0, FIRST),
        instance=lab.instance,
        raise_on_error=False,
        asset_selection=[chosen],
    )
    assert not result.success
    alert_of(lab, result)
    (alert,) = inbox.alerts
    assert alert["model"] == "live"
    assert "materializing live/trained_model failed: step" in alert["message"]
    runs = failed_runs(lab.instance, lab.spec, "http://d")()
    (run,) = [r for r in runs if r.run_id in alert["link"]]
    assert run.run_id == result.run_id
    assert run.job == "materializing live/trained_model"
    # A declaration that somebody is editing is no reason to tell nobody.
    file = lab.folder / "defs.yaml"
    declared = file.read_text("utf-8")
    file.write_text(declared.replace("task:", "tusk:"), "utf-8")
    alert_of(lab, result)
    file.write_text(declared, "utf-8")
    assert f"{alert['message']}" in capfd.readouterr().err
    assert len(inbox.alerts) == 1


def test_drift_reaches_the_channel_with_a_link_to_its_run(lab, inbox):
    tick(lab, before(lab, 4))
    (alert, *_) = inbox.alerts
    assert alert["model"] == "live"
    assert alert["kind"] == "drift"
    what = f"drift_report of window {week(4, FIRST)}: drifted; advice: refit (decayed on 400 mature"
    assert alert["message"].startswith(what)
    record = lab.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=DRIFT, asset_partitions=[NEWEST]), limit=1
    ).records[0]
    assert alert["link"].endswith(f"/runs/{record.run_id}")


def nobody_listens(inbox, monkeypatch):
    monkeypatch.setenv("TEAM_WEBHOOK", f"http://127.0.0.1:{free_port()}/")


def answers_500(inbox, monkeypatch):
    inbox.status = 500


def hangs_up(inbox, monkeypatch):
    inbox.status = None


def is_no_url(inbox, monkeypatch):
    monkeypatch.setenv("TEAM_WEBHOOK", "team-webhook")


def is_not_set(inbox, monkeypatch):
    monkeypatch.delenv("TEAM_WEBHOOK")


DOWN = [nobody_listens, answers_500, hangs_up, is_no_url, is_not_set]


@pytest.mark.parametrize("breaks", DOWN, ids=[f.__name__ for f in DOWN])
def test_a_webhook_that_is_down_is_logged_and_the_sensor_asks_all_the_same(
    lab, inbox, monkeypatch, breaks
):
    breaks(inbox, monkeypatch)
    said = Said()
    data = tick(lab, before(lab, 4), said=said)
    assert len(data.run_requests) == 1
    assert data.cursor == str(ids(lab)[4])
    assert [line for line in said.lines if "alert not delivered to team" in line]


@pytest.mark.parametrize("text", ["other: {type: console}", "team: {type: pigeon}"])
def test_an_alerts_file_that_changed_does_not_stop_a_running_sensor(lab, inbox, channels, text):
    definitions, said = lab.definitions, Said()
    channels.write_text(text, "utf-8")
    data = tick(lab, before(lab, 4), said=said, definitions=definitions)
    assert len(data.run_requests) == 1
    assert [
        line for line in said.lines if "not delivered to team" in line and str(channels) in line
    ]


def test_an_unknown_channel_is_an_error_that_names_file_and_key(lab, channels):
    spec = lab.declare(live(alerts=["taem"]))
    with pytest.raises(DeclarationError) as caught:
        lifecycle_definitions(spec, lab.folder)
    message = str(caught.value)
    assert f"{lab.folder / 'defs.yaml'}: alerts: no channel 'taem' in {channels}" in message
    assert "did you mean 'team'?" in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("team: {type: webhook, ulr: x}", "team.webhook.ulr"),
        ("team: {type: pigeon}", "pigeon"),
        ("team: [", "alerts.yaml"),
    ],
)
def test_an_alerts_file_that_is_wrong_is_an_error_that_names_it(lab, channels, text, named):
    channels.write_text(text, "utf-8")
    with pytest.raises(DeclarationError) as caught:
        lifecycle_definitions(lab.spec, lab.folder)
    assert str(channels) in str(caught.value)
    assert named in str(caught.value)
