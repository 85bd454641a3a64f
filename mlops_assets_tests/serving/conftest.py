"""A real MLflow registry in SQLite, and the real server in front of it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import uvicorn
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlops_assets.lifecycle.artifact import Feature, Serving, folder_digest, write_version
from mlops_assets.lifecycle.packed.packers import pack
from mlops_assets.lifecycle.packed.worker import PACKED_FOLDER
from mlops_assets.lifecycle.registry import CHAMPION, Registry, Version
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.app import build_app
from mlops_assets.serving.following import Following
from mlops_assets.serving.protocol import Protocol
from mlops_assets_tests.follower import FollowerThread
from mlops_assets_tests.harness import of_x

POLL_SECONDS = 0.1
RECOMMENDER = "mlops_assets_tests.serving.recommender.Alphabet"


class Workbench:
    """Registers versions the way training does."""

    def __init__(self, home: Path, template: Path):
        home.mkdir(parents=True, exist_ok=True)
        self.database = home / "mlflow.db"
        shutil.copy(template, self.database)
        self.settings = replace(
            Settings.from_environment(),
            home=home,
            tracking_uri=f"sqlite:///{self.database}",
            artifact_url=(home / "mlartifacts").as_uri(),
            prediction_log=home / "prediction_log",
            trusted_types=(RECOMMENDER,),
        )
        self.registry = Registry(self.settings)

    def register(
        self, estimator, serving: Serving, example: pd.DataFrame, packed: bool = False
    ) -> Version:
        """A new version of ``serving.model``, without an alias."""
        client, model = self.registry.client, serving.model
        known = client.get_experiment_by_name(model)
        experiment = (
            known.experiment_id
            if known
            else client.create_experiment(model, artifact_location=self.settings.artifact_url)
        )
        run = client.create_run(experiment).info.run_id
        folder = self.settings.home / "work" / run
        output = np.zeros(len(example))
        trusted = self.settings.trusted_types
        digest = write_version(folder, estimator, serving, example, output, trusted)
        if packed:
            pack(estimator, serving.features, serving.task, folder / PACKED_FOLDER)
            digest = folder_digest(folder)
        logged = client.create_logged_model(experiment, name=model, source_run_id=run)
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
        return self.registry.create(
            model, logged.artifact_location, run, logged.model_id, {"digest": digest}
        )

    def promote(self, version: Version) -> None:
        """Make a version the champion."""
        self.registry.set_alias(version.model, CHAMPION, version.number)

    def classifier(self, model: str, seed: int = 0) -> tuple[Version, LogisticRegression]:
        """A version with a float and an int feature, a time, a unit and a key."""
        frame = sample(seed)
        estimator = LogisticRegression().fit(frame, (frame["amount"] > 50 + seed).astype(int))
        serving = Serving(
            model=model,
            task="binary_classification",
            features=[
                Feature(name="amount", dtype="float64"),
                Feature(name="count", dtype="int64"),
            ],
            unit="card_id",
            time="at",
            key=["transaction_id"],
        )
        return self.register(estimator, serving, frame[:2]), estimator

    def line(self, model: str, slope: float, packed: bool = False) -> Version:
        """A version that answers ``slope * x``, so that each answer tells its version."""
        frame = pd.DataFrame({"x": np.arange(10.0)})
        estimator = LinearRegression(fit_intercept=False).fit(frame, slope * frame["x"])
        return self.register(estimator, of_x(model), frame[:2], packed)


def sample(seed: int, rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {"amount": random.uniform(0, 100, rows), "count": random.integers(0, 9, rows)}
    )


def wait_for(condition, seconds: float = 60):
    """The first true value of ``condition()``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(f"nothing within {seconds} s")


def serves(client: httpx.Client, version: Version):
    """A condition for `wait_for`: this version is the one that serves."""

    def condition():
        reply = client.get(f"/v2/models/{version.model}")
        return reply.status_code == 200 and reply.json()["version"] == version.number

    return condition


def answers_health(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def running(settings: Settings, following: Following | None = None, **others):
    """The server in a thread of this process; gives a client of it."""
    following = following or FollowerThread(settings, POLL_SECONDS)
    application = build_app(settings, POLL_SECONDS, following=following, **others)
    server = uvicorn.Server(
        uvicorn.Config(application, log_config=None, access_log=False, http=Protocol, ws="none")
    )
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=base, timeout=30) as client:
        wait_for(lambda: answers_health(client, "/v2/health/ready"))
        yield client
    server.should_exit = True
    thread.join(timeout=60)
    assert not thread.is_alive()


@contextlib.contextmanager
def process(
    settings: Settings,
    until: str = "/v2/health/ready",
    workers: int = 1,
    flags: tuple[str, ...] = (),
    **variables: str,
):
    """The server as the process that ``serve`` is; gives it and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["-m", "mlops_assets.cli", "serve", "--port", str(port), "--workers", str(workers)]
    environment = {
        **os.environ,
        "MLOPS_HOME": str(settings.home),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "MLOPS_PREDICTION_LOG": str(settings.prediction_log),
        **variables,
    }
    log = settings.home / "server.log"
    with log.open("wb") as errors:
        child = subprocess.Popen([sys.executable, *flags, *command], env=environment, stderr=errors)
    base = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=base) as client:
            wait_for(lambda: answers_health(client, until), 60)
        yield child, base
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory) -> Path:
    """A registry without models; creating its tables takes seconds, copying it does not."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("registry") / "empty.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_registered_models()
    return database


@pytest.fixture(scope="session")
def bench(tmp_path_factory, empty_registry) -> Workbench:
    """One registry for the tests that leave the others' models alone."""
    return Workbench(tmp_path_factory.mktemp("bench") / "home", empty_registry)


@pytest.fixture(scope="session")
def client(bench):
    """A client of a server on ``bench``."""
    with running(bench.settings) as client:
        yield client


@pytest.fixture
def own_bench(tmp_path, empty_registry) -> Workbench:
    """A registry of the test's own, to damage as it likes."""
    return Workbench(tmp_path / "home", empty_registry)
