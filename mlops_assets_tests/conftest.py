"""Fixtures every test may use."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.settings import Settings
from mlops_assets_tests import postgres
from mlops_assets_tests.harness import Lab, free_port

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def apart_from_the_users_own(tmp_path_factory):
    """No test, nor a process it starts, reads or writes the homes of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    dagster = tmp_path_factory.mktemp("dagster")
    shutil.copy(ROOT / "dagster.yaml", dagster)
    with pytest.MonkeyPatch.context() as environment:
        for name in [n for n in os.environ if n.startswith(("MLOPS_", "MLFLOW_TRACKING"))]:
            environment.delenv(name)
        environment.setenv("MLOPS_HOME", str(home))
        environment.setenv("DAGSTER_HOME", str(dagster))
        yield


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory) -> Path:
    """An empty MLflow database; making one takes seconds, copying it does not."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{file}", f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(scope="session")
def postgres_url():
    """The SQLAlchemy URL of an empty PostgreSQL."""
    binaries = postgres.commands()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.running(binaries) as url:
        yield url


def make_home(folder: Path, store: Path, environment: pytest.MonkeyPatch) -> Path:
    """A platform's home in an empty folder, addressed by the environment."""
    folder.mkdir()
    shutil.copy(store, folder / "mlflow.db")
    for name in ("MLFLOW_TRACKING_URI", "MLOPS_STORAGE_URL", "MLOPS_DATABASE_URL", "MLOPS_ALERTS"):
        environment.delenv(name, raising=False)
    environment.setenv("MLOPS_HOME", str(folder))
    environment.setenv("MLOPS_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch, migrated_store) -> Path:
    """A platform's home of its own, addressed by the environment."""
    return make_home(tmp_path / "home", migrated_store, monkeypatch)


@pytest.fixture
def lab(home, tmp_path):
    """A project with a Dagster instance of its own."""
    with dg.instance_for_test() as instance:
        yield Lab(tmp_path / "project", instance)


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory, migrated_store):
    """A project that all tests of a module share: each has to leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as environment:
        make_home(folder / "home", migrated_store, environment)
        with dg.instance_for_test() as instance:
            yield Lab(folder / "project", instance)


@pytest.fixture
def registry(home) -> Registry:
    """The registry of the test's platform."""
    return Registry(Settings.from_environment())
