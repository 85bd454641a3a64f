"""Any HTTP server that takes JSON."""

from typing import Literal

from mlops_assets.lifecycle.alerts.alert import Alert
from mlops_assets.lifecycle.alerts.channel import Channel
from mlops_assets.lifecycle.alerts.posting import post


class WebhookChannel(Channel):
    """The alert as JSON, posted to a URL.

    ``id`` is the same when an alert comes twice: a receiver can tell by it.
    """

    type: Literal["webhook"]
    url: str

    def send(self, alert: Alert) -> str:
        return post(self.url, alert.model_dump(mode="json", exclude={"once"}))
