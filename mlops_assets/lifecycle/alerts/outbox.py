"""The outbox: an alert is in the database before anybody tries to deliver it.

Processes share it. Who delivers by a channel holds that channel by a lease (SQLite, PostgreSQL):
what one of them takes no other sends. A process that dies between delivering a message and noting
it leaves one message that is sent again: at least once, at most one message twice for a crash. So
does one that is stopped for longer than its lease, or a receiver that takes a message after its
time-out. Clocks of machines that differ by more than a lease do the same.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from mlops_assets.lifecycle.alerts.alert import Alert
from mlops_assets.lifecycle.alerts.tables import CHANNELS, DELIVERIES, opened
from mlops_assets.lifecycle.fingerprint import digest_of

LEASE_SECONDS = 30.0
HOUR = 3600.0
LONGEST_MESSAGE = 8000


@dataclass(frozen=True)
class Delivery:
    """One alert on its way by one channel; a row of the outbox.

    Parameters
    ----------
    at, sent_at, next_at : float
        Seconds since 1970: raised, delivered (None: waits), not tried again before.
    more, repeats : int
        How often it was raised again since, and an earlier one like it since that was sent.
    error : str
        Of the last attempt.
    """

    id: int
    channel: str
    model: str
    kind: str
    subject: str
    message: str
    link: str
    at: float
    more: int
    repeats: int
    sent_at: float | None
    attempts: int
    next_at: float
    error: str

    @property
    def name(self) -> str:
        """The same for each attempt, and another in another outbox, whose rows count from 1 too."""
        return f"{self.channel}-{self.id}-{self.at * 1e6:.0f}"

    @property
    def alert(self) -> Alert:
        """What the channel is given."""
        counted = self.repeats + self.more
        message = f"{self.message}; and {counted} more like it" if counted else self.message
        return Alert.model_validate(
            {
                "model": self.model,
                "kind": self.kind,
                "message": message,
                "link": self.link,
                "subject": self.subject,
                "id": f"alert-{self.name}",
                "at": datetime.fromtimestamp(self.at, UTC),
                "repeats": counted,
            }
        )


@dataclass(frozen=True)
class ChannelState:
    """How a channel is doing: failures in a row, and when it is tried again."""

    failures: int = 0
    next_at: float = 0.0


class Outbox:
    """The outbox in a database.

    Parameters
    ----------
    url : str
        SQLAlchemy URL, that of the rollout journal.
    """

    def __init__(self, url: str):
        self._engine = opened(url)

    # --- raising ----------------------------------------------------------------------------

    def add(self, alert: Alert, channel: str, repeat_after: timedelta, at: datetime) -> bool:
        """Write an alert down, or count it where the same was raised a moment ago.

        Returns
        -------
        bool
            Whether there is one more to deliver.
        """
        topic = digest_of(alert.model, alert.kind, alert.subject or alert.message)
        same = (DELIVERIES.c.channel == channel, DELIVERIES.c.topic == topic)
        with self._writing() as connection:
            last = connection.execute(
                sa.select(DELIVERIES).where(*same).order_by(DELIVERIES.c.id.desc()).limit(1)
            ).first()
            if last is not None:
                # Either way: a clock that was wrong must not silence an alert for years.
                near = abs(at.timestamp() - last.at) < repeat_after.total_seconds()
                this = DELIVERIES.update().where(DELIVERIES.c.id == last.id)
                if alert.once:
                    return False
                if near:
                    connection.execute(this.values(more=DELIVERIES.c.more + 1))
                    return False
                connection.execute(this.values(told=last.more))
            connection.execute(
                DELIVERIES.insert().values(
                    channel=channel,
                    topic=topic,
                    model=_storable(alert.model),
                    kind=alert.kind,
                    subject=_storable(alert.subject),
                    message=_storable(alert.message)[:LONGEST_MESSAGE],
                    link=_storable(alert.link),
                    at=at.timestamp(),
                    repeats=0 if last is None else last.more - last.told,
                )
            )
        return True

    # --- delivering -------------------------------------------------------------------------

    @contextmanager
    def claimed(self, channel: str, now: float, *, impatient: bool = False) -> Iterator[str | None]:
        """Hold a channel for :data:`LEASE_SECONDS`.

        Parameters
        ----------
        impatient : bool
            Also while it is left alone after a failure.

        Yields
        ------
        str or None
            Who we are; None when somebody else holds it, or it is left alone.
        """
        holder = uuid.uuid4().hex
        self._known(channel)
        wanted = [CHANNELS.c.name == channel, CHANNELS.c.lease_until <= now]
        if not impatient:
            wanted.append(CHANNELS.c.next_at <= now)
        with self._writing() as connection:
            took = connection.execute(
                CHANNELS.update()
                .where(*wanted)
                .values(holder=holder, lease_until=now + LEASE_SECONDS)
            ).rowcount
        if took != 1:
            yield None
            return
        try:
            yield holder
        finally:
            self._set_channel(channel, holder, holder="", lease_until=0)

    def renew(self, channel: str, holder: str, now: float) -> bool:
        """Hold a channel for another lease; False when it was taken over meanwhile."""
        return self._set_channel(channel, holder, lease_until=now + LEASE_SECONDS) == 1

    def due(self, channel: str, now: float) -> list[Delivery]:
        """What waits for a channel and may be tried, oldest first."""
        return self._rows(
            DELIVERIES.c.channel == channel,
            DELIVERIES.c.sent_at.is_(None),
            DELIVERIES.c.next_at <= now,
        )

    def messages_since(self, channel: str, since: float) -> int:
        """How many messages a channel has taken."""
        query = sa.select(sa.func.count(sa.distinct(DELIVERIES.c.batch))).where(
            DELIVERIES.c.channel == channel, DELIVERIES.c.sent_at > since
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def sent(self, sent: list[Delivery], channel: str, now: float, note: str = "") -> None:
        """Note that one message delivered all of these; the channel is well."""
        batch = uuid.uuid4().hex
        with self._writing() as connection:
            for each in sent:
                connection.execute(
                    DELIVERIES.update()
                    .where(DELIVERIES.c.id == each.id)
                    .values(
                        sent_at=now,
                        batch=batch,
                        attempts=DELIVERIES.c.attempts + 1,
                        told=each.more,
                        error=note,
                    )
                )
            connection.execute(
                CHANNELS.update().where(CHANNELS.c.name == channel).values(failures=0, next_at=0)
            )

    def not_sent(self, tried: list[Delivery], error: str, next_at: float = 0) -> None:
        """Note that an attempt at these failed; they are not tried before ``next_at``."""
        ids = [each.id for each in tried]
        with self._writing() as connection:
            connection.execute(
                DELIVERIES.update()
                .where(DELIVERIES.c.id.in_(ids))
                .values(attempts=DELIVERIES.c.attempts + 1, next_at=next_at, error=error)
            )

    def leave_alone(self, channel: str, failures: int, next_at: float) -> None:
        """Note how often a channel failed in a row, and until when it is left alone."""
        with self._writing() as connection:
            connection.execute(
                CHANNELS.update()
                .where(CHANNELS.c.name == channel)
                .values(failures=failures, next_at=next_at)
            )

    # --- looking ----------------------------------------------------------------------------

    def channel(self, channel: str) -> ChannelState:
        """How a channel is doing."""
        query = sa.select(CHANNELS.c.failures, CHANNELS.c.next_at).where(CHANNELS.c.name == channel)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return ChannelState() if row is None else ChannelState(row.failures, row.next_at)

    def waiting_channels(self) -> list[str]:
        """Channels that something waits for, by name."""
        query = sa.select(DELIVERIES.c.channel).where(DELIVERIES.c.sent_at.is_(None)).distinct()
        with self._engine.connect() as connection:
            return sorted(connection.execute(query).scalars())

    def waiting(self, channel: str | None = None) -> list[Delivery]:
        """What was not delivered yet, oldest first."""
        of_one = [] if channel is None else [DELIVERIES.c.channel == channel]
        return self._rows(DELIVERIES.c.sent_at.is_(None), *of_one)

    def newest(self, count: int) -> list[Delivery]:
        """The newest alerts, delivered or not, oldest first."""
        order = DELIVERIES.c.id.desc()
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(order).limit(count)).all()
        return [Delivery(*row) for row in reversed(rows)]

    def of_model(self, model: str, since: datetime) -> list[Delivery]:
        """What was raised about a model since a moment, oldest first."""
        return self._rows(DELIVERIES.c.model == model, DELIVERIES.c.at >= since.timestamp())

    # --- inside -----------------------------------------------------------------------------

    def _rows(self, *where: sa.ColumnElement[bool]) -> list[Delivery]:
        query = sa.select(*_COLUMNS).where(*where).order_by(DELIVERIES.c.id)
        with self._engine.connect() as connection:
            return [Delivery(*row) for row in connection.execute(query)]

    def _known(self, channel: str) -> None:
        here = sa.select(CHANNELS.c.name).where(CHANNELS.c.name == channel)
        with self._engine.connect() as connection:
            if connection.execute(here).first() is not None:
                return
        try:
            with self._writing() as connection:
                connection.execute(CHANNELS.insert().values(name=channel))
        except sa.exc.IntegrityError:
            pass  # another process was faster

    def _set_channel(self, channel: str, held_by: str, **values) -> int:
        mine = (CHANNELS.c.name == channel, CHANNELS.c.holder == held_by)
        with self._writing() as connection:
            return connection.execute(CHANNELS.update().where(*mine).values(**values)).rowcount

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # A lock that is taken later than the first look can't be had at once.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif connection.dialect.name == "postgresql":
                # Two that raise the same alert at once would both find none before them.
                connection.exec_driver_sql(
                    f"LOCK TABLE {DELIVERIES.name} IN SHARE ROW EXCLUSIVE MODE"
                )
            yield connection


_COLUMNS = [DELIVERIES.c[name] for name in Delivery.__dataclass_fields__]


def _storable(text: str) -> str:
    """Text that any database takes: no NUL, and nothing that is no Unicode."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
