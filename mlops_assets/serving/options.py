"""How a server runs: limits and files, read once from the environment."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.prediction_log.segments import Durability


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
    durability : {"write", "group_commit"}
        ``group_commit``: an answer leaves when the disk has it, so that a loss of power loses
        nothing that was answered (``MLOPS_LOG_DURABILITY``).
    answer_unlogged : tuple of str
        Models that answer even where the log can't be written, as on a full disk
        (``MLOPS_ANSWER_UNLOGGED``, comma-separated); the others answer 503.
    """

    api_keys: Path | None = None
    in_flight: int = 1000
    seconds: float = 30.0
    drain_seconds: float = 1.0
    durability: Durability = "write"
    answer_unlogged: tuple[str, ...] = ()

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
            durability=_durability(os.environ.get("MLOPS_LOG_DURABILITY", cls.durability)),
            answer_unlogged=tuple(
                name for name in os.environ.get("MLOPS_ANSWER_UNLOGGED", "").split(",") if name
            ),
        )


def _durability(given: str) -> Durability:
    for known in get_args(Durability):
        if given == known:
            return known
    known = ", ".join(get_args(Durability))
    raise DeclarationError(f"MLOPS_LOG_DURABILITY={given!r}: expected one of {known}")


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
