"""The alerts that were raised: what about, and whether anybody was told."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from mlops_assets.lifecycle.incident.report import Event

if TYPE_CHECKING:
    from mlops_assets.lifecycle.alerts.outbox import Delivery


def alerts(raised: "Iterable[Delivery]") -> list[Event]:
    """One event an alert, however many channels it went by."""

    def alert(each: "Delivery") -> tuple:
        return each.at, each.kind, each.subject, each.message

    events = []
    for (at, kind, _, message), found in groupby(sorted(raised, key=alert), alert):
        deliveries = list(found)
        more = max(each.more for each in deliveries)
        events.append(
            Event(
                at=datetime.fromtimestamp(at, UTC),
                kind="alert",
                action=kind,
                version=None,
                who=", ".join(map(_told, deliveries)),
                why=f"{message}; and {more} more like it" if more else message,
            )
        )
    return events


def _told(delivery: "Delivery") -> str:
    if delivery.sent_at is not None:
        return f"to {delivery.channel}"
    why = f" ({delivery.error})" if delivery.error else ""
    return f"not yet told to {delivery.channel}{why}"
