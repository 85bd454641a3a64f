"""kill -9 of the process that trains or promotes: the champion serves on, a re-run completes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets_tests.harness import Lab, errors, visits, week, weekly

ESTIMATOR = "mlops_assets_tests.slow_estimator.waiting_logistic_regression"

WORKER = """
import os, signal, sys
from pathlib import Path
import dagster as dg
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets_tests.harness import Lab

folder, name, window, die_at = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
writes = 0

def counting(write):
    def counted(*arguments, **named):
        global writes
        writes += 1
        if writes == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*arguments, **named)
    return counted

if die_at:
    for owner, names in ((Registry, ("set_alias", "drop_alias", "create")),
                         (Journal, ("begin", "finish"))):
        for each in names:
            setattr(owner, each, counting(getattr(owner, each)))
with dg.DagsterInstance.get() as instance:
    lab = Lab(folder, instance)
    lab.reload(name)
    sys.exit(not lab.run("lifecycle", window).success)
"""


@pytest.fixture
def shop(home, tmp_path, monkeypatch):
    """A served first model, in a Dagster home that outlives its processes."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.get() as instance:
        lab = Lab(tmp_path / "project", instance)
        lab.write(visits(5, slope=3.0))
        lab.declare(weekly(estimator={"class": ESTIMATOR, "params": {"C": 0.001}}))
        assert lab.fill(0, 3).success
        with lab.server():
            first = lab.run("lifecycle", week(2))
            assert first.success, errors(first)
            yield lab


def start(lab: Lab, die_at: int = 0, **env: str) -> subprocess.Popen:
    """The lifecycle of week 3 in a process of its own."""
    arguments = [str(lab.folder), lab.spec.name, week(3), str(die_at)]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments],
        env=os.environ | env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def served(lab: Lab) -> int:
    """The version that answers a prediction now."""
    record = {"interest": 0.5, "minutes": 3.0, "visit": "x", "at": "2026-02-01", "customer": "c"}
    request = urllib.request.Request(
        f"{lab.settings.endpoint}/predict/shop", data=json.dumps([record]).encode()
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())["version"]


def versions(lab: Lab) -> list[int]:
    found = lab.registry.client.search_model_versions("name='shop'")
    return sorted(int(v.version) for v in found)


def test_killed_while_training(shop, tmp_path):
    marker = tmp_path / "fitting"
    shop.declare(weekly(estimator={"class": ESTIMATOR, "params": {"C": 10.0}}))
    worker = start(shop, MLOPS_TEST_WAIT=str(marker))
    wait_for(marker, worker)
    worker.send_signal(signal.SIGKILL)
    worker.wait()

    assert served(shop) == 1
    assert versions(shop) == [1], "half a version was registered"
    assert shop.aliases() == {"champion": 1}

    again = shop.run("lifecycle", week(3))
    assert again.success, errors(again)
    assert shop.aliases() == {"champion": 2, "previous": 1}
    assert served(shop) == 2
    runs = shop.registry.client.search_runs(
        [shop.registry.client.get_experiment_by_name("shop").experiment_id]
    )
    assert {r.info.status for r in runs} == {"FINISHED", "KILLED"}, "an MLflow run was left running"


# The writes: create the version, alias challenger; journal begun, alias previous, alias champion,
# alias challenger dropped, journal done.
@pytest.mark.slow
@pytest.mark.parametrize("die_at", range(1, 8))
def test_killed_before_each_write(shop, die_at):
    shop.declare(weekly(estimator={"class": ESTIMATOR, "params": {"C": 10.0}}))
    worker = start(shop, die_at)
    assert worker.wait(180) == -signal.SIGKILL

    assert served(shop) in (1, 2)
    assert shop.aliases()["champion"] in (1, 2)

    again = shop.run("lifecycle", week(3))
    assert again.success, errors(again)
    assert shop.aliases() == {"champion": 2, "previous": 1}
    assert served(shop) == 2
    assert versions(shop) == [1, 2], "a repeat trained again what was there"
    assert shop.journal.unfinished("shop") is None
    shop.journal.verify()


def wait_for(marker: Path, worker: subprocess.Popen) -> None:
    """Wait until the worker fits."""
    for _ in range(1200):
        if marker.exists():
            return
        assert worker.poll() is None, "the worker ended before it fitted"
        time.sleep(0.1)
    raise AssertionError("the worker never fitted")
