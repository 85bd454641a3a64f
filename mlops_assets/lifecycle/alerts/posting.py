"""Posting JSON to a URL that is a secret."""

import json
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError

from mlops_assets.lifecycle.alerts.channel import TIMEOUT_SECONDS, NotDelivered, within
from mlops_assets.lifecycle.declaration import expand_env

# The receiver understands, and does not want this one.
REFUSED = {400, 413, 415, 422}
LONGEST_WAIT = 3600.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected becomes a GET without the alert, and would count as delivered."""

    def redirect_request(self, *_arguments, **_named):
        return None


def post(url: str, document: dict[str, Any]) -> str:
    """Post a document to a URL template; proxies are taken from the environment.

    Raises
    ------
    NotDelivered
        When the answer is no success, or there is none. It tells neither URL nor answer: both may
        hold a token.
    """
    target = expand_env(url)
    body = json.dumps(document).encode()
    return within(TIMEOUT_SECONDS, lambda: _post(target, body))


def _post(url: str, body: bytes) -> str:
    headers = {"content-type": "application/json"}
    opener = urllib.request.build_opener(_NoRedirect)
    if not url.lower().startswith(("http://", "https://")):
        raise NotDelivered("its URL is no http or https URL")
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return ""
    except HTTPError as error:
        with error:
            wait = error.headers.get("retry-after", "") if error.headers else ""
        raise NotDelivered(
            f"the server answered {error.code}",
            of_this_alert=error.code in REFUSED,
            retry_after=min(float(wait), LONGEST_WAIT) if wait.isdecimal() else 0,
        ) from None
    except URLError as error:
        raise NotDelivered(f"not reached: {cause(error.reason)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise NotDelivered(f"no answer: {cause(error)}") from None


def cause(error: object) -> str:
    """What went wrong, in words that can't hold a part of an address or of an answer."""
    number = getattr(error, "strerror", None)
    verify = getattr(error, "verify_message", None)
    words = verify or (number if isinstance(number, str) else "")
    return f"{type(error).__name__} ({words})" if words else type(error).__name__
