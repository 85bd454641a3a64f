"""The MLflow registry as the lifecycle uses it: signed versions, and aliases.

A version is signed once it has its number, which the signature names. Until then, and for ever
where a crash came in between, it is a version that nobody takes.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_assets.lifecycle import artifact_roots, signing, signing_keys
from mlops_assets.lifecycle.artifact import check_digest, load_estimator, take_verified
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings, is_database

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
CANARY, SHADOW = "canary", "shadow"
TAG = "mlops."
SHARE_TAG, NAMES_TAG = "share", "names"
RETIRED_TAG = "retired"
SIGNATURE, EVIDENCE = "signature", "evidence"


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
        """The newest version trained from exactly these inputs, and signed, if there is one."""
        found = self.client.search_model_versions(
            f"name='{model}' and tag.`{TAG}fingerprint`='{fingerprint}'"
        )
        versions = sorted((_from_mlflow(v) for v in found), key=lambda v: v.number)
        return next((v for v in reversed(versions) if self._distrust(v) is None), None)

    def create(
        self, model: str, source: str, run_id: str, model_id: str | None, tags: dict[str, str]
    ) -> Version:
        """Register a version with all its tags, and sign it.

        Raises
        ------
        ArtifactError
            Where there is no key to sign with: nothing is registered.
        """
        from mlflow.exceptions import MlflowException

        key = signing_keys.signer(self.settings)
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
        number = int(created.version)
        envelope = signing.sign(key, model, number, run_id, tags)
        self.client.set_model_version_tag(model, str(number), f"{TAG}{SIGNATURE}", envelope)
        return self.version(model, number)

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

    def tag_model(self, model: str, name: str, value: str) -> None:
        """Set one of the platform's tags of a model."""
        self.client.set_registered_model_tag(model, f"{TAG}{name}", value)

    def untag_model(self, model: str, name: str) -> None:
        """Remove one of the platform's tags of a model, where it is set."""
        if f"{TAG}{name}" in self.client.get_registered_model(model).tags:
            self.client.delete_registered_model_tag(model, f"{TAG}{name}")

    def take(self, version: Version, folder: Path) -> Path:
        """A verified private copy of a version's files below ``folder``.

        Raises
        ------
        ArtifactError
            When nobody trusted signed the version, when its files are missing, lie elsewhere than
            versions do, or are not those that were trained.
        """
        try:
            self._check_signature(version)
            return self._copied(version, folder / f"{version.model}-v{version.number}")
        except ArtifactError as error:
            raise ArtifactError(f"{version}: {error}") from error

    def check_copy(self, version: Version, folder: Path) -> None:
        """Verify a copy that :meth:`take` made, maybe in another process; asks no registry.

        Raises
        ------
        ArtifactError
            When nobody trusted signed the version, or the files are not those that were trained.
        """
        try:
            self._check_signature(version)
            check_digest(folder, version.digest)
        except ArtifactError as error:
            raise ArtifactError(f"{version}: {error}") from error

    def _copied(self, version: Version, target: Path) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        def experiment() -> str | None:
            found = self.client.get_experiment_by_name(version.model)
            return found and found.artifact_location

        artifact_roots.check(version.source, self.settings, experiment)
        local = artifact_roots.local_path(version.source)
        if local is not None:
            return take_verified(local, target, version.digest)
        with TemporaryDirectory(prefix="mlops-download-") as spare:
            try:
                fetched = download_artifacts(
                    artifact_uri=version.source,
                    dst_path=spare,
                    tracking_uri=self.settings.tracking_uri,
                )
            except (MlflowException, OSError) as error:
                raise ArtifactError(f"its files can't be read: {error}") from error
            return take_verified(Path(fetched), target, version.digest)

    def artifact(self, version: Version, name: str) -> bytes:
        """The content of a file that was logged with a version's training run, verified.

        Raises
        ------
        ArtifactError
            When it is not there, or not what the version was signed with.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            self._check_signature(version)
            with TemporaryDirectory(prefix="mlops-download-") as spare:
                fetched = download_artifacts(
                    run_id=version.run_id,
                    artifact_path=name,
                    dst_path=spare,
                    tracking_uri=self.settings.tracking_uri,
                )
                content = Path(fetched).read_bytes()
            self._check_evidence(version, name, content)
        except (ArtifactError, MlflowException, OSError) as error:
            raise ArtifactError(f"{version}: {name} can't be read: {error}") from error
        return content

    def load(self, version: Version, folder: Path) -> Any:
        """The estimator of a version, verified first."""
        return self.read(version, self.take(version, folder))

    def read(self, version: Version, taken: Path) -> Any:
        """The estimator in the files that :meth:`take` gave."""
        try:
            return load_estimator(taken, self.settings.trusted_types)
        except ArtifactError as error:
            raise ArtifactError(f"{version}: {error}") from error

    def _check_signature(self, version: Version) -> None:
        problem = self._distrust(version)
        if problem is not None:
            raise ArtifactError(problem)

    def _distrust(self, version: Version) -> str | None:
        """Why a version can't be trusted to be what it says, or None."""
        envelope = version.tags.get(SIGNATURE)
        if envelope is None:
            if self.settings.allow_unsigned:
                return None
            return (
                "it is not signed; train it again, or set MLOPS_ALLOW_UNSIGNED=1 to take versions "
                "from before there were signatures"
            )
        try:
            signing.verify(
                signing_keys.verifiers(self.settings),
                envelope,
                version.model,
                version.number,
                version.run_id,
                version.tags,
            )
        except ArtifactError as error:
            return str(error)
        return None

    def _check_evidence(self, version: Version, name: str, content: bytes) -> None:
        if SIGNATURE not in version.tags:
            return  # allowed, or it would have been refused before
        signed = json.loads(version.tags.get(EVIDENCE, "{}"))
        if signed.get(name) != hashlib.sha256(content).hexdigest():
            raise ArtifactError("it is not what the version was signed with")


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
