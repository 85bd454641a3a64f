"""From a checked declaration to Dagster definitions, without YAML."""

from pathlib import Path

import dagster as dg

from mlops_assets.assets.data import data_assets
from mlops_assets.assets.deployment import deployment_asset
from mlops_assets.assets.evaluation_report import evaluation_report_asset
from mlops_assets.assets.monitoring import monitoring_assets
from mlops_assets.assets.trained_model import trained_model_asset
from mlops_assets.automation.approval import decision_jobs
from mlops_assets.automation.jobs import jobs
from mlops_assets.automation.rollout import rollout_jobs, rollout_sensors
from mlops_assets.automation.schedules import schedules
from mlops_assets.automation.sensors import retrain_sensors
from mlops_assets.components.code_versions import code_versions
from mlops_assets.lifecycle.alerts import load_channels
from mlops_assets.lifecycle.declaration import did_you_mean
from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec


def lifecycle_definitions(spec: ModelSpec, folder: Path) -> dg.Definitions:
    """One model's assets, checks, jobs, schedules and sensors.

    Parameters
    ----------
    folder : Path
        Where the declaration lies; relative paths in it start from there.

    Raises
    ------
    DeclarationError
        When an alert channel is not in the platform's alerts file.
    """
    _check_channels(spec, folder)
    code = code_versions(spec)
    made = jobs(spec)
    return dg.Definitions(
        assets=[
            data_assets(spec, folder, code),
            trained_model_asset(spec, folder, code),
            evaluation_report_asset(spec, code),
            deployment_asset(spec, code),
            monitoring_assets(spec, folder, code),
        ],
        jobs=[*made.values(), *rollout_jobs(spec), *decision_jobs(spec)],
        schedules=schedules(spec, made),
        sensors=[*retrain_sensors(spec, made), *rollout_sensors(spec)],
    )


def _check_channels(spec: ModelSpec, folder: Path) -> None:
    file = Settings.from_environment().alerts
    known = load_channels(file)
    for name in spec.alerts:
        if name not in known:
            raise DeclarationError(
                f"{folder / 'defs.yaml'}: alerts: no channel {name!r} in "
                f"{file or 'the alerts file (MLOPS_ALERTS is not set)'}"
                f"{did_you_mean(name, known)} Known: {', '.join(known)}"
            )
