"""Processes on a copy: the real server, and what else runs apart."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.rehearsal.copy import Copy

if TYPE_CHECKING:
    from mlops_assets.lifecycle.prediction_log import Record

HOST = "127.0.0.1"
STARTS = 120.0  # seconds
OURS = ("MLOPS_", "MLFLOW_", "DAGSTER_")
LOG_FILE = "serve.log"


def environment(copy: Copy) -> dict[str, str]:
    """The environment of a process on a copy: no address of production is left in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    trusted = os.environ.get("MLOPS_TRUSTED_TYPES")
    return (
        kept
        | ({"MLOPS_TRUSTED_TYPES": trusted} if trusted else {})
        | {"MLOPS_HOME": str(copy.home), "MLOPS_ARTIFACT_URL": copy.artifacts.as_uri()}
    )


@contextmanager
def server(copy: Copy) -> Iterator[int]:
    """``mlops-assets serve`` on a copy, in a process of its own; its port.

    Raises
    ------
    RolloutError
        When it does not come up.
    """
    port = _free_port()
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", str(port)]
    with (copy.home / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(command, env=environment(copy), stdout=log, stderr=log)
    try:
        _wait(process, port, copy)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, copy: Copy) -> None:
    end = time.monotonic() + STARTS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if _call(port, "GET", "/v2/health/ready")[0] == 200:
                return
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.1)
    raise RolloutError(f"the server on the copy did not come up: see {copy.home / LOG_FILE}")


class Asker:
    """Asks the server all the time, and remembers who answered when.

    Parameters
    ----------
    copy : Copy
    port : int
    records : list of Record
        What is asked, over and over.
    """

    def __init__(self, copy: Copy, port: int, records: "list[Record]"):
        self._path = f"/predict/{copy.spec.name}"
        self._port = port
        self._bodies = [_body(copy, record) for record in records]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.answers: list[tuple[float, int | None]] = []

    def __enter__(self) -> "Asker":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, version: int, seconds: float) -> bool:
        """Wait until a version answers; whether it did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(v == version for _, v in list(self.answers)):
                return True
            time.sleep(0.02)
        return False

    def last_of(
        self, version: int, since: float, quiet: float, fewest: int, most: float
    ) -> float | None:
        """When (monotonic) a version answered last; ``since``, where it did not from then on.

        Waits until others alone have answered for ``quiet`` seconds, and ``fewest`` times: on a
        busy machine a while without an answer says nothing. None when that never came.
        """
        while time.monotonic() - since <= most:
            last = max([t for t, v in list(self.answers) if v == version], default=since)
            last = max(last, since)
            if time.monotonic() - last >= quiet and len(self.after(last)) >= fewest:
                return last
            time.sleep(0.05)
        return None

    def after(self, moment: float) -> list[int | None]:
        """Who answered after a moment (monotonic); None: an error was answered."""
        return [v for t, v in list(self.answers) if t > moment]

    def _ask(self) -> None:
        number = 0
        while not self._stop.is_set():
            body = self._bodies[number % len(self._bodies)]
            number += 1
            status, reply = _call(self._port, "POST", self._path, body)
            version = json.loads(reply)["version"] if status == 200 else None
            self.answers.append((time.monotonic(), version))
            time.sleep(0.002)


def _body(copy: Copy, record: "Record") -> bytes:
    columns = copy.spec.columns
    row: dict[str, Any] = {**record.key, **record.features}
    if columns.unit is not None:
        row.setdefault(columns.unit, record.unit)
    if columns.time is not None:
        row.setdefault(columns.time, record.at.isoformat())
    return json.dumps([row]).encode()


def _call(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
