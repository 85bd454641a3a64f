"""The server as a plain ASGI application: predictions go to the scorer, the rest to routes."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from mlops_assets.serving.answers import Answered
from mlops_assets.serving.bodies import read_body
from mlops_assets.serving.endpoints import KEY, Endpoints
from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.patience import Patience
from mlops_assets.serving.predictions import Address, Asked, Predictions, Reply, address_of
from mlops_assets.serving.scoring import Outcome

# Reading more than this on the event loop would make other clients wait.
LARGE_BODY = 64 * 1024
METRICS = "/metrics"
OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})


class Exchange:
    """The reply to one request under way.

    Parameters
    ----------
    asked : Asked
    scope : dict
        Of ASGI.
    send : callable
        Of ASGI.
    """

    def __init__(self, asked: Asked, scope: dict[str, Any], send: Any):
        self.asked, self.scope = asked, scope
        self.begun = False
        self._send = send
        self._request_id = (b"x-request-id", asked.request_id.encode())

    async def reply(self, reply: Reply) -> None:
        """Send the whole reply."""
        status, headers, body = reply
        fixed = [(b"content-length", b"%d" % len(body)), self._request_id]
        self.begun = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": headers + fixed}
        )
        content = b"" if self.scope["method"] == "HEAD" else body
        await self._send({"type": "http.response.body", "body": content})

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass on what a route sends."""
        if message["type"] == "http.response.start":
            self.begun = True
            message = {**message, "headers": [*message["headers"], self._request_id]}
        await self._send(message)


class Application:
    """The ASGI application.

    Parameters
    ----------
    predictions : Predictions
    endpoints : Endpoints
        Answer every address but those of predictions, and the lifespan.
    seconds : float
        How long a client may take to send its request, and a model to answer it.
    """

    def __init__(self, predictions: Predictions, endpoints: Endpoints, seconds: float):
        self.predictions = predictions
        self._endpoints = endpoints
        self._routes = endpoints.router()
        self._patience = Patience(seconds)

    def drain(self) -> None:
        """Say from now on that the server is not ready; requests are still answered."""
        self._endpoints.draining = True

    async def __call__(self, scope, receive, send) -> None:
        """Answer one request, or follow the lifespan."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        predictions = self.predictions
        headers = dict(scope["headers"])
        asked = Asked(scope["method"], scope["path"], headers, predictions.request_id(headers))
        exchange = Exchange(asked, scope, send)
        predictions.in_flight += 1
        try:
            await self._answer(exchange, receive)
        except HTTPException as error:
            refused = RequestError(error.status_code, error.detail, error.headers or {})
            await exchange.reply(predictions.refusal(asked, refused))
        except Exception as error:
            reply = predictions.refusal(asked, error)
            if exchange.begun:
                raise
            await exchange.reply(reply)
        finally:
            predictions.in_flight -= 1

    async def _answer(self, exchange: Exchange, receive: Any) -> None:
        asked, scope = exchange.asked, exchange.scope
        if asked.path in OPEN:
            await self._routes(scope, receive, exchange.send)
            return
        # Who watches an overload must see it.
        if asked.path != METRICS:
            self.predictions.refuse_overload()
        self.predictions.admit(asked)
        address = address_of(asked.path)
        if address is None:
            scope[KEY] = asked.key
            # Without it a router answers an unknown address in plain text.
            scope["app"] = self
            await self._routes(scope, receive, exchange.send)
        elif asked.method != "POST":
            raise RequestError(405, "predictions are asked with POST")
        else:
            await self._predict(exchange, address, receive)

    async def _predict(self, exchange: Exchange, address: Address, receive: Any) -> None:
        asked, predictions = exchange.asked, self.predictions
        predictions.bind(asked, address)
        body = await read_body(receive, asked.headers, self._patience)
        if len(body) <= LARGE_BODY:
            predictions.read(asked, body)
        else:
            await asyncio.to_thread(predictions.read, asked, body)
        answered = await self._scored(asked)
        await exchange.reply(predictions.reply(asked, answered))
        predictions.answered(asked, answered)

    async def _scored(self, asked: Asked) -> Answered:
        assert asked.bound is not None
        scorer = asked.bound.scorer
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            # A request that took too long was given up on.
            if future.done():
                return
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        scorer.submit(asked.rows, asked.arrived, done)
        if scorer.light(asked.rows.count):
            return await future
        return await self._patience.wait(future, 503, "the model has not answered in time")
