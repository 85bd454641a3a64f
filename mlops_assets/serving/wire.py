"""A reply in one write: uvicorn sends its head and its body apart, which costs a system call."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWrite:
    """A transport that writes what one tick of the event loop gave it at once.

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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this tick."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Close after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over `OneWrite`."""

    def connection_made(self, transport: Any) -> None:
        """Take a connection."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]
