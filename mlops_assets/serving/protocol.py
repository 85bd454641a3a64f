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


class _Direct:
    """A request on the direct way; to uvicorn it looks like one of its own request cycles."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    def __init__(self, keep_alive: bool):
        self.keep_alive = keep_alive
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> "_Direct":
        """uvicorn wakes who waits for the rest of a body: nobody does."""
        return self

    def set(self) -> None:
        """Wake nobody."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._predictions: Predictions = self.config.app.predictions  # type: ignore[union-attr]
        self._address: Address | None = None
        self._body = b""

    def connection_made(self, transport: Any) -> None:
        """Take a connection."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        if self._address is not None:
            self._go_uvicorns_way()

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
        headers = dict(self.headers)
        if len(self._body) > MOST_BYTES or b"content-encoding" in headers:
            return False
        predictions = self._predictions
        asked = Asked("POST", self.url.decode("ascii"), headers, predictions.request_id(headers))
        predictions.in_flight += 1
        try:
            predictions.refuse_overload()
            predictions.admit(asked)
            bound = predictions.bind(asked, address)
            if not bound.scorer.light:
                predictions.in_flight -= 1
                return False
            cycle = self._begin()
            predictions.read(asked, self._body)
            assert asked.bound is not None
            asked.bound.scorer.submit(asked.rows, asked.arrived, Done(self, cycle, asked))
        except Exception as error:  # noqa: BLE001 - the parser must go on; answered, and logged
            self.end(self._begin(), asked, predictions.refusal(asked, error))
        return True

    def _begin(self) -> _Direct:
        cycle = _Direct(self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0")
        self.cycle = cycle  # type: ignore[assignment]
        return cycle

    def end(self, cycle: _Direct, asked: Asked, reply: Reply) -> None:
        """Write the reply to a request, and go on with the next."""
        self._predictions.in_flight -= 1
        cycle.response_complete = True
        if cycle.disconnected:
            return
        status, headers, body = reply
        parts = [STATUS_LINE[status], _lines(self.server_state.default_headers)]
        parts += [b"%s: %s\r\n" % header for header in headers]
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        length, request_id = len(body), asked.request_id.encode()
        parts.append(b"content-length: %d\r\nx-request-id: %s\r\n\r\n" % (length, request_id))
        parts.append(body)
        self.transport.write_whole(b"".join(parts))  # type: ignore[attr-defined]
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


class Done:
    """What happens to a request of a connection when it is answered.

    Parameters
    ----------
    protocol : Protocol
    cycle : _Direct
    asked : Asked
    """

    __slots__ = ("_asked", "_cycle", "_protocol")

    def __init__(self, protocol: Protocol, cycle: _Direct, asked: Asked):
        self._protocol, self._cycle, self._asked = protocol, cycle, asked

    def __call__(self, outcome: Outcome) -> None:
        """Reply; never raises, for the sake of the others in the same batch."""
        protocol, asked = self._protocol, self._asked
        predictions = protocol._predictions
        error, reply = outcome, None
        if not isinstance(outcome, Exception):
            try:
                reply = predictions.reply(asked, outcome)
            except Exception as failure:  # noqa: BLE001 - answered 500, and logged
                error = failure
        if reply is None:
            assert isinstance(error, Exception)
            protocol.end(self._cycle, asked, predictions.refusal(asked, error))
        else:
            protocol.end(self._cycle, asked, reply)
            predictions.answered(asked, outcome)  # type: ignore[arg-type]


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
