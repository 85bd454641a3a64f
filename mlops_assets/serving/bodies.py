"""The body of a request: read within limits of size and time, and unpacked."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.patience import Patience
from mlops_assets.serving.payload import MAX_BYTES

Receive = Callable[[], Awaitable[Any]]
Headers = Mapping[bytes, bytes]
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_TOO_LARGE = f"the body is larger than {MAX_BYTES} bytes"


async def read_body(receive: Receive, headers: Headers, patience: Patience) -> bytes:
    """The body as the client meant it.

    Raises
    ------
    RequestError
        400 when the client left, 408 when it was too slow, 413 when the body, packed or not, is
        too large, 415 for an encoding that is not known or not what the body has.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MAX_BYTES:
        raise RequestError(413, _TOO_LARGE)
    body = await patience.wait(_whole(receive), 408, "the body did not arrive in time")
    encoding = headers.get(b"content-encoding")
    return body if encoding is None else unpack(body, encoding.decode("latin-1"))


async def _whole(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _within(message.get("body", b""))
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise RequestError(400, "the client left before its request was complete")
        body += message.get("body", b"")
        _within(body)
        if not message.get("more_body"):
            return bytes(body)
        message = await receive()


def unpack(body: bytes, encoding: str) -> bytes:
    """A body without its Content-Encoding, which may be gzip or deflate.

    Raises
    ------
    RequestError
        415, or 413 for one that would grow beyond the limit; it is not unpacked further.
    """
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind not in ("gzip", "deflate"):
        raise RequestError(415, f"Content-Encoding {kind[:50]!r}: gzip, deflate or none")
    reader = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        plain = reader.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise RequestError(415, f"the body is not {kind}, as its Content-Encoding says") from None
    _within(plain)
    if not reader.eof or reader.unused_data:
        raise RequestError(415, f"the {kind} body is cut off or has something behind it")
    return plain


def _within(body: Any) -> Any:
    if len(body) > MAX_BYTES:
        raise RequestError(413, _TOO_LARGE)
    return body
