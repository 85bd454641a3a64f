"""The MLflow registry as the lifecycle uses it: signed versions, and aliases.

A version is signed once it has its number, which the signature names. Until then, and for ever
where a crash came in between, it is a version that nobody takes.
"""

import os
from typing import Any

from mlops_assets.lifecycle import signing, signing_keys
from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings, is_database
from mlops_assets.lifecycle.version import SIGNATURE, Version
from mlops_assets.lifecycle.version_files import VersionFiles

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
CANARY, SHADOW = "canary", "shadow"
TAG = "mlops."
SHARE_TAG, NAMES_TAG = "share", "names"
RETIRED_TAG = "retired"
PAGE = 1000  # MLflow gives no more at once


class Registry:
    """Versions and aliases of all models.

    ``files`` is what versions are made of, verified.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.files = VersionFiles(settings, lambda: self.client)
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
        return sorted(model.name for model in self.registered())

    def registered(self) -> list[Any]:
        """All registered models, as MLflow has them: with aliases and tags."""
        found: list[Any] = []
        token = None
        while True:
            page = self.client.search_registered_models(max_results=PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

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
        return next((v for v in reversed(versions) if self.files.distrust(v) is None), None)

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
