"""Slack, by an incoming webhook.

The payload is that of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
with blocks of https://docs.slack.dev/reference/block-kit/blocks.
"""

from typing import Any, Literal

from pydantic import field_validator

from mlops_assets.lifecycle.alerts.alert import Alert, one_line
from mlops_assets.lifecycle.alerts.channel import Channel
from mlops_assets.lifecycle.alerts.posting import post

# Slack's own limits of a header and of a section.
HEADER, SECTION = 150, 3000


class SlackChannel(Channel):
    """A message with a header, what happened, and a button to the run."""

    type: Literal["slack"]
    url: str

    @field_validator("url")
    @classmethod
    def _is_a_secret(cls, url: str) -> str:
        if "{{" not in url:
            raise ValueError("whoever has the URL can post: write {{ env.NAME }}, not the URL")
        return url

    def send(self, alert: Alert) -> str:
        return post(self.url, payload(alert))


def payload(alert: Alert) -> dict[str, Any]:
    """What an incoming webhook takes: ``text`` is for notifications, the blocks are shown."""
    title = one_line(f"{alert.model}: {alert.kind}", HEADER)
    message = _escaped(alert.message, SECTION)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
        {"type": "section", "text": {"type": "mrkdwn", "text": message or "-"}},
    ]
    if alert.link.startswith(("http://", "https://")):
        button = {
            "type": "button",
            "text": {"type": "plain_text", "text": "Open", "emoji": False},
            "url": alert.link,
        }
        blocks.append({"type": "actions", "elements": [button]})
    if alert.at is not None:
        raised = f"raised {alert.at:%Y-%m-%d %H:%M} UTC"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": raised}]})
    return {"text": _escaped(f"{title}: {one_line(alert.message, HEADER)}", 500), "blocks": blocks}


def _escaped(text: str, most: int) -> str:
    """As Slack wants it, so that ``<!channel>`` in a column's name calls nobody."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= most:
        return escaped
    return _escaped(text[: len(text) * most // len(escaped) - 2] + "…", most)
