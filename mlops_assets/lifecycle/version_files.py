"""What a version is made of: taken only from where versions lie, and once it is verified."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_assets.lifecycle import artifact_roots, signing, signing_keys
from mlops_assets.lifecycle.artifact import check_digest, load_estimator, take_verified
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.lifecycle.version import EVIDENCE, SIGNATURE, Version


class VersionFiles:
    """The files of all versions, and those that were logged with their training.

    Parameters
    ----------
    settings : Settings
    client : callable
        Gives the MLflow client, which is made when it is needed.
    """

    def __init__(self, settings: Settings, client: Callable[[], Any]):
        self._settings = settings
        self._client = client

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
            found = self._client().get_experiment_by_name(version.model)
            return found and found.artifact_location

        artifact_roots.check(version.source, self._settings, experiment)
        local = artifact_roots.local_path(version.source)
        if local is not None:
            return take_verified(local, target, version.digest)
        with TemporaryDirectory(prefix="mlops-download-") as spare:
            try:
                fetched = download_artifacts(
                    artifact_uri=version.source,
                    dst_path=spare,
                    tracking_uri=self._settings.tracking_uri,
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
                    tracking_uri=self._settings.tracking_uri,
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
            return load_estimator(taken, self._settings.trusted_types)
        except ArtifactError as error:
            raise ArtifactError(f"{version}: {error}") from error

    def distrust(self, version: Version) -> str | None:
        """Why a version can't be trusted to be what it says, or None."""
        envelope = version.tags.get(SIGNATURE)
        if envelope is None:
            if self._settings.allow_unsigned:
                return None
            return (
                "it is not signed; train it again, or set MLOPS_ALLOW_UNSIGNED=1 to take versions "
                "from before there were signatures"
            )
        try:
            signing.verify(
                signing_keys.verifiers(self._settings),
                envelope,
                version.model,
                version.number,
                version.run_id,
                version.tags,
            )
        except ArtifactError as error:
            return str(error)
        return None

    def _check_signature(self, version: Version) -> None:
        problem = self.distrust(version)
        if problem is not None:
            raise ArtifactError(problem)

    def _check_evidence(self, version: Version, name: str, content: bytes) -> None:
        if SIGNATURE not in version.tags:
            return  # allowed, or it would have been refused before
        signed = json.loads(version.tags.get(EVIDENCE, "{}"))
        if signed.get(name) != hashlib.sha256(content).hexdigest():
            raise ArtifactError("it is not what the version was signed with")
