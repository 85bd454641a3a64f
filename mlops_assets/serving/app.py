"""The REST interface: which address answers what."""

import contextlib
import json
import logging
import time
import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mlops_assets.lifecycle.endpoint import PROBE_HEADER
from mlops_assets.lifecycle.prediction_log import PROBE, PredictionLog
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.models import POLL_SECONDS, Models
from mlops_assets.serving.payload import MAX_BYTES, parse_records
from mlops_assets.serving.scoring import answer

PLATFORM = "mlops_assets"

log = logging.getLogger(__name__)


def build_app(settings: Settings, poll_seconds: float = POLL_SECONDS) -> Starlette:
    """The server as an ASGI application.

    Parameters
    ----------
    settings : Settings
    poll_seconds : float
        How often the registry is read.
    """
    endpoints = Endpoints(Models(settings, poll_seconds), PredictionLog(settings.prediction_log))
    handlers: dict[Any, Any] = {
        RequestError: _refused,
        HTTPException: _no_such_address,
        ClientDisconnect: _gone,
        Exception: _unexpected,
    }
    return Starlette(
        routes=[
            Route("/v2/health/live", endpoints.live),
            Route("/v2/health/ready", endpoints.ready),
            Route("/v2/models", endpoints.models),
            Route("/v2/models/{model}", endpoints.metadata),
            Route("/v2/models/{model}/ready", endpoints.model_ready),
            Route("/v2/models/{model}/versions/{version}", endpoints.metadata),
            Route("/predict/{model}", endpoints.predict, methods=["POST"]),
            Route("/predict/{model}/versions/{version}", endpoints.predict, methods=["POST"]),
        ],
        exception_handlers=handlers,
        lifespan=endpoints.lifespan,
    )


class Endpoints:
    """What each address answers.

    Parameters
    ----------
    models : Models
    prediction_log : PredictionLog
    """

    def __init__(self, models: Models, prediction_log: PredictionLog):
        self._models = models
        self._log = prediction_log

    @contextlib.asynccontextmanager
    async def lifespan(self, app):
        """Follow the registry while the server runs."""
        self._models.start()
        yield
        await run_in_threadpool(self._models.stop)
        self._log.close()

    async def live(self, request: Request) -> Response:
        """Whether the process is worth keeping: 503 once it no longer follows the registry."""
        return _reply({"live": self._models.live}, 200 if self._models.live else 503)

    async def ready(self, request: Request) -> Response:
        """Whether champions have been looked up and loaded."""
        return _reply({"ready": self._models.ready}, 200 if self._models.ready else 503)

    async def models(self, request: Request) -> Response:
        """The models that are served."""
        return _reply([_summary(model) for model in self._models.served()])

    async def metadata(self, request: Request) -> Response:
        """One model: version, inputs, and where it comes from."""
        name, number = request.path_params["model"], request.path_params.get("version")
        found = self._models.version(name, number).model if number else self._models.get(name)
        return _reply(_describe(found, self._models.problem(name)))

    async def model_ready(self, request: Request) -> Response:
        """Whether a model can answer."""
        name = request.path_params["model"]
        self._models.get(name)
        return _reply({"name": name, "ready": True})

    async def predict(self, request: Request) -> Response:
        """Answer records; scoring and logging leave the event loop free."""
        arrived = time.perf_counter()
        name, number = request.path_params["model"], request.path_params.get("version")
        # Looked up once: a swap in the middle of a request can't mix two versions.
        routes = self._models.routes(name)
        body = await _read_body(request)
        if number:
            routed = self._models.version(name, number)
        else:
            column = routes.champion.serving.unit
            (first, *_) = parse_records(body)
            unit = first.get(column) if column else None
            routed = routes.route(None if unit is None else str(unit))
        model, variant = routed.model, routed.variant
        if PROBE_HEADER in request.headers:
            variant = PROBE
        return _reply(await run_in_threadpool(answer, model, body, self._log, arrived, variant))


async def _read_body(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RequestError(415, "send the body without Content-Encoding")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise RequestError(413, f"the body is larger than {MAX_BYTES} bytes")
    return bytes(body)


def _summary(model: ServedModel) -> dict[str, Any]:
    return {
        "model": model.version.model,
        "version": model.version.number,
        "since": model.loaded_at.isoformat(),
        "task": model.serving.task,
    }


def _describe(model: ServedModel, problem: str | None) -> dict[str, Any]:
    version = model.version
    return {
        "name": version.model,
        "versions": [str(version.number)],
        "platform": PLATFORM,
        "inputs": [feature.model_dump() for feature in model.serving.features],
        "task": model.serving.task,
        "version": version.number,
        "run_id": version.run_id,
        "digest": version.digest,
        "loaded_at": model.loaded_at.isoformat(),
        "problem": problem,
    }


def _reply(content: Any, status: int = 200) -> Response:
    # ASCII with escapes: a client's field name may hold half a surrogate pair.
    return Response(json.dumps(content, allow_nan=False), status, media_type="application/json")


async def _refused(request: Request, error: RequestError) -> Response:
    return _reply({"error": error.message}, error.status)


async def _no_such_address(request: Request, error: HTTPException) -> Response:
    return _reply({"error": error.detail}, error.status_code)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return _reply({"error": "the client left before its request was complete"}, 400)


async def _unexpected(request: Request, error: Exception) -> Response:
    number = uuid.uuid4().hex
    log.error("request %s to %s failed", number, request.url.path, exc_info=error)
    return _reply({"error": f"internal error; the server's log has it as request {number}"}, 500)
