"""The server process."""

import ipaddress
import os
from typing import Any

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings

GRACE_SECONDS = 30

# By default MLflow waits 2 minutes for an answer and asks 7 times; we ask every second anyway.
MLFLOW_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "mlops_assets": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        # A request a line would outgrow the prediction log, which has every answer.
        "uvicorn.access": {"level": "WARNING"},
    },
}


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8900) -> None:
    """Serve the champions until SIGTERM or SIGINT; requests under way are finished first.

    Parameters
    ----------
    settings : Settings
    host : str
        A loopback address.
    port : int

    Raises
    ------
    DeclarationError
        For an address that others could reach.
    """
    import uvicorn

    from mlops_assets.serving.app import build_app

    refuse_public(host)
    for name, value in MLFLOW_PATIENCE.items():
        os.environ.setdefault(name, value)
    uvicorn.run(
        build_app(settings),
        host=host,
        port=port,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def refuse_public(host: str) -> None:
    """Refuse to listen where a client could come from another machine.

    Raises
    ------
    DeclarationError
        Naming the address.
    """
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise DeclarationError(
            f"the server has no API keys yet, so it answers this machine only: {host!r} is not a "
            "loopback address (use 127.0.0.1, and a proxy that checks who asks)"
        )
