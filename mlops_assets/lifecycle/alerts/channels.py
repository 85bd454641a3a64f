"""Ways for an alert to reach people, one class each.

The alerts file (``MLOPS_ALERTS``) names them::

    team_risk: {type: webhook, url: "{{ env.RISK_WEBHOOK }}"}
"""

import json
import sys
import urllib.request
from abc import abstractmethod
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlops_assets.lifecycle.declaration import Declaration, expand_env
from mlops_assets.lifecycle.errors import DeclarationError, LifecycleError

TIMEOUT_SECONDS = 10


class Alert(BaseModel):
    """What happened, to which model, and where to look."""

    model_config = ConfigDict(frozen=True)

    model: str
    kind: Literal["failure", "rejected", "drift", "decay", "retrain", "rollout", "approval"]
    message: str
    link: str


class Channel(Declaration):
    """Base of every channel."""

    @abstractmethod
    def send(self, alert: Alert) -> None:
        """Deliver an alert.

        Raises
        ------
        LifecycleError
            When it could not be delivered.
        """


class ConsoleChannel(Channel):
    """One line on standard error, where the daemon's log is read."""

    type: Literal["console"] = "console"

    def send(self, alert: Alert) -> None:
        line = " ".join(alert.message.split())
        print(f"ALERT {alert.model} {alert.kind}: {line} {alert.link}", file=sys.stderr, flush=True)


class WebhookChannel(Channel):
    """The alert as JSON, posted to a URL."""

    type: Literal["webhook"]
    url: str

    def send(self, alert: Alert) -> None:
        body = json.dumps(alert.model_dump()).encode()
        headers = {"content-type": "application/json"}
        url = expand_env(self.url)
        try:
            request = urllib.request.Request(url, data=body, headers=headers, method="POST")
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                pass
        # ValueError is a URL that is none; the server may also hang up or talk nonsense.
        except (OSError, HTTPException, ValueError) as error:
            raise LifecycleError(f"webhook {self.url} did not take the alert: {error}") from error


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

    adapter = TypeAdapter(
        dict[str, Annotated[ConsoleChannel | WebhookChannel, Field(discriminator="type")]]
    )
    try:
        declared = yaml.safe_load(file.read_text("utf-8"))
        return channels | dict(adapter.validate_python(declared or {}))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise DeclarationError(f"alerts file {file}: {error}") from error
