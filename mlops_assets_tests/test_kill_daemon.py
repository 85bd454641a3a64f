"""kill -9 of Dagster's daemon at every write of a sensor's tick: one retrain, one alert."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.definitions import resources
from mlops_assets.lifecycle.alerts.outbox import Outbox
from mlops_assets.lifecycle.reports import Advice, DriftReport, PerformanceReport
from mlops_assets_tests.harness import Lab, week, weekly

pytestmark = pytest.mark.slow

WRITES = (
    "create_tick",
    "update_tick",
    "add_instigator_state",
    "update_instigator_state",
    "create_run",
    "submit_run",
)
# Of a tick that asks for a run, all of them; what comes after is the next tick.
MOST_WRITES = 9

# The command `dagster-daemon run`, killed before its nth write about a tick.
DAEMON = f"""
import os, signal, sys
from dagster import DagsterInstance
from dagster._daemon.cli import main

die_at, writes = int(sys.argv.pop(1)), 0

def counting(write):
    def counted(*arguments, **named):
        global writes
        writes += 1
        if writes == die_at:
            os.killpg(0, signal.SIGKILL)
        return write(*arguments, **named)
    return counted

for name in {WRITES}:
    setattr(DagsterInstance, name, counting(getattr(DagsterInstance, name)))
main()
"""

# Nothing but the sensor and the job that it asks for; no run is ever taken from the queue.
LOCATION = """
from pathlib import Path
import dagster as dg
from mlops_assets.components.lifecycle import lifecycle_definitions
from mlops_assets.definitions import resources
from mlops_assets.lifecycle.spec import load_specs

def only_the_sensor():
    folder = Path(__file__).parent
    made = lifecycle_definitions(load_specs(folder)["shop"][0], folder)
    return dg.Definitions(
        assets=made.assets,
        jobs=[job for job in made.jobs if job.name == "shop_lifecycle"],
        sensors=[sensor for sensor in made.sensors if sensor.name == "shop_on_drift"],
        resources=resources(),
    )

defs = only_the_sensor()
"""
SETTINGS = "concurrency: {runs: {max_concurrent_runs: 0}}\ntelemetry: {enabled: false}\n"


@pytest.fixture
def shop(home, tmp_path, monkeypatch):
    """A model with a drifted report and the advice to refit, and a Dagster home."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(SETTINGS, "utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        lab = Lab(tmp_path / "project", instance)
        start = date.today() - timedelta(weeks=6)
        lab.declare(weekly(start=start.isoformat()))
        (lab.folder / "location.py").write_text(LOCATION, "utf-8")
        report(lab, week(4, start))
        yield lab


def report(lab: Lab, window: str) -> None:
    """Store both reports on a window and the advice on them, as a monitoring run does."""
    now = datetime.now(UTC)
    same = {"model": "shop", "window": window, "version": 1, "created_at": now}
    drift = DriftReport(
        **same, rows=500, reference_rows=500, columns=[], share=1.0, drifted=True,
        verdict="drifted", false_alarms=0.01, html=None,
    )  # fmt: skip
    performance = PerformanceReport(
        **same, metric="log_loss", predictions=500, labelled=0, realised=None, hold_out=None,
        drop=0.1, verdict="insufficient_data",
    )  # fmt: skip
    advice = Advice(
        **same, action="refit", reasons=["the answers drifted"], columns=["interest"],
        drift_report_at=now, performance_report_at=now,
    )  # fmt: skip
    stored = resources()["reports"]
    for name, value in (
        ("drift_report", drift), ("performance_report", performance), ("advice", advice)
    ):  # fmt: skip
        stored.write(stored.path(dg.AssetKey(["shop", name]), window), value)
    event = dg.AssetMaterialization(
        ["shop", "drift_report"], partition=window, metadata={"verdict": "drifted"}
    )
    lab.instance.report_runless_asset_event(event)


def daemon(lab: Lab, die_at: int, log: Path) -> subprocess.Popen:
    """Start the daemon, with its code server, in a process group of its own."""
    arguments = [str(die_at), "run", "-f", str(lab.folder / "location.py")]
    with log.open("ab") as written:
        return subprocess.Popen(
            [sys.executable, "-c", DAEMON, *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=written,
            stderr=written,
            start_new_session=True,
        )


def asked(lab: Lab) -> list[str]:
    return [run.tags["mlops/report"] for run in lab.instance.get_runs()]


def cursor(lab: Lab) -> str | None:
    states = [s for s in lab.instance.all_instigator_state() if s.name == "shop_on_drift"]
    return getattr(states[0].instigator_data, "cursor", None) if states else None


def test_one_report_asks_once_however_often_the_daemon_is_killed(shop, tmp_path):
    log = tmp_path / "daemon.log"
    (record,) = shop.instance.fetch_materializations(
        dg.AssetKey(["shop", "drift_report"]), limit=9
    ).records
    wanted = str(record.storage_id)
    for die_at in range(1, MOST_WRITES + 1):
        process = daemon(shop, die_at, log)
        try:
            assert process.wait(300) == -signal.SIGKILL, log.read_text("utf-8")[-3000:]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert asked(shop) in ([], [wanted])
    last = daemon(shop, 0, log)
    try:
        for _ in range(1200):
            if cursor(shop) == wanted:
                break
            assert last.poll() is None, log.read_text("utf-8")[-3000:]
            time.sleep(0.25)
    finally:
        os.killpg(last.pid, signal.SIGKILL)
        last.wait()
    assert cursor(shop) == wanted
    assert asked(shop) == [wanted]
    told = Outbox(shop.settings.database_url).newest(9)
    assert [each.kind for each in told] == ["drift"]
