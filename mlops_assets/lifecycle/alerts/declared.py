"""The alerts file (``MLOPS_ALERTS``), which names the channels.

::

    team_risk: {type: slack, url: "{{ env.RISK_SLACK }}", max_per_hour: 20, repeat_after: 1h}
"""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from mlops_assets.lifecycle.alerts.channel import Channel
from mlops_assets.lifecycle.alerts.console import ConsoleChannel
from mlops_assets.lifecycle.alerts.mail import EmailChannel
from mlops_assets.lifecycle.alerts.slack import SlackChannel
from mlops_assets.lifecycle.alerts.webhook import WebhookChannel
from mlops_assets.lifecycle.errors import DeclarationError

AnyChannel = Annotated[
    ConsoleChannel | WebhookChannel | SlackChannel | EmailChannel, Field(discriminator="type")
]
VARIABLE = re.compile(r"\{\{\s*env\.([A-Za-z_]\w*)\s*\}\}")
CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+@")
# What is shorter, such as a port, is no secret, and would black out half a message.
SHORTEST_SECRET = 6


def load_channels(file: Path | None) -> dict[str, Channel]:
    """The channels of an alerts file, and ``console``, which needs none.

    Raises
    ------
    DeclarationError
        Naming the file and the key that is wrong.
    """
    channels: dict[str, Channel] = {"console": ConsoleChannel()}
    if file is None:
        return channels
    import yaml

    try:
        declared = yaml.safe_load(file.read_text("utf-8"))
        return channels | dict(TypeAdapter(dict[str, AnyChannel]).validate_python(declared or {}))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeclarationError(f"alerts file {file}: {error}") from error
    except ValidationError as error:
        # Without what was written there, which may be a password in the wrong place.
        lines = error.errors(include_url=False, include_input=False)
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in lines)
        raise DeclarationError(f"alerts file {file}: {problems}") from None


def secrets(file: Path | None) -> list[str]:
    """The values of the environment variables that an alerts file names, longest first.

    Read from its text, so that a file that is wrong still keeps its secrets.
    """
    if file is None or not file.is_file():
        return []
    names = VARIABLE.findall(file.read_text("utf-8", errors="replace"))
    values = {os.environ.get(name, "") for name in names}
    return sorted((v for v in values if len(v) >= SHORTEST_SECRET), key=len, reverse=True)


def without_secrets(text: str, hidden: list[str]) -> str:
    """Text without secrets, and without the user and password of any URL."""
    for value in hidden:
        text = text.replace(value, "***")
    return CREDENTIALS.sub("***@", text)
