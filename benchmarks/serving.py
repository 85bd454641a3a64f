"""The REST server against its peers: CPU of the server's processes for each one-row request.

The same Iris LogisticRegression, the same row, the same client (32 keep-alive connections; its CPU
is not counted). Ours writes its prediction log. Peers: a uvicorn that answers a constant (the
floor), a plain ASGI application with scikit-learn on arrays, `mlflow models serve`.

Run: python benchmarks/serving.py
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

from common import Line, report

ROOT = Path(__file__).parent.parent
CONNECTIONS = 32
WARM_UP, SECONDS = 3.0, 8.0
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROW = (5.1, 3.5, 1.4, 0.2)
RECORDS = json.dumps([dict(zip(NAMES, ROW, strict=True))])
SPLIT = json.dumps({"dataframe_split": {"columns": NAMES, "data": [ROW]}})
TENSOR = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}]})

CONSTANT = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await receive()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, lifespan="off", log_level="warning")
"""

PLAIN = """
import json, sys, numpy as np, skops.io, uvicorn
from mlops_assets.lifecycle.artifact import TRUSTED_TYPES
model = skops.io.load(sys.argv[2] + "/model.skops", trusted=list(TRUSTED_TYPES))
del model.feature_names_in_
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (await receive())["body"]
    rows = np.array([list(r.values()) for r in json.loads(body)] if body else [[1.0] * 4])
    answer = json.dumps(model.predict_proba(rows).tolist()).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, lifespan="off", log_level="warning")
"""

TRAIN = """
import dagster as dg
from mlops_assets.definitions import PROJECT, load_models, shared_definitions
defs = dg.Definitions.merge(load_models(PROJECT), shared_definitions())
with dg.DagsterInstance.ephemeral() as instance:
    assert defs.resolve_job_def("iris_lifecycle").execute_in_process(instance=instance).success
"""


def main() -> None:
    """Train and deploy Iris, then measure one server after the other."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        port = free_port()
        env = environment(home, port)
        ours = [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", str(port)]
        with running(ours, env, port, "/v2/health/ready"):
            subprocess.run([sys.executable, "-c", TRAIN], cwd=ROOT, env=env, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        model = next(home.glob("mlartifacts/**/packed")).parent
        used = {
            "/predict": measured(ours, env, port, "/v2/health/ready", "/predict/iris", RECORDS),
            "/infer": measured(
                ours, env, port, "/v2/health/ready", "/v2/models/iris/infer", TENSOR
            ),
            "constant": measured(
                [sys.executable, "-c", CONSTANT, str(port)], env, port, "/", "/", RECORDS
            ),
            "plain ASGI + sklearn": measured(
                [sys.executable, "-c", PLAIN, str(port), str(model)], env, port, "/", "/", RECORDS
            ),
            "mlflow models serve": measured(
                [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model),
                 "--env-manager", "local", "--port", str(port)],
                env, port, "/ping", "/invocations", SPLIT,
            ),
        }  # fmt: skip
    report(lines(used))


def lines(used: dict[str, float]) -> list[Line]:
    """Ours against each peer, in microseconds of CPU a request."""
    found = []
    for ours in ("/predict", "/infer"):
        work = f"Iris, 1 row, {CONNECTIONS} connections, {ours} (CPU us)"
        floor = used[ours] / used["constant"]
        found.append(Line(work, used[ours], "constant", used["constant"], floor,
                          "<= 1.5x the floor", floor <= 1.5))  # fmt: skip
        for peer, least in (("plain ASGI + sklearn", 10), ("mlflow models serve", 100)):
            times = used[peer] / used[ours]
            found.append(Line(work, used[ours], peer, used[peer], times,
                              f">= {least}x less", times >= least))  # fmt: skip
    return found


def measured(
    command: list[str], env: dict[str, str], port: int, ready: str, path: str, body: str
) -> float:
    """Microseconds of CPU that a server's processes use for each request."""
    with running(command, env, port, ready) as group:
        asyncio.run(load(port, path, body, WARM_UP))
        before = cpu(group)
        answered = asyncio.run(load(port, path, body, SECONDS))
        return (cpu(group) - before) / answered * 1e6


async def load(port: int, path: str, body: str, seconds: float) -> int:
    """Ask for some seconds over keep-alive connections; the number of answers, all 200."""
    request = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    end = time.monotonic() + seconds

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.monotonic() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(head.decode())
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(client() for _ in range(CONNECTIONS))))


@contextmanager
def running(command: list[str], env: dict[str, str], port: int, ready: str):
    """A server in a session of its own; yields the session's id."""
    server = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}{ready}", server)
        yield server.pid
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(url: str, server: subprocess.Popen, seconds: float = 90) -> None:
    """Wait until an address answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"{server.args} ended with code {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(url)


def cpu(session: int) -> float:
    """CPU seconds of all processes of a session."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def environment(home: Path, port: int) -> dict[str, str]:
    """A home of its own, one thread a process."""
    return dict(os.environ) | {
        # Where `mlflow models serve` looks for uvicorn.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLOPS_HOME": str(home),
        "MLOPS_ENDPOINT": f"http://127.0.0.1:{port}",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


if __name__ == "__main__":
    main()
