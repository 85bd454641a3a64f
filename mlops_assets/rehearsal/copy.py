"""A platform of its own in a folder: storage, MLflow, journal, prediction log and Dagster."""

import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.keys import RAW_DATA, VALIDATED_FEATURES
from mlops_assets.components.lifecycle import lifecycle_definitions
from mlops_assets.lifecycle.errors import RolloutError
from mlops_assets.lifecycle.registry import Registry
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.spec import ModelSpec
from mlops_assets.resources import (
    FrameIOManager,
    MlflowResource,
    Notifier,
    Platform,
    ReportIOManager,
)

if TYPE_CHECKING:
    from mlops_assets.lifecycle.alerts import Alert
    from mlops_assets.lifecycle.rollout.journal import Journal
    from mlops_assets.lifecycle.version import Version

DAGSTER_YAML = """# A copy's: written by `mlops-assets backtest` or `drill`.
telemetry: {{enabled: false}}
nux: {{enabled: false}}
# Events are kept all the same; a terminal would see each of them.
python_logs: {{python_log_level: CRITICAL}}
# Four processes a step, to keep what nobody prints.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
run_storage:
  module: mlops_assets.rehearsal.run_storage
  class: PlayedRuns
  config: {{base_dir: "{history}"}}
"""
ALERTS_FILE = "alerts.jsonl"
DATA = (RAW_DATA, VALIDATED_FEATURES)


class CopyPlatform(Platform):
    """The platform below a folder, whatever the environment says.

    Attributes
    ----------
    home : str
    artifacts : str
        Where the files of versions lie: copies that begin with the same champion share it.
    """

    home: str
    artifacts: str
    pages: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The settings of the copy: no address of production is left in them."""
        return copied_settings(Path(self.home), Path(self.artifacts))

    @cached_property
    def registry(self) -> Registry:
        """The copy's registry; opened once a process."""
        return _registry(self.settings)

    @cached_property
    def journal(self) -> "Journal":
        """The copy's journal; opened once a process."""
        return _journal(self.settings.database_url)

    def ask_endpoint(self, version: "Version", *, pinned: bool = False) -> dict[str, Any]:
        """Nothing serves a copy by HTTP: the version's own files are asked, verified first."""
        from mlops_assets.lifecycle.artifact import load_estimator, read_example, read_serving
        from mlops_assets.lifecycle.tasks import TASKS

        with TemporaryDirectory(prefix="mlops-probe-") as name:
            folder = self.registry.files.take(version, Path(name))
            serving, example = read_serving(folder), read_example(folder)
            estimator = load_estimator(folder, self.settings.trusted_types)
        answers = TASKS[serving.task].answers(estimator, example)
        if len(answers) != len(example):
            raise RolloutError(f"{version} gives {len(answers)} answers to {len(example)} rows")
        return {"rows": len(answers), "waited": 0.0}


class CopyNotifier(Notifier):
    """Writes down who would have been told what; tells nobody.

    Attributes
    ----------
    home : str
        Of the copy.
    as_of : str
        ISO moment (aware).
    """

    home: str
    as_of: str

    def send(self, alert: "Alert", channels: list[str], log: Any) -> None:
        """Append the alert to the copy's ``alerts.jsonl``."""
        file = Path(self.home) / ALERTS_FILE
        told = alert.model_dump(mode="json") | {"at": self.as_of, "channels": channels}
        with file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(told) + "\n")


def copied_settings(home: Path, artifacts: Path) -> Settings:
    """Settings of a platform below a folder; what is not an address stays as it is."""
    return replace(
        Settings.from_environment(),
        home=home,
        storage_url=str(home / "storage"),
        tracking_uri=f"sqlite:///{home / 'mlflow.db'}",
        artifact_url=artifacts.as_uri(),
        database_url=f"sqlite:///{home / 'mlops.db'}",
        prediction_log=home / "prediction_log",
        log_database_url=None,
        endpoint="nowhere: a copy is not served",
        alerts=None,
        signing_key=None,
        verify_keys=(),
        allow_unsigned=False,
    )


@dataclass(frozen=True)
class Copy:
    """A copy of the platform for one model.

    Parameters
    ----------
    home : Path
        Absolute.
    world : Path
        Folder of the raw data and features, which copies share; laid out as storage is.
    artifacts : Path
        Folder of the files of versions, which copies share.
    spec : ModelSpec
        As it is played: see :mod:`mlops_assets.rehearsal.policies`.
    folder : Path
        Where the declaration lies.
    """

    home: Path
    world: Path
    artifacts: Path
    spec: ModelSpec
    folder: Path

    def make(self) -> None:
        """Make the folders; harmless where they are there."""
        for asset in DATA:
            shared = self.world / self.spec.name / asset
            shared.mkdir(parents=True, exist_ok=True)
            link = self.home / "storage" / self.spec.name / asset
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(shared, target_is_directory=True)
        self.artifacts.mkdir(parents=True, exist_ok=True)

    def begin_from(self, other: "Copy") -> None:
        """Become what another copy is; harmless where that was done."""
        if self.home.exists():
            return
        spare = self.home.with_name(f".{self.home.name}.part")
        shutil.rmtree(spare, ignore_errors=True)
        shutil.copytree(other.home, spare, symlinks=True)
        spare.replace(self.home)  # there whole, or not at all

    def instance(self) -> dg.DagsterInstance:
        """The copy's Dagster instance, in SQLite; to be used as a context manager."""
        from dagster._core.instance.ref import InstanceRef

        home = self.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        text = DAGSTER_YAML.format(history=home / "history")
        (home / "dagster.yaml").write_text(text, "utf-8")
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home)))

    def platform(self, now: datetime) -> CopyPlatform:
        """The platform as of a moment."""
        return CopyPlatform(
            home=str(self.home), artifacts=str(self.artifacts), as_of=now.isoformat()
        )

    @property
    def frames(self) -> FrameIOManager:
        """The copy's frames."""
        return FrameIOManager(base_url=str(self.home / "storage"))

    @property
    def reports(self) -> ReportIOManager:
        """The copy's reports."""
        return ReportIOManager(base_url=str(self.home / "storage"))

    @cached_property
    def own(self) -> dg.Definitions:
        """The model's definitions, without resources."""
        return lifecycle_definitions(self.spec, self.folder)

    def definitions(self, now: datetime) -> dg.Definitions:
        """The model's assets, jobs, schedules and sensors, as of a moment."""
        return dg.Definitions.merge(
            self.own,
            dg.Definitions(resources=self.resources(now), executor=dg.in_process_executor),
        )

    def resources(self, now: datetime) -> dict[str, Any]:
        """What the definitions need, as of a moment."""
        platform = self.platform(now)
        return {
            "platform": platform,
            "mlflow": MlflowResource(platform=platform),
            "frames": self.frames,
            "reports": self.reports,
            "notifier": CopyNotifier(platform=platform, home=str(self.home), as_of=now.isoformat()),
        }

    def alerts(self) -> list[dict[str, Any]]:
        """What people would have been told, oldest first, each once."""
        file = self.home / ALERTS_FILE
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        told = [json.loads(line) for line in lines if line]
        return list({(t["kind"], t["subject"] or t["message"]): t for t in reversed(told)}.values())


@cache
def _registry(settings: Settings) -> Registry:
    return Registry(settings)


@cache
def _journal(url: str) -> "Journal":
    from mlops_assets.lifecycle.rollout.journal import Journal

    return Journal(url)
