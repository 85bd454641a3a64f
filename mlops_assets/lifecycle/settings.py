"""What differs between a laptop and a cluster: addresses, read once from the environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Each start would tell which tables are made and how many connections are pooled.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class Settings:
    """Where the platform keeps things.

    Parameters
    ----------
    home : Path
        Folder of everything that is local (``MLOPS_HOME``, default ``.mlops``).
    storage_url : str
        Any fsspec URL for frames and reports (``MLOPS_STORAGE_URL``).
    tracking_uri : str
        MLflow tracking server and registry (``MLFLOW_TRACKING_URI``).
    artifact_url : str or None
        Where MLflow puts artifacts when the tracking store is a database
        (``MLOPS_ARTIFACT_URL``); None leaves it to a tracking server.
    database_url : str
        SQLAlchemy URL of the rollout journal (``MLOPS_DATABASE_URL``).
    prediction_log : Path
        Folder of the prediction log's segments (``MLOPS_PREDICTION_LOG``).
    endpoint : str
        Where ``mlops-assets serve`` answers (``MLOPS_ENDPOINT``).
    dagster_url : str
        Dagster's webserver, for links from MLflow and alerts (``MLOPS_DAGSTER_URL``).
    mlflow_url : str
        MLflow's web page, for links from Dagster (``MLOPS_MLFLOW_URL``).
    alerts : Path or None
        YAML file with the alert channels (``MLOPS_ALERTS``).
    trusted_types : tuple of str
        Classes, beyond the platform's own list, that a model file may hold
        (``MLOPS_TRUSTED_TYPES``, comma-separated): an operator's decision, never a file's.
    log_database_url : str or None
        SQLAlchemy URL of the database that the prediction log is compacted into
        (``MLOPS_LOG_DATABASE_URL``); None: see ``log_database``.
    signing_key : Path or None
        Private key that versions are signed with (``MLOPS_SIGNING_KEY``). None, with no
        ``verify_keys`` either: one of this home's own, made at first use.
    verify_keys : tuple of Path
        Public keys of those whose versions are served (``MLOPS_VERIFY_KEYS``, comma-separated);
        empty: the public half of the signing key.
    allow_unsigned : bool
        Take versions without a signature (``MLOPS_ALLOW_UNSIGNED=1``), registered before there
        were any. One with a wrong signature is refused all the same.
    """

    home: Path
    storage_url: str
    tracking_uri: str
    artifact_url: str | None
    database_url: str
    prediction_log: Path
    endpoint: str
    dagster_url: str
    mlflow_url: str
    alerts: Path | None
    trusted_types: tuple[str, ...] = ()
    log_database_url: str | None = None

    @property
    def log_database(self) -> str | None:
        """Where the prediction log is compacted into; None for SQLite in the log's folder.

        That of the rollout journal, unless it is SQLite: with one writer at a time, a rollback
        would wait for a compaction.
        """
        if self.log_database_url is not None:
            return self.log_database_url
        return None if self.database_url.startswith("sqlite") else self.database_url

    signing_key: Path | None = None
    verify_keys: tuple[Path, ...] = ()
    allow_unsigned: bool = False

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the settings; every one has a default that needs no set-up."""
        read = os.environ.get
        home = Path(read("MLOPS_HOME", ".mlops")).absolute()
        tracking = read("MLFLOW_TRACKING_URI")
        artifacts = read("MLOPS_ARTIFACT_URL")
        if tracking is None:
            tracking = f"sqlite:///{home / 'mlflow.db'}"
        if artifacts is None and is_database(tracking):
            artifacts = (home / "mlartifacts").as_uri()
        alerts, signing_key = read("MLOPS_ALERTS"), read("MLOPS_SIGNING_KEY")
        return cls(
            home=home,
            storage_url=read("MLOPS_STORAGE_URL", str(home / "storage")),
            tracking_uri=tracking,
            artifact_url=artifacts,
            database_url=read("MLOPS_DATABASE_URL", f"sqlite:///{home / 'mlops.db'}"),
            prediction_log=Path(read("MLOPS_PREDICTION_LOG", home / "prediction_log")),
            endpoint=read("MLOPS_ENDPOINT", "http://127.0.0.1:8900").rstrip("/"),
            dagster_url=read("MLOPS_DAGSTER_URL", "http://127.0.0.1:3000").rstrip("/"),
            mlflow_url=read(
                "MLOPS_MLFLOW_URL", "http://127.0.0.1:5000" if is_database(tracking) else tracking
            ).rstrip("/"),
            alerts=Path(alerts) if alerts else None,
            trusted_types=tuple(t for t in read("MLOPS_TRUSTED_TYPES", "").split(",") if t),
            log_database_url=read("MLOPS_LOG_DATABASE_URL"),
            signing_key=Path(signing_key) if signing_key else None,
            verify_keys=tuple(Path(k) for k in read("MLOPS_VERIFY_KEYS", "").split(",") if k),
            allow_unsigned=read("MLOPS_ALLOW_UNSIGNED") == "1",
        )


def is_database(uri: str) -> bool:
    """Whether an MLflow tracking URI is a database rather than a server."""
    return urlsplit(uri).scheme.split("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def quiet() -> None:
    """Turn the telemetry and chatter of our libraries off, unless the user set it himself."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
