"""Alerts and the channels they leave by, found by their type in the platform's alerts file."""

from mlops_assets.lifecycle.alerts.channels import (
    Alert,
    Channel,
    ConsoleChannel,
    WebhookChannel,
    load_channels,
)

__all__ = ["Alert", "Channel", "ConsoleChannel", "WebhookChannel", "load_channels"]
