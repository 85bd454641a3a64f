"""The server process."""

import gc
import os
import signal
import socket
import time
from types import FrameType

import uvicorn

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.app import build_app
from mlops_assets.serving.application import Application
from mlops_assets.serving.gate import is_loopback
from mlops_assets.serving.keys import Keys
from mlops_assets.serving.logs import LOGGING
from mlops_assets.serving.options import Options
from mlops_assets.serving.protocol import Protocol

GRACE_SECONDS = 30
GC_THRESHOLDS = (100_000, 50, 100)

# By default MLflow waits 2 minutes for an answer and asks 7 times; we ask every second anyway.
MLFLOW_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8900, workers: int = 1) -> None:
    """Serve the champions until SIGTERM or SIGINT; requests under way are finished first.

    Parameters
    ----------
    settings : Settings
    host : str
        A loopback address, unless ``MLOPS_API_KEYS`` names a file of keys.
    port : int
    workers : int
        Processes that answer. One that dies is replaced.

    Raises
    ------
    DeclarationError
        For an address that others could reach without a key, a wrong file of keys, or no worker.
    """
    options = Options.from_environment()
    if options.api_keys is None:
        refuse_public(host)
    if workers < 1:
        raise DeclarationError(f"{workers} workers: at least one has to answer")
    for name, value in MLFLOW_PATIENCE.items():
        os.environ.setdefault(name, value)
    if workers > 1:
        from mlops_assets.serving.workers import serve_with_workers

        if options.api_keys is not None:
            Keys.read(options.api_keys)  # once here, not in each worker again and again
        serve_with_workers(settings, configuration(host, port), workers)
        return
    application = build_app(settings, options=options)
    run(configuration(host, port, application), application, options)


def configuration(host: str, port: int, application: Application | None = None) -> uvicorn.Config:
    """How uvicorn serves; without an application where each worker makes its own."""
    return uvicorn.Config(
        application or "mlops_assets.serving.app:build_app",
        host=host,
        port=port,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        http=Protocol,
        ws="none",
        # Nothing here asks who the client's client is.
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def run(
    config: uvicorn.Config,
    application: Application,
    options: Options,
    sockets: list[socket.socket] | None = None,
) -> None:
    """Answer until SIGTERM or SIGINT."""
    # A request leaves hardly a cycle behind; looking for them every 700 objects costs an eighth.
    gc.set_threshold(*GC_THRESHOLDS)
    DrainingServer(config, application, options.drain_seconds).run(sockets)


class DrainingServer(uvicorn.Server):
    """On SIGTERM says that it is not ready, for a while, before it stops to accept.

    Parameters
    ----------
    config : uvicorn.Config
    application : Application
    drain_seconds : float
    """

    def __init__(self, config: uvicorn.Config, application: Application, drain_seconds: float):
        super().__init__(config)
        self._application = application
        self._drain_seconds = drain_seconds
        self._stops_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal, or SIGINT, stops at once."""
        if sig == signal.SIGTERM and self._stops_at is None:
            self._captured_signals.append(sig)
            self._application.drain()
            self._stops_at = time.monotonic() + self._drain_seconds
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; asked ten times a second."""
        if self._stops_at is not None and time.monotonic() >= self._stops_at:
            self.should_exit = True
        return await super().on_tick(counter)


def refuse_public(host: str) -> None:
    """Refuse to listen, without keys, where a client could come from another machine.

    Raises
    ------
    DeclarationError
        Naming the address.
    """
    if not is_loopback(host):
        raise DeclarationError(
            f"without API keys the server answers this machine only: {host!r} is not a loopback "
            "address (use 127.0.0.1, or name a file of keys in MLOPS_API_KEYS)"
        )
