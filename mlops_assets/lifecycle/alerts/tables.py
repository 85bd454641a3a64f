"""The outbox's tables, made when it is opened. Times are seconds since 1970, UTC."""

from pathlib import Path

import sqlalchemy as sa

METADATA = sa.MetaData()
BUSY_SECONDS = 10
# Any number that no other advisory lock of the platform has.
CREATING = 0x616C657274

DELIVERIES = sa.Table(
    "alert_deliveries",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("channel", sa.String(200), nullable=False),
    sa.Column("topic", sa.String(32), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("link", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    # How often it was raised again; how many of these people were told of; and of an earlier one.
    sa.Column("more", sa.Integer, nullable=False, default=0),
    sa.Column("told", sa.Integer, nullable=False, default=0),
    sa.Column("repeats", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", sa.Double),
    # One for all that left in one message.
    sa.Column("batch", sa.String(32)),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.Double, nullable=False, default=0),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Index("alert_deliveries_topic", "channel", "topic"),
    sa.Index("alert_deliveries_sent_at", "channel", "sent_at"),
)
CHANNELS = sa.Table(
    "alert_channels",
    METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.Double, nullable=False, default=0),
    sa.Column("holder", sa.String(32), nullable=False, default=""),
    sa.Column("lease_until", sa.Double, nullable=False, default=0),
)


def opened(url: str) -> sa.Engine:
    """An engine on a database that has the tables."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = sa.create_engine(parsed)
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # two at once would both create
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": CREATING})
            METADATA.create_all(connection)
        return engine
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
    if parsed.database:
        from filelock import FileLock

        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{parsed.database}.lock"):
            METADATA.create_all(engine)
    else:
        METADATA.create_all(engine)
    return engine
