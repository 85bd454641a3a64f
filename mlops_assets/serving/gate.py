"""Who may ask: a key where others could come, and nobody through a browser's back door."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from mlops_assets.serving.errors import RequestError
from mlops_assets.serving.keys import Key, Keys

_REMEMBERED = 64


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, without asking a name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Gate:
    """Lets a request in by its headers.

    Without keys only this machine's programs are meant. A web page that its user visits is none
    of them, though it can send requests from here: under a name of its own that resolves to
    127.0.0.1 (rebinding), which the Host header shows, or blindly, which Origin shows.

    Parameters
    ----------
    keys : Keys or None
    """

    def __init__(self, keys: Keys | None):
        self._keys = keys
        self._hosts: set[bytes] = set()

    def admit(self, headers: Mapping[bytes, bytes]) -> Key | None:
        """The key a request was sent with; None where none is asked for.

        Raises
        ------
        RequestError
            401, 403 or 421.
        """
        if self._keys is not None:
            return self._keys.find(headers)
        host = headers.get(b"host")
        if host is not None and host not in self._hosts:
            if not is_loopback(_name(f"//{host.decode('latin-1')}")):
                raise RequestError(421, "without API keys only a loopback Host is answered")
            if len(self._hosts) < _REMEMBERED:
                self._hosts.add(host)
        origin = headers.get(b"origin")
        if origin is not None and not is_loopback(_name(origin.decode("latin-1"))):
            raise RequestError(403, "without API keys no page of another site is answered")
        return None


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
