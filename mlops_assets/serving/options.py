"""How a server runs: limits and files, read once from the environment."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.lifecycle.errors import DeclarationError


@dataclass(frozen=True)
class Options:
    """What an operator sets.

    Parameters
    ----------
    api_keys : Path or None
        YAML file of the API keys (``MLOPS_API_KEYS``); None asks for no key, which only a
        loopback address allows.
    in_flight : int
        Requests under way at once; more are answered 503 (``MLOPS_MAX_IN_FLIGHT``).
    seconds : float
        For the body to arrive, and for a slow model to answer (``MLOPS_REQUEST_SECONDS``).
    drain_seconds : float
        How long a stopping server says that it is not ready before it stops to accept
        (``MLOPS_DRAIN_SECONDS``): as long as a load balancer needs to look.
    """

    api_keys: Path | None = None
    in_flight: int = 1000
    seconds: float = 30.0
    drain_seconds: float = 1.0

    @classmethod
    def from_environment(cls) -> "Options":
        """Read the options; every one has a default.

        Raises
        ------
        DeclarationError
            Naming the variable that is no number, or too small a one.
        """
        keys = os.environ.get("MLOPS_API_KEYS")
        return cls(
            api_keys=Path(keys) if keys else None,
            in_flight=int(_number("MLOPS_MAX_IN_FLIGHT", cls.in_flight, least=1)),
            seconds=_number("MLOPS_REQUEST_SECONDS", cls.seconds, least=0.1),
            drain_seconds=_number("MLOPS_DRAIN_SECONDS", cls.drain_seconds, least=0),
        )


def _number(name: str, default: float, least: float) -> float:
    given = os.environ.get(name)
    if given is None:
        return default
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise DeclarationError(f"{name}={given!r}: expected a number, {least:g} or more")
    return number
