"""Standard error, where the daemon's log is read."""

import sys
from typing import Literal

from mlops_assets.lifecycle.alerts.alert import Alert, one_line
from mlops_assets.lifecycle.alerts.channel import Channel, NotDelivered

LINE = 2000


class ConsoleChannel(Channel):
    """One line on standard error."""

    type: Literal["console"] = "console"

    def send(self, alert: Alert) -> str:
        line = one_line(alert.message, LINE)
        try:
            sys.stderr.write(f"ALERT {alert.model} {alert.kind}: {line} {alert.link}\n")
            sys.stderr.flush()
        except (OSError, ValueError) as error:  # a closed file is a ValueError
            raise NotDelivered("standard error is closed") from error
        return ""
