"""The server as a plain ASGI application: predictions go to the scorer, the rest to routes."""

import asyncio
import itertools
import logging
import os
import re
import time
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec
from starlette.exceptions import HTTPException

from mlops_assets.lifecycle.endpoint import PROBE_HEADER
from mlops_assets.lifecycle.prediction_log import PROBE
from mlops_assets.serving.bodies import read_body
from mlops_assets.serving.endpoints import KEY, Endpoints
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.forms import INFER, INVOCATIONS, JSON, PREDICT, Form, Headers, Readers
from mlops_assets.serving.gate import Gate
from mlops_assets.serving.keys import Key, check_scope
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import Models, Routed
from mlops_assets.serving.options import Options
from mlops_assets.serving.patience import Patience
from mlops_assets.serving.payload import Row
from mlops_assets.serving.scoring import Answered, Scorer, Writer

# Reading more than this on the event loop would make other clients wait.
LARGE_BODY = 64 * 1024
METRICS = "/metrics"
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})

_PROBE = PROBE_HEADER.encode()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)

AfterAnswer = Callable[[Routed, list[Row], Answered], None]

log = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where predictions are asked: in which form, of which model."""

    form: Form
    model: str
    version: str | None = None


class Bound:
    """One version in one role, with everything its requests touch."""

    def __init__(self, routed: Routed, writer: Writer, metrics: Metrics):
        self.routed = routed
        self.readers = Readers(routed.model)
        version = routed.model.version
        self.metrics = metrics.of(version.model, version.number, routed.variant)
        self.scorer = Scorer(routed, writer, self.metrics)


class Exchange:
    """One request under way: what is known of it, and its reply.

    Parameters
    ----------
    scope : dict
        Of ASGI.
    send : callable
        Of ASGI.
    request_id : str
    """

    def __init__(self, scope: dict[str, Any], send: Any, headers: Headers, request_id: str):
        self.arrived = time.perf_counter()
        self.scope, self.headers, self.request_id = scope, headers, request_id
        self.status = 0
        self.bound: Bound | None = None
        self._send = send

    async def reply(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send the whole reply."""
        self.status = status
        fixed = [
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self.request_id.encode()),
        ]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": headers + fixed}
        )
        content = b"" if self.scope["method"] == "HEAD" else body
        await self._send({"type": "http.response.body", "body": content})

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass on what a route sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            fixed = (b"x-request-id", self.request_id.encode())
            message = {**message, "headers": [*message["headers"], fixed]}
        await self._send(message)

    async def refuse(self, status: int, message: str, headers: Any = ()) -> None:
        """Reply with an error in the protocol's form."""
        extra = [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()]
        try:
            body = msgspec.json.encode({"error": message})
        except UnicodeEncodeError:
            # A client's field name may hold half a surrogate pair.
            body = msgspec.json.encode({"error": message.encode("ascii", "replace").decode()})
        await self.reply(status, [JSON, *extra], body)


class Application:
    """The ASGI application.

    Parameters
    ----------
    models : Models
    writer : Writer
        The prediction log.
    options : Options
    gate : Gate
    metrics : Metrics
    endpoints : Endpoints
        Answer every address but those of predictions, and the lifespan.
    after_answer : callable or None
        Called with the version, rows and answers of each prediction after its reply has left.
    """

    def __init__(
        self,
        models: Models,
        writer: Writer,
        options: Options,
        gate: Gate,
        metrics: Metrics,
        endpoints: Endpoints,
        after_answer: AfterAnswer | None = None,
    ):
        self._models = models
        self._log = writer
        self._options = options
        self._gate = gate
        self._metrics = metrics
        self._endpoints = endpoints
        self._routes = endpoints.router()
        self._after_answer = after_answer
        self._bounds: dict[tuple[int, str], Bound] = {}
        self._in_flight = 0
        self._patience = Patience(options.seconds)
        metrics.in_flight.set_function(lambda: self._in_flight)
        prefix = os.urandom(6).hex()
        self._ids = (f"{prefix}-{number:x}" for number in itertools.count())

    def drain(self) -> None:
        """Say from now on that the server is not ready; requests are still answered."""
        self._endpoints.draining = True

    async def __call__(self, scope, receive, send) -> None:
        """Answer one request, or follow the lifespan."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        headers = dict(scope["headers"])
        sent = headers.get(b"x-request-id", b"")
        request_id = sent.decode() if _REQUEST_ID.fullmatch(sent) else next(self._ids)
        exchange = Exchange(scope, send, headers, request_id)
        self._in_flight += 1
        try:
            await self._answer(exchange, receive)
        except RequestError as error:
            await exchange.refuse(error.status, error.message, error.headers)
            self._refused(exchange)
        except HTTPException as error:
            await exchange.refuse(error.status_code, error.detail, error.headers or {})
            self._refused(exchange)
        except Exception as error:
            log.error(
                "request %s to %s failed", request_id, scope["path"], exc_info=error,
                extra={"request_id": request_id},
            )  # fmt: skip
            if exchange.status:
                raise
            await exchange.refuse(
                500, f"internal error; the server's log has it as request {request_id}"
            )
            self._refused(exchange)
        finally:
            self._in_flight -= 1

    async def _answer(self, exchange: Exchange, receive: Any) -> None:
        path = exchange.scope["path"]
        if path in OPEN:
            await self._routes(exchange.scope, receive, exchange.send)
            return
        # Who watches an overload must see it.
        if self._in_flight > self._options.in_flight and path != METRICS:
            raise RequestError(503, f"{self._options.in_flight} requests are under way already")
        key = self._gate.admit(exchange.headers)
        address = address_of(path)
        if address is None:
            exchange.scope[KEY] = key
            # Without it a router answers an unknown address in plain text.
            exchange.scope["app"] = self
            await self._routes(exchange.scope, receive, exchange.send)
        elif exchange.scope["method"] != "POST":
            raise RequestError(405, "predictions are asked with POST")
        else:
            if key is not None:
                check_scope(key, "predict", address.model)
                if _PROBE in exchange.headers:
                    check_scope(key, "probe")
            await self._predict(exchange, address, receive)

    async def _predict(self, exchange: Exchange, address: Address, receive: Any) -> None:
        form, headers = address.form, exchange.headers
        probe = _PROBE in headers
        routed = self._route(address, None)
        exchange.bound = bound = self._bind(routed, probe)
        form.check(headers)
        body = await read_body(receive, headers, self._patience)
        rows, asked = await _read(form, bound, body, headers)
        chosen = self._route(address, rows[0].unit)
        if chosen != routed:
            other = self._bind(chosen, probe)
            if chosen.model.serving != routed.model.serving:
                rows, asked = await _read(form, other, body, headers)
            exchange.bound = bound = other
        answered = await self._scored(bound, rows, exchange.arrived)
        extra, content = form.reply(bound.routed.model, answered, asked, exchange.request_id)
        await exchange.reply(200, extra, content)
        metrics = bound.metrics
        metrics.answered.inc()
        metrics.seconds.observe(time.perf_counter() - exchange.arrived)
        if self._after_answer is not None:
            self._after_answer(bound.routed, rows, answered)

    async def _scored(self, bound: Bound, rows: list[Row], arrived: float) -> Answered:
        future = bound.scorer.submit(rows, arrived)
        if bound.scorer.light:
            return await future
        return await self._patience.wait(future, 503, "the model has not answered in time")

    def _route(self, address: Address, unit: str | None) -> Routed:
        if address.version is None:
            return self._models.route(address.model, unit)
        return self._models.version(address.model, address.version)

    def _bind(self, routed: Routed, probe: bool) -> Bound:
        variant = PROBE if probe else routed.variant
        known = self._bounds.get((id(routed.model), variant))
        if known is not None:
            return known
        loaded = self._models.loaded()
        self._bounds = {place: b for place, b in self._bounds.items() if place[0] in loaded}
        bound = Bound(Routed(routed.model, variant), self._log, self._metrics)
        self._bounds[id(routed.model), variant] = bound
        return bound

    def _refused(self, exchange: Exchange) -> None:
        address, bound = address_of(exchange.scope["path"]), exchange.bound
        if address is not None:
            # Only names that are served become labels: a client can't make up new ones.
            version = bound.routed.model.version if bound else None
            self._metrics.refused(
                version.model if version else "",
                str(version.number) if version else "",
                bound.routed.variant if bound else "",
                exchange.status,
            )
        key: Key | None = exchange.scope.get(KEY)
        log.log(
            logging.WARNING if exchange.status >= 500 else logging.INFO,
            "refused",
            extra={
                "request_id": exchange.request_id,
                "method": exchange.scope["method"],
                "path": exchange.scope["path"][:200],
                "status": exchange.status,
                "milliseconds": round((time.perf_counter() - exchange.arrived) * 1000, 3),
                "key": key.name if key else None,
            },
        )


async def _read(form: Form, bound: Bound, body: bytes, headers: Headers) -> tuple[list[Row], Any]:
    model = bound.routed.model
    if len(body) <= LARGE_BODY:
        return form.rows(model, bound.readers, body, headers)
    return await asyncio.to_thread(form.rows, model, bound.readers, body, headers)


def address_of(path: str) -> Address | None:
    """The address of predictions that a path is, or None for any other."""
    parts = path.split("/")
    match parts[1:]:
        case ["predict", model] if model:
            return Address(PREDICT, model)
        case ["predict", model, "versions", version] if model and version:
            return Address(PREDICT, model, version)
        case ["v2", "models", model, "infer"] if model:
            return Address(INFER, model)
        case ["v2", "models", model, "invocations"] if model:
            return Address(INVOCATIONS, model)
        case ["v2", "models", model, "versions", version, "infer"] if model and version:
            return Address(INFER, model, version)
        case _:
            return None
