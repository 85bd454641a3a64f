"""kill -9 of the process that trains or promotes: the champion serves on, a re-run completes."""

import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
import urllib.request
from multiprocessing.process import BaseProcess
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.rollout.journal import Journal
from mlops_assets.resources.executor import PRELOADED
from mlops_assets_tests.harness import Lab, errors, visits, week, weekly

ESTIMATOR = "mlops_assets_tests.slow_estimator.waiting_logistic_regression"


def work(folder: Path, name: str, window: str, die_at: int, env: dict[str, str]) -> None:
    """What the worker does: the lifecycle, until it kills itself before one of its writes."""
    os.environ.clear()
    os.environ.update(env)
    writes = itertools.count(1)
    for owner, names in (
        (Registry, ("set_alias", "drop_alias", "create")),
        (Journal, ("begin", "finish")),
    ):
        for each in names:
            setattr(owner, each, counting(writes, getattr(owner, each), die_at))
    with dg.DagsterInstance.get() as instance:
        lab = Lab(folder, instance)
        lab.reload(name)
        sys.exit(not lab.run("lifecycle", window).success)


def counting(writes, write, die_at):
    def counted(*arguments, **named):
        if next(writes) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*arguments, **named)

    return counted


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


def start(lab: Lab, die_at: int = 0, **env: str) -> BaseProcess:
    """The lifecycle of week 3 in a process of its own, from a server that has the libraries."""
    clean = multiprocessing.get_context("forkserver")
    clean.set_forkserver_preload(PRELOADED)
    arguments = (lab.folder, lab.spec.name, week(3), die_at, dict(os.environ | env))
    worker = clean.Process(target=work, args=arguments)
    worker.start()
    return worker


def served(lab: Lab) -> int:
    """The version that answers a prediction now."""
    record = {"interest": 0.5, "minutes": 3.0, "visit": "x", "at": "2026-02-01", "customer": "c"}
    request = urllib.request.Request(
        f"{lab.settings.endpoint}/predict/shop", data=json.dumps([record]).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())["version"]


def versions(lab: Lab) -> list[int]:
    found = lab.registry.client.search_model_versions("name='shop'")
    return sorted(int(v.version) for v in found)


def test_killed_while_training(shop, tmp_path):
    marker = tmp_path / "fitting"
    shop.declare(weekly(estimator={"class": ESTIMATOR, "params": {"C": 10.0}}))
    worker = start(shop, MLOPS_TEST_WAIT=str(marker))
    wait_for(marker, worker)
    worker.kill()
    worker.join()

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
    worker.join(180)
    assert worker.exitcode == -signal.SIGKILL

    assert served(shop) in (1, 2)
    assert shop.aliases()["champion"] in (1, 2)

    again = shop.run("lifecycle", week(3))
    assert again.success, errors(again)
    assert shop.aliases() == {"champion": 2, "previous": 1}
    assert served(shop) == 2
    assert versions(shop) == [1, 2], "a repeat trained again what was there"
    assert shop.journal.unfinished("shop") is None
    shop.journal.verify()


def wait_for(marker: Path, worker: BaseProcess) -> None:
    """Wait until the worker fits."""
    for _ in range(1200):
        if marker.exists():
            return
        assert worker.is_alive(), "the worker ended before it fitted"
        time.sleep(0.1)
    raise AssertionError("the worker never fitted")
