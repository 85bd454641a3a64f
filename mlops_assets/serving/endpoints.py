"""What the server tells of itself: health, models, repository, feedback, metrics, documents."""

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, Router

from mlops_assets.serving.bodies import read_body
from mlops_assets.serving.documents import parse_document
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.feedback import FeedbackSink, read_labels
from mlops_assets.serving.keys import Key, check_scope
from mlops_assets.serving.loading import ServedModel
from mlops_assets.serving.metrics import CONTENT_TYPE, Metrics
from mlops_assets.serving.models import Models
from mlops_assets.serving.openapi import document
from mlops_assets.serving.options import Options
from mlops_assets.serving.outputs import described
from mlops_assets.serving.page import POLICY, render
from mlops_assets.serving.patience import Patience
from mlops_assets.serving.tensors import TensorReader
from mlops_assets.version import __version__

PLATFORM = "mlops_assets"
KEY = "mlops_assets.key"  # where the gate leaves a request's key in its scope
EXTENSIONS = ["binary_tensor_data"]


class Endpoints:
    """What each address answers, but those of predictions.

    Parameters
    ----------
    models : Models
    logs : sequence
        Closed when the server stops.
    metrics : Metrics
    options : Options
    feedback : FeedbackSink
        Where labels go.
    workers : sequence
        Started with the server, and stopped before its logs are closed.
    """

    def __init__(
        self,
        models: Models,
        logs: Sequence[Any],
        metrics: Metrics,
        options: Options,
        feedback: FeedbackSink,
        workers: Sequence[Any] = (),
    ):
        self._models = models
        self._logs = logs
        self._workers = workers
        self._metrics = metrics
        self._feedback = feedback
        self._patience = Patience(options.seconds)
        self.draining = False

    def router(self) -> Router:
        """The addresses."""
        model = "/v2/models/{model}"
        routes = [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models", self.models),
            Route("/v2/repository/index", self.index, methods=["POST"]),
            Route(model, self.metadata),
            Route(f"{model}/ready", self.model_ready),
            Route(f"{model}/versions/{{version}}", self.metadata),
            Route(f"{model}/versions/{{version}}/ready", self.model_ready),
            Route(f"{model}/ping", self.model_ready),
            Route(f"{model}/version", self.platform_version),
            Route(f"{model}/feedback", self.feedback, methods=["POST"]),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            Route("/docs", self.docs),
        ]
        return Router(routes, redirect_slashes=False, lifespan=self.lifespan)

    @contextlib.asynccontextmanager
    async def lifespan(self, app):
        """Follow the registry while the server runs."""
        for worker in (self._models, *self._workers):
            worker.start()
        # Before a socket that other workers answer at is listened to.
        await run_in_threadpool(self._models.settle)
        yield
        for worker in (self._models, *self._workers):
            await run_in_threadpool(worker.stop)
        for log in self._logs:
            log.close()

    async def server(self, request: Request) -> Response:
        """What answers here."""
        return _reply({"name": PLATFORM, "version": __version__, "extensions": EXTENSIONS})

    async def live(self, request: Request) -> Response:
        """Whether the process is worth keeping: 503 once it no longer follows the registry."""
        return _reply({"live": self._models.live}, 200 if self._models.live else 503)

    async def ready(self, request: Request) -> Response:
        """Whether champions have been looked up and loaded, and the server is not stopping."""
        ready = self._models.ready and not self.draining
        return _reply({"ready": ready}, 200 if ready else 503)

    async def models(self, request: Request) -> Response:
        """The models that are served."""
        return _reply([_summary(model) for model in self._models.served() if _sees(request, model)])

    async def index(self, request: Request) -> Response:
        """The model repository: what serves, and what should but can't."""
        body = await read_body(request.receive, dict(request.scope["headers"]), self._patience)
        asked = parse_document(body) if body.strip() else {}
        if not isinstance(asked, dict) or not isinstance(asked.get("ready", False), bool):
            raise RequestError(422, 'expected an object such as {"ready": true}')
        served = {m.version.model: str(m.version.number) for m in self._models.served()}
        problems = self._models.problems()
        entries = [_entry(n, v, "READY", problems.get(n, "")) for n, v in served.items()]
        if not asked.get("ready", False):
            entries += [
                _entry(name, "", "UNAVAILABLE", problem)
                for name, problem in sorted(problems.items())
                if name not in served
            ]
            entries += [
                _entry(name, "", "UNAVAILABLE", str(retired))
                for name, retired in sorted(self._models.retired().items())
            ]
        key: Key | None = request.scope[KEY]
        return _reply([e for e in entries if key is None or key.sees(e["name"])])

    async def metadata(self, request: Request) -> Response:
        """One model: version, inputs and outputs, and where it comes from."""
        model = self._asked(request)
        return _reply(_describe(model, self._models.problem(model.version.model)))

    async def model_ready(self, request: Request) -> Response:
        """Whether a model can answer."""
        return _reply({"name": self._asked(request).version.model, "ready": True})

    async def platform_version(self, request: Request) -> Response:
        """What MLflow's client asks for: the version of the software that serves."""
        self._asked(request)
        return PlainTextResponse(__version__)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        key: Key | None = request.scope[KEY]
        if key is not None:
            check_scope(key, "metrics")
        return Response(self._metrics.render(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document of what is served now."""
        return _reply(self._document(request))

    async def docs(self, request: Request) -> Response:
        """The same as a page."""
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        return HTMLResponse(render(self._document(request)), headers=headers)

    async def feedback(self, request: Request) -> Response:
        """Store labels; they are stored when this answers."""
        key: Key | None = request.scope[KEY]
        name = request.path_params["model"]
        if key is not None:
            check_scope(key, "feedback", name)
        task = self._models.get(name).serving.task
        headers = dict(request.scope["headers"])
        body = await read_body(request.receive, headers, self._patience)
        labels = await run_in_threadpool(read_labels, name, task, body)
        try:
            await run_in_threadpool(self._feedback.append, labels)
        except OSError as error:
            raise RequestError(503, "the labels could not be stored") from error
        self._metrics.labels.labels(name).inc(len(labels))
        return _reply({"model": name, "accepted": len(labels)})

    def _document(self, request: Request) -> dict[str, Any]:
        seen = [model for model in self._models.served() if _sees(request, model)]
        return document(seen, request.scope[KEY] is not None)

    def _asked(self, request: Request) -> ServedModel:
        name, version = request.path_params["model"], request.path_params.get("version")
        key: Key | None = request.scope[KEY]
        if key is not None and not key.sees(name):
            check_scope(key, key.actions[0], name)
        if version is None:
            return self._models.get(name)
        return self._models.version(name, version).model


def _sees(request: Request, model: ServedModel) -> bool:
    key: Key | None = request.scope[KEY]
    return key is None or key.sees(model.version.model)


def _summary(model: ServedModel) -> dict[str, Any]:
    return {
        "model": model.version.model,
        "version": model.version.number,
        "since": model.loaded_at.isoformat(),
        "task": model.serving.task,
    }


def _entry(name: str, version: str, state: str, reason: str) -> dict[str, str]:
    return {"name": name, "version": version, "state": state, "reason": reason}


def _describe(model: ServedModel, problem: str | None) -> dict[str, Any]:
    version, features = model.version, model.serving.features
    inputs = zip(features, TensorReader(model.reader).described(), strict=True)
    return {
        "name": version.model,
        "versions": [str(version.number)],
        "platform": PLATFORM,
        "inputs": [{**tensor, "dtype": feature.dtype} for feature, tensor in inputs],
        "outputs": described(model.serving.task),
        "task": model.serving.task,
        "version": version.number,
        "run_id": version.run_id,
        "digest": version.digest,
        "loaded_at": model.loaded_at.isoformat(),
        "problem": problem,
    }


def _reply(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
