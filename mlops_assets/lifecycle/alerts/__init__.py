"""Alerts: the channels they leave by, and the outbox that none is lost from."""

from mlops_assets.lifecycle.alerts.alert import Alert
from mlops_assets.lifecycle.alerts.channel import Channel, NotDelivered
from mlops_assets.lifecycle.alerts.console import ConsoleChannel
from mlops_assets.lifecycle.alerts.declared import load_channels
from mlops_assets.lifecycle.alerts.mail import EmailChannel
from mlops_assets.lifecycle.alerts.slack import SlackChannel
from mlops_assets.lifecycle.alerts.webhook import WebhookChannel

__all__ = [
    "Alert",
    "Channel",
    "ConsoleChannel",
    "EmailChannel",
    "NotDelivered",
    "SlackChannel",
    "WebhookChannel",
    "load_channels",
]
