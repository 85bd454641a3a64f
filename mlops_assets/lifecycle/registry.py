"""The MLflow registry as the lifecycle uses it: versions with a digest, and aliases.

Versions are created with all their tags in one call, so that none is ever seen half-registered.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.lifecycle.artifact import load_estimator, take_verified
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings, is_database

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
CANARY, SHADOW = "canary", "shadow"
TAG = "mlops."
SHARE_TAG = "share"


@dataclass(frozen=True)
class Version:
    """One registered version of a model; ``tags`` without the platform's prefix."""

    model: str
    number: int
    run_id: str
    source: str
    tags: dict[str, str]
    created_at: float

    @property
    def digest(self) -> str:
        """The digest of the version's files, as registered."""
        return self.tags["digest"]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"


class Registry:
    """Versions and aliases of all models.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self._client: Any = None

    @property
    def client(self):
        """The MLflow client; made at first use, because importing MLflow takes seconds."""
        if self._client is None:
            uri = self.settings.tracking_uri
            self._client = self._with_tables(uri) if is_database(uri) else _client(uri)
        return self._client

    def _with_tables(self, uri: str):
        """Let one process at a time make MLflow's tables: two at once break each other's."""
        from filelock import FileLock

        if uri.startswith("sqlite"):
            # A pooled connection would go on reading a file that was since restored or replaced.
            os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with FileLock(self.settings.home / "mlflow.lock"):
            client = _client(uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
        return client

    def models(self) -> list[str]:
        """Names of all registered models."""
        return sorted(m.name for m in self.client.search_registered_models(max_results=1000))

    def aliases(self, model: str) -> dict[str, int]:
        """Aliases of a model with the version each points at; empty for an unknown model."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: int(number) for alias, number in found.aliases.items()}

    def at(self, model: str, alias: str) -> Version | None:
        """The version an alias points at, if it does."""
        number = self.aliases(model).get(alias)
        return None if number is None else self.version(model, number)

    def version(self, model: str, number: int) -> Version:
        """One version.

        Raises
        ------
        ArtifactError
            When there is none, or it was not registered by the platform (no digest).
        """
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_model_version(model, str(number))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise ArtifactError(f"{model} has no version {number}") from None
            raise
        version = _from_mlflow(found)
        if "digest" not in version.tags:
            raise ArtifactError(f"{version} was not registered by mlops_assets: it has no digest")
        return version

    def find(self, model: str, fingerprint: str) -> Version | None:
        """The newest version trained from exactly these inputs, if there is one."""
        matches = [
            _from_mlflow(v)
            for v in self.client.search_model_versions(
                f"name='{model}' and tag.`{TAG}fingerprint`='{fingerprint}'"
            )
        ]
        return max(matches, key=lambda v: v.number, default=None)

    def create(
        self, model: str, source: str, run_id: str, model_id: str | None, tags: dict[str, str]
    ) -> Version:
        """Register a version with all its tags."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        created = self.client.create_model_version(
            model,
            source=source,
            run_id=run_id,
            model_id=model_id,
            tags={f"{TAG}{name}": value for name, value in tags.items()},
        )
        return self.version(model, int(created.version))

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a version."""
        self.client.set_registered_model_alias(model, alias, str(number))

    def drop_alias(self, model: str, alias: str) -> None:
        """Remove an alias where it is set."""
        if alias in self.aliases(model):
            self.client.delete_registered_model_alias(model, alias)

    def set_tag(self, model: str, number: int, name: str, value: str) -> None:
        """Set one of the platform's tags of a version."""
        self.client.set_model_version_tag(model, str(number), f"{TAG}{name}", value)

    def take(self, version: Version, folder: Path) -> Path:
        """A verified private copy of a version's files below ``folder``.

        Raises
        ------
        ArtifactError
            When the files are missing or are not those that were trained.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            # version.source may be a URI on an object store; a local one is returned as it is.
            source = download_artifacts(
                artifact_uri=version.source, tracking_uri=self.settings.tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise ArtifactError(f"the files of {version} can't be read: {error}") from error
        return take_verified(
            Path(source), folder / f"{version.model}-v{version.number}", version.digest
        )

    def artifact(self, version: Version, name: str) -> Path:
        """A file that was logged with a version's training run.

        Raises
        ------
        ArtifactError
            When it is not there.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            return Path(
                download_artifacts(
                    run_id=version.run_id,
                    artifact_path=name,
                    tracking_uri=self.settings.tracking_uri,
                )
            )
        except (MlflowException, OSError) as error:
            raise ArtifactError(f"{version}: {name} can't be read: {error}") from error

    def load(self, version: Version, folder: Path) -> Any:
        """The estimator of a version, verified first."""
        return load_estimator(self.take(version, folder), self.settings.trusted_types)


def _client(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _from_mlflow(found) -> Version:
    tags = {k.removeprefix(TAG): v for k, v in found.tags.items() if k.startswith(TAG)}
    return Version(
        model=found.name,
        number=int(found.version),
        run_id=found.run_id,
        source=found.source,
        tags=tags,
        created_at=found.creation_timestamp / 1000,
    )
