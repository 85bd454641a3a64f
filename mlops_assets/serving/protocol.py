"""uvicorn's HTTP protocol, with a direct way for predictions.

A prediction that arrives in one piece is answered without what ASGI needs for a request: a scope,
a task, a queue of messages. It is read, scored with what else arrives in this tick of the event
loop, logged, and written. Everything else, and every prediction that arrives in pieces, goes
uvicorn's way, through the same `Predictions`.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mlops_assets.serving.predictions import Address, Asked, Predictions, Reply, address_of
from mlops_assets.serving.scoring import Outcome

# A larger body is unpacked or read beside the event loop.
MOST_BYTES = 64 * 1024
MOST_REMEMBERED = 1024


class OneWrite:
    """A transport that writes what one tick of the event loop gave it at once.

    uvicorn sends the head and the body of a reply apart, which costs a system call.

    Parameters
    ----------
    transport : asyncio.Transport
        Everything but writing and closing is its own.
    loop : asyncio.AbstractEventLoop
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop):
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this tick."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def write_whole(self, data: bytes) -> None:
        """Write a whole reply, behind what is held."""
        if self._held:
            self._held.append(data)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))


class Direct:
    """A request on the direct way; to uvicorn it looks like one of its own request cycles.

    Parameters
    ----------
    protocol : Protocol
    asked : Asked
    keep_alive : bool
    """

    __slots__ = ("asked", "disconnected", "keep_alive", "protocol", "response_complete")

    def __init__(self, protocol: "Protocol", asked: Asked, keep_alive: bool):
        self.protocol, self.asked, self.keep_alive = protocol, asked, keep_alive
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> "Direct":
        """uvicorn wakes who waits for the rest of a body: nobody does."""
        return self

    def set(self) -> None:
        """Wake nobody."""

    def __call__(self, outcome: Outcome) -> None:
        """Reply; never raises, for the sake of the others in the same batch."""
        if isinstance(outcome, Exception):
            self.refuse(outcome)
            return
        predictions = self.protocol.predictions
        try:
            reply = predictions.reply(self.asked, outcome)
        except Exception as error:  # noqa: BLE001 - answered 500, and logged
            self.refuse(error)
            return
        self.protocol.end(self, reply)
        predictions.answered(self.asked, outcome)

    def refuse(self, error: Exception) -> None:
        """Reply that there is no prediction."""
        self.protocol.end(self, self.protocol.predictions.refusal(self.asked, error))


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.predictions: Predictions = self.config.app.predictions  # type: ignore[union-attr]
        self._address: Address | None = None
        self._body = b""
        self._idle_since: float | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        if self._address is not None:
            self._go_uvicorns_way()

    def on_response_complete(self) -> None:
        """Go on with the next request of this connection, or wait for one."""
        if self.timeout_keep_alive_task is None or self.pipeline:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection.

        uvicorn sets a timer and cancels it for every request; here one timer looks, when it is
        due, whether the connection has been idle for so long.
        """
        self.timeout_keep_alive_task = None
        if self._idle_since is None or not self.cycle.response_complete:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(
                left, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None
        if self.transport.is_closing():
            super()._unset_keepalive_if_required()

    def on_message_begin(self) -> None:
        """Begin a request; what only ASGI needs is made when it is needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._body = b""
        free = self.cycle is None or self.cycle.response_complete
        # A client that does not read its replies has to wait, as uvicorn makes it.
        free = free and not self.flow.write_paused
        if free and not self.expect_100_continue and self.parser.get_method() == b"POST":
            self._address = _address(self.url)
        if self._address is None or self.parser.should_upgrade():
            self._go_uvicorns_way()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if self._address is None:
            super().on_body(body)
        else:
            self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._address is not None:
            if self._predict(self._address):
                self._address = None
                return
            self._go_uvicorns_way()
        super().on_message_complete()

    def _go_uvicorns_way(self) -> None:
        self._address = None
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        if self._body:
            super().on_body(self._body)

    def _predict(self, address: Address) -> bool:
        """Ask for a prediction; False, with nothing done, where it has to go uvicorn's way."""
        headers, predictions = dict(self.headers), self.predictions
        if len(self._body) > MOST_BYTES or b"content-encoding" in headers:
            return False
        asked = Asked("POST", self.url.decode("ascii"), headers, predictions.request_id(headers))
        stays = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        cycle = Direct(self, asked, stays)
        predictions.in_flight += 1
        try:
            predictions.refuse_overload()
            predictions.admit(asked)
            predictions.bind(asked, address)
            predictions.read(asked, self._body)
            assert asked.bound is not None
            scorer = asked.bound.scorer
            if not scorer.light(asked.rows.count):
                predictions.in_flight -= 1
                return False
            self.cycle = cycle  # type: ignore[assignment]
            scorer.submit(asked.rows, asked.arrived, cycle)
        except Exception as error:  # noqa: BLE001 - the parser must go on; answered, and logged
            self.cycle = cycle  # type: ignore[assignment]
            cycle.refuse(error)
        return True

    def end(self, cycle: Direct, reply: Reply) -> None:
        """Write the reply to a request, and go on with the next."""
        self.predictions.in_flight -= 1
        cycle.response_complete = True
        if cycle.disconnected:
            return
        status, headers, body = reply
        parts = [STATUS_LINE[status], _lines(self.server_state.default_headers)]
        parts += [b"%s: %s\r\n" % header for header in headers]
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        length, request_id = len(body), cycle.asked.request_id.encode()
        parts.append(b"content-length: %d\r\nx-request-id: %s\r\n\r\n" % (length, request_id))
        parts.append(body)
        self.transport.write_whole(b"".join(parts))  # type: ignore[attr-defined]
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


_addresses: dict[bytes, Address | None] = {}


def _address(url: bytes) -> Address | None:
    """The address of predictions that a plain URL is; others are parsed on uvicorn's way."""
    try:
        return _addresses[url]
    except KeyError:
        pass
    plain = url.isascii() and not any(sign in url for sign in b"%?#")
    found = address_of(url.decode("ascii")) if plain else None
    if len(_addresses) < MOST_REMEMBERED:
        _addresses[url] = found
    return found


_known: tuple[Any, bytes] = (None, b"")


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """What stands in every reply: the date, which uvicorn makes anew each second."""
    global _known
    if _known[0] is not headers:
        _known = headers, b"".join([b"%s: %s\r\n" % header for header in headers])
    return _known[1]
