"""The code location: the models declared in ``defs/`` and the resources they share."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import dagster as dg

from mlops_assets.assets.incident import incident_definitions
from mlops_assets.assets.inventory import inventory_definitions
from mlops_assets.automation.alerts import delivery_sensor, failure_sensor
from mlops_assets.automation.housekeeping import housekeeping_definitions
from mlops_assets.automation.overdue import overdue_sensor
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.resources import (
    FrameIOManager,
    MlflowResource,
    Notifier,
    Platform,
    ReportIOManager,
)
from mlops_assets.resources.executor import executor

PROJECT = Path(__file__).parent


@dg.definitions
def defs() -> dg.Definitions:
    """Everything Dagster loads."""
    return _loaded(Settings.from_environment())


# Dagster asks for it twice or more in each process of a run, and again in each step.
@lru_cache(maxsize=1)
def _loaded(_addressed_by: Settings) -> dg.Definitions:
    return dg.Definitions.merge(load_models(PROJECT), shared_definitions())


def load_models(project: Path) -> dg.Definitions:
    """The models declared below the folder ``defs`` of a project."""
    with _collecting_later():
        return dg.load_from_defs_folder(path_within_project=project)


@contextmanager
def _collecting_later() -> Iterator[None]:
    # Hardly anything that loading makes is garbage, and looking for it takes a third of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def shared_definitions() -> dg.Definitions:
    """Resources, executor, and what there is once for all models."""
    folder = PROJECT / "defs"
    shared = dg.Definitions(
        resources=resources(),
        executor=executor,
        sensors=[failure_sensor(folder), delivery_sensor(), overdue_sensor(folder)],
    )
    platform = (inventory_definitions(folder), incident_definitions(folder))
    return dg.Definitions.merge(shared, housekeeping_definitions(), *platform)


def resources() -> dict:
    """The shared resources, addressed by the environment (see ``Settings``)."""
    settings = Settings.from_environment()
    platform = Platform()
    return {
        "platform": platform,
        "mlflow": MlflowResource(platform=platform),
        "frames": FrameIOManager(base_url=settings.storage_url),
        "reports": ReportIOManager(base_url=settings.storage_url),
        "notifier": Notifier(platform=platform),
    }
