"""Sending alerts from Dagster."""

import dagster as dg

from mlops_assets.lifecycle.alerts import Alert, load_channels
from mlops_assets.lifecycle.errors import LifecycleError
from mlops_assets.resources.platform import Platform


class Notifier(dg.ConfigurableResource):
    """Sends an alert to the channels a model names; what can't be delivered is logged."""

    platform: dg.ResourceDependency[Platform]

    def send(self, alert: Alert, channels: list[str], log) -> None:
        """Deliver to every channel, whatever happens to the others."""
        file = self.platform.settings.alerts
        for name in channels:
            try:
                known = load_channels(file)
                if name not in known:
                    raise LifecycleError(f"the alerts file {file} has no such channel")
                known[name].send(alert)
            except LifecycleError as error:
                log.error(f"alert not delivered to {name}: {error}")
