"""A request the server refuses."""

from collections.abc import Mapping

_HEADERS = {
    401: {"www-authenticate": "Bearer"},
    405: {"allow": "POST"},
    503: {"retry-after": "1"},
}


class RequestError(Exception):
    """Answered to the client as ``{"error": message}``.

    Parameters
    ----------
    status : int
        HTTP status of the reply; a 503 asks the client to come again in a second.
    message : str
        What is wrong and where; holds nothing the client may not see.
    headers : mapping of str to str or None
        Of the reply; None for what its status asks for.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = _HEADERS.get(status, {}) if headers is None else headers


def brief(error: Exception) -> str:
    """The first line of what an error says."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]


def shown(name: str) -> str:
    """A name that came from a client, quoted and short enough for a message."""
    return repr(name if len(name) <= 100 else f"{name[:100]}...")
