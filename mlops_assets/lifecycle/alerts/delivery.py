"""Delivering what the outbox holds: one message at a time, less and less often to who is down."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.lifecycle.alerts.alert import Alert, one_line
from mlops_assets.lifecycle.alerts.channel import Channel, NotDelivered
from mlops_assets.lifecycle.alerts.declared import load_channels, secrets, without_secrets
from mlops_assets.lifecycle.alerts.outbox import HOUR, Delivery, Outbox
from mlops_assets.lifecycle.errors import LifecycleError

FIRST_WAIT, LONGEST_WAIT = 30.0, 3600.0
ROUND_SECONDS = 20.0
DIGEST_LINES, DIGEST_LINE = 40, 180


@dataclass(frozen=True)
class Round:
    """What came of one channel's turn.

    ``error`` is why something still waits: empty where nothing does, or somebody else delivers.
    """

    channel: str
    sent: int = 0
    waiting: int = 0
    error: str = ""

    def __str__(self) -> str:
        told = [f"{self.sent} delivered"] if self.sent else []
        if self.waiting:
            told.append(f"{self.waiting} wait" + (f": {self.error}" if self.error else ""))
        return f"{self.channel}: {', '.join(told) or 'nothing waits'}"


def deliver_all(
    outbox: Outbox, alerts_file: Path | None, *, impatient: bool = False
) -> list[Round]:
    """A turn for every channel that something waits for.

    Parameters
    ----------
    impatient : bool
        Try also what is left alone after a failure.

    Raises
    ------
    DeclarationError
        When the alerts file is wrong.
    """
    names = outbox.waiting_channels()
    channels = load_channels(alerts_file) if names else {}
    hidden = secrets(alerts_file)
    return [
        deliver(outbox, name, channels, alerts_file, hidden, impatient=impatient) for name in names
    ]


def deliver(
    outbox: Outbox,
    name: str,
    channels: Mapping[str, Channel],
    alerts_file: Path | None,
    hidden: list[str],
    *,
    impatient: bool = False,
    seconds: float = ROUND_SECONDS,
) -> Round:
    """One channel's turn: what is due, as long as ``seconds`` allow.

    Parameters
    ----------
    channels : mapping of str to Channel
        Those that the alerts file has.
    hidden : list of str
        What no error may hold.
    """
    channel = channels.get(name)
    if channel is None:
        error = f"the alerts file {alerts_file} has no such channel"
        waiting = outbox.waiting(name)
        if any(each.error != error for each in waiting):
            outbox.not_sent(waiting, error)
        return Round(name, 0, len(waiting), error)
    sent, stop, error = 0, time.time() + seconds, ""
    with outbox.claimed(name, time.time(), impatient=impatient) as holder:
        while holder is not None and time.time() < stop:
            due = outbox.due(name, LONGEST_WAIT + time.time() if impatient else time.time())
            spent = outbox.messages_since(name, time.time() - HOUR)
            batch = _next(due, channel.max_per_hour - spent)
            if not batch:
                if due:
                    error = f"max_per_hour {channel.max_per_hour}: held back, for one digest"
                break
            if not outbox.renew(name, holder, time.time()):
                break
            error = _attempt(outbox, name, channel, batch, hidden)
            if error and outbox.channel(name).failures:
                break
            # What was refused by itself is not due any more; an impatient turn would try it again.
            if error and impatient:
                break
            sent += 0 if error else len(batch)
    waiting = outbox.waiting(name)
    return Round(name, sent, len(waiting), (error or _why(outbox, waiting)) if waiting else "")


def _next(due: list[Delivery], left: int) -> list[Delivery]:
    """What leaves in the next message: one alert, or all where they are more than may leave."""
    if left < 1:
        return []
    return due if len(due) > left else due[:1]


def _attempt(
    outbox: Outbox, name: str, channel: Channel, batch: list[Delivery], hidden: list[str]
) -> str:
    """Try to deliver one message; returns why it failed, empty when it did not."""
    try:
        note = channel.send(batch[0].alert if len(batch) == 1 else digest(batch))
    except LifecycleError as failed:
        error = without_secrets(str(failed), hidden)
        refused = isinstance(failed, NotDelivered) and failed.of_this_alert
        asked = failed.retry_after if isinstance(failed, NotDelivered) else 0.0
        if refused:
            wait = _wait(max(each.attempts for each in batch) + 1)
            outbox.not_sent(batch, error, time.time() + wait)
            return error
        failures = outbox.channel(name).failures + 1
        wait = max(_wait(failures), asked)
        outbox.not_sent(batch, error)
        outbox.leave_alone(name, failures, time.time() + wait)
        return f"{error}; attempt {failures}, the next in {wait:.0f} s"
    outbox.sent(batch, name, time.time(), note)
    return ""


def _wait(failures: int) -> float:
    return min(FIRST_WAIT * 2.0 ** min(failures - 1, 10), LONGEST_WAIT)


def _why(outbox: Outbox, waiting: list[Delivery]) -> str:
    state = outbox.channel(waiting[0].channel)
    error = next((each.error for each in reversed(waiting) if each.error), "")
    if state.next_at > time.time():
        wait = state.next_at - time.time()
        return f"{error}; {state.failures} failures, the next attempt in {wait:.0f} s"
    return error


def digest(held: list[Delivery]) -> Alert:
    """One alert that tells of several."""
    models = {each.model for each in held}
    lines = [
        f"{each.alert.at:%m-%d %H:%M} {each.model} {each.kind}: "
        f"{one_line(each.alert.message, DIGEST_LINE)} {each.link}"
        for each in held[:DIGEST_LINES]
    ]
    if len(held) > DIGEST_LINES:
        lines.append(f"and {len(held) - DIGEST_LINES} more: `mlops-assets alerts` has them all")
    return Alert(
        model=models.pop() if len(models) == 1 else "several models",
        kind="digest",
        message="\n".join([f"{len(held)} alerts that waited:", *lines]),
        link=held[-1].link,
        id=f"alert-{held[0].name}-{held[-1].id}",
        at=held[-1].alert.at,
        repeats=len(held),
    )
