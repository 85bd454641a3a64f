"""Telling people from Dagster."""

import dagster as dg

from mlops_assets.lifecycle.alerts import Alert, Channel, load_channels
from mlops_assets.lifecycle.alerts.channel import HOUR
from mlops_assets.lifecycle.alerts.declared import secrets, without_secrets
from mlops_assets.lifecycle.errors import DeclarationError, LifecycleError
from mlops_assets.resources.platform import Platform

# Whoever raises an alert has something else to do; the sensor deliver_alerts has the time.
AT_ONCE_SECONDS = 6.0


class Notifier(dg.ConfigurableResource):
    """Sends an alert to the channels a model names, by way of the outbox.

    It never raises: what could not be delivered waits in the outbox, is logged, and is tried again
    by the sensor ``deliver_alerts``.
    """

    platform: dg.ResourceDependency[Platform]

    def send(self, alert: Alert, channels: list[str], log) -> None:
        """Write an alert down for every channel, then try to deliver it."""
        import sqlalchemy as sa

        file = self.platform.settings.alerts
        hidden = secrets(file)
        alert = alert.model_copy(update={"message": without_secrets(alert.message, hidden)})
        try:
            known, problem = load_channels(file), ""
        except DeclarationError as wrong:
            known, problem = {}, str(wrong)
        for name in dict.fromkeys(channels):
            try:
                error = self._send(alert, name, known, hidden) or problem or None
            except sa.exc.SQLAlchemyError as failed:
                log.error(f"no outbox ({type(failed).__name__}): an alert to {name} has one chance")
                error = _directly(alert, name, known, hidden)
            if error:
                log.error(f"alert not delivered to {name}: {error}")

    def _send(
        self, alert: Alert, name: str, known: dict[str, Channel], hidden: list[str]
    ) -> str | None:
        from mlops_assets.lifecycle.alerts.delivery import deliver

        outbox = self.platform.outbox
        repeat_after = known[name].repeat_after if name in known else HOUR
        if not outbox.add(alert, name, repeat_after, self.platform.now()) or not known:
            return None
        file = self.platform.settings.alerts
        return deliver(outbox, name, known, file, hidden, seconds=AT_ONCE_SECONDS).error


def _directly(alert: Alert, name: str, known: dict[str, Channel], hidden: list[str]) -> str | None:
    """Without an outbox: now or never."""
    if name not in known:
        return "there is no such channel"
    try:
        return known[name].send(alert) or None
    except LifecycleError as error:
        return without_secrets(str(error), hidden)
