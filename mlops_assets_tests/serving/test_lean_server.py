"""What a server of packed versions holds in memory, and what happens when its follower dies."""

import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from mlops_assets.lifecycle.prediction_log import PredictionLog, Record
from mlops_assets.serving import feed
from mlops_assets.serving.feed import HEARTBEAT
from mlops_assets.serving.following import Followed
from mlops_assets_tests.serving.conftest import process, running, serves, wait_for

IMPORTED = re.compile(r"^import time:.*\|\s+(mlflow|pandas|sklearn|skops|pyarrow)$", re.MULTILINE)


def children(parent: int) -> dict[int, str]:
    """The command line of each child process, by its id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(state[1]) == parent and state[0] != "Z":
                found[int(folder.name)] = command
    return found


def followers(parent: int) -> list[int]:
    return [pid for pid, command in children(parent).items() if "serving.follower" in command]


def maps(pid: int) -> str:
    """What a process has mapped; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_server_of_packed_versions_imports_no_mlflow_pandas_or_sklearn(own_bench):
    version = own_bench.line("lean", 2.0, packed=True)
    own_bench.promote(version)
    # Every import of the server is told on standard error.
    with process(own_bench.settings, flags=("-X", "importtime")) as (server, base):
        with httpx.Client(base_url=base) as client:
            wait_for(serves(client, version))
            reply = client.post("/predict/lean", json=[{"x": 5.0}, {"x": None}])
            assert reply.status_code == 422, reply.text
            reply = client.post("/predict/lean", json={"x": 5.0})
            assert reply.json()["predictions"][0]["prediction"] == pytest.approx(10.0)
        (follower,) = followers(server.pid)
        ours, theirs = maps(server.pid), maps(follower)
    told = (own_bench.settings.home / "server.log").read_text()
    assert re.search(r"^import time:.*\| +mlops_assets\.serving\.models$", told, re.MULTILINE)
    assert IMPORTED.findall(told) == []
    for library in ("sklearn", "pandas", "pyarrow"):
        assert f"/{library}/" not in ours
    assert "/sqlalchemy/" in theirs


def test_a_follower_that_is_killed_is_started_anew_and_the_models_serve_on(own_bench):
    first, second = own_bench.line("led", 2.0, packed=True), own_bench.line("led", -3.0, True)
    own_bench.promote(first)
    with process(own_bench.settings) as (server, base), httpx.Client(base_url=base) as client:
        wait_for(serves(client, first))
        (follower,) = followers(server.pid)
        os.kill(follower, signal.SIGKILL)
        (again,) = wait_for(lambda: set(followers(server.pid)) - {follower})
        assert client.post("/predict/led", json={"x": 1.0}).status_code == 200
        assert client.get("/v2/health/live").json() == {"live": True}
        own_bench.promote(second)
        wait_for(serves(client, second), 60)
        server.kill()
        # It ends with its server, however that ended.
        wait_for(lambda: not maps(again))


def test_a_server_whose_follower_is_silent_says_that_it_is_not_live(own_bench, tmp_path):
    (tmp_path / HEARTBEAT).touch()
    os.utime(tmp_path / HEARTBEAT, (0, 0))
    feed.write(tmp_path, feed.Feed())
    with running(own_bench.settings, following=Followed(tmp_path)) as client:
        assert client.get("/v2/health/live").status_code == 503
        assert "mlops_registry_followed 0.0" in client.get("/metrics").text
        feed.beat(tmp_path)
        assert client.get("/v2/health/live").status_code == 200
        assert "mlops_registry_followed 1.0" in client.get("/metrics").text


@pytest.mark.slow
def test_two_workers_answer_follow_and_are_replaced_when_they_die(own_bench):
    first, second = own_bench.line("pair", 2.0, packed=True), own_bench.line("pair", -3.0, True)
    own_bench.promote(first)
    with process(own_bench.settings, workers=2) as (server, base):

        def ask(times: int = 20) -> list[dict]:
            """Each on a connection of its own, which either worker may take."""
            replies = [httpx.post(f"{base}/predict/pair", json={"x": 1.0}) for _ in range(times)]
            return [reply.raise_for_status().json() for reply in replies]

        def ready() -> bool:
            return all(httpx.get(f"{base}/v2/health/ready").is_success for _ in range(20))

        def versions() -> set[int]:
            return {body["version"] for body in ask()}

        def workers() -> set[int]:
            return {p for p, command in children(server.pid).items() if "spawn_main" in command}

        def writers() -> set[str]:
            log = own_bench.settings.prediction_log / "pair"
            return {file.name.split("-")[0] for file in log.iterdir()}

        def answered() -> float:
            text = httpx.get(f"{base}/metrics").text
            total = re.compile(r'^mlops_requests_total{.*status="200".*} (\S+)$', re.MULTILINE)
            return sum(map(float, total.findall(text)))

        def logged() -> list[Record]:
            return PredictionLog(own_bench.settings.prediction_log).read("pair").records

        wait_for(lambda: len(workers()) == 2)
        wait_for(ready, 60)
        wait_for(lambda: ask() and len(writers()) == 2, 60)
        assert len(followers(server.pid)) == 1
        assert not any(followers(worker) for worker in workers())
        own_bench.promote(second)
        wait_for(lambda: versions() == {second.number})
        # What each has counted is told to the other: whoever is asked knows all.
        wait_for(lambda: all(answered() == len(logged()) for _ in range(20)), 60)
        victim, other = workers()
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(workers() - {victim, other}) == 1, 60)
        # The new one answers nobody before it has loaded what serves.
        wait_for(lambda: ask() and len(writers()) == 3, 240)
        given = [body["predictions"][0]["prediction_id"] for body in ask()]
        assert set(given) <= {record.prediction_id for record in logged()}
        # A dead worker's counts are kept: a sum that fell would look like a restart.
        wait_for(lambda: answered() == len(logged()), 60)
        server.terminate()
        assert server.wait(20) == 0
        assert workers() == set()
