"""What every channel has in common."""

import threading
from abc import abstractmethod
from collections.abc import Callable
from datetime import timedelta

from pydantic import Field, PositiveInt

from mlops_assets.lifecycle.alerts.alert import Alert
from mlops_assets.lifecycle.declaration import Declaration, Duration
from mlops_assets.lifecycle.errors import LifecycleError

TIMEOUT_SECONDS = 5.0
HOUR = timedelta(hours=1)


class NotDelivered(LifecycleError):
    """A channel did not take an alert. The message holds no address and no reply of a server.

    Parameters
    ----------
    message : str
    of_this_alert : bool
        The channel is well, it refused this one alert.
    retry_after : float
        Seconds that the receiver wants to be left alone for.
    """

    def __init__(self, message: str, *, of_this_alert: bool = False, retry_after: float = 0):
        super().__init__(message)
        self.of_this_alert = of_this_alert
        self.retry_after = retry_after


class Channel(Declaration):
    """Base of every channel."""

    max_per_hour: PositiveInt = Field(20, description="More wait, and leave as one digest.")
    repeat_after: Duration = Field(HOUR, description="Until then the same is counted, not sent.")

    @abstractmethod
    def send(self, alert: Alert) -> str:
        """Deliver an alert, once.

        Returns
        -------
        str
            What there is to know of a delivery that succeeded in part; else empty.

        Raises
        ------
        NotDelivered
        DeclarationError
            When an environment variable that it names is not set.
        """


def within(seconds: float, deliver: Callable[[], str]) -> str:
    """What ``deliver`` returns, if it does so in time.

    A time-out of a socket is for each read: a server that sends a byte now and then would hold
    whoever raises an alert for hours.

    Raises
    ------
    NotDelivered
        As ``deliver`` does, or when it takes longer. It goes on by itself then, and may yet
        deliver.
    """
    done: list[str] = []
    failed: list[LifecycleError] = []

    def run() -> None:
        try:
            done.append(deliver())
        except LifecycleError as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="alert")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise NotDelivered(f"no answer within {seconds:g} seconds")
    if not done:
        raise NotDelivered("the channel broke: standard error has the traceback")
    return done[0]
