"""The rollout journal: append-only, its rows chained by hash.

A change is two rows: ``begun`` before the first alias moves and ``done`` after the last. A change
that was begun and not done was cut off by a crash; whoever comes next completes it, or takes it
back (``void``) where its version is not there any more.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from mlops_assets.lifecycle.errors import EvidenceError, RolloutError
from mlops_assets.lifecycle.fingerprint import digest_of

METADATA = sa.MetaData()
TABLE = sa.Table(
    "rollout_journal",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("model", sa.String(64), nullable=False, index=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("change", sa.String(32), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("champion_before", sa.Integer),
    sa.Column("previous_after", sa.Integer),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("hash_before", sa.String(32), nullable=False),
    sa.Column("hash", sa.String(32), nullable=False, unique=True),
    sa.UniqueConstraint("change", "state"),
)
GENESIS = "0" * 32
LOCK_SECONDS = 30


@dataclass(frozen=True)
class Entry:
    """One row of the journal.

    ``previous_after`` is what the alias ``previous`` shall point at when the change is done.
    """

    model: str
    action: str
    version: int
    champion_before: int | None
    previous_after: int | None
    who: str
    why: str
    evidence: dict[str, Any] = field(default_factory=dict)
    change: str = ""
    state: str = "begun"
    at: str = ""
    hash_before: str = GENESIS
    hash: str = ""
    seq: int = 0

    @property
    def versions(self) -> list[int]:
        """The versions it decides about: its own, and the champion of before."""
        named = (self.version, self.champion_before)
        return list(dict.fromkeys(number for number in named if number is not None))

    def content(self) -> dict[str, Any]:
        """What the hash covers: everything but the hash and the row's place in the table."""
        return {k: v for k, v in vars(self).items() if k not in {"hash", "seq"}}


class Journal:
    """The journal in a database.

    Parameters
    ----------
    url : str
        SQLAlchemy URL. SQLite is locked by a file beside it, PostgreSQL by an advisory lock.
    """

    def __init__(self, url: str):
        self.url = url
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite" and self._engine.url.database:
            from pathlib import Path

            from filelock import FileLock

            Path(self._engine.url.database).parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._engine.url.database}.lock"):  # two at once would both create
                METADATA.create_all(self._engine)
        else:
            METADATA.create_all(self._engine)

    @contextmanager
    def exclusive(self, model: str) -> Iterator[None]:
        """Hold the right to change what serves for one model; a dead holder loses it.

        Raises
        ------
        RolloutError
            When somebody else holds it for longer than half a minute.
        """
        if self._engine.dialect.name == "postgresql":
            # A lock of the transaction: it goes with it, however it ends, and with the connection.
            with self._engine.begin() as connection:
                self._advisory_lock(connection, model)
                yield
            return
        from filelock import FileLock, Timeout

        try:
            with FileLock(f"{self._engine.url.database}.{model}.lock", timeout=LOCK_SECONDS):
                yield
        except Timeout:
            raise RolloutError(f"another change of {model} has been under way too long") from None

    def _advisory_lock(self, connection: sa.Connection, model: str) -> None:
        key = int(digest_of("rollout", model)[:15], 16)
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        try:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        except sa.exc.OperationalError:
            raise RolloutError(f"another change of {model} has been under way too long") from None

    def begin(self, entry: Entry) -> Entry:
        """Write that a change begins."""
        at = _now()
        change = digest_of(entry.model, entry.action, entry.version, at)
        return self._append(replace(entry, change=change, state="begun", at=at))

    def finish(self, begun: Entry) -> Entry:
        """Write that a change is done."""
        return self._append(replace(begun, state="done", at=_now()))

    def note(self, entry: Entry) -> Entry:
        """Write something that happened and changes nothing."""
        return self.finish(replace(entry, change=digest_of(entry.model, entry.action, _now())))

    def void(self, begun: Entry, why: str) -> Entry:
        """Write that a change was taken back."""
        return self._append(replace(begun, state="void", at=_now(), why=why))

    def unfinished(self, model: str) -> Entry | None:
        """The change that a crash cut off, if there is one."""
        entries = self.entries(model)
        closed = {e.change for e in entries if e.state != "begun"}
        return next((e for e in reversed(entries) if e.change not in closed), None)

    def entries(self, model: str | None = None) -> list[Entry]:
        """All rows, or one model's, oldest first."""
        query = sa.select(TABLE).order_by(TABLE.c.seq)
        if model is not None:
            query = query.where(TABLE.c.model == model)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def verify(self) -> int:
        """Check the chain; return the number of rows.

        Raises
        ------
        EvidenceError
            Naming the first row that was edited, removed or put in between.
        """
        before = GENESIS
        entries = self.entries()
        for entry in entries:
            if entry.hash_before != before or entry.hash != digest_of(entry.content()):
                raise EvidenceError(f"rollout journal: the chain breaks at row {entry.seq}")
            before = entry.hash
        return len(entries)

    def _append(self, entry: Entry) -> Entry:
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Take the write lock before reading the head, or two writers chain to one row.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(sa.text("LOCK TABLE rollout_journal IN EXCLUSIVE MODE"))
            head = connection.execute(
                sa.select(TABLE.c.hash).order_by(TABLE.c.seq.desc()).limit(1)
            ).scalar()
            chained = replace(entry, hash_before=head or GENESIS)
            chained = replace(chained, hash=digest_of(chained.content()))
            values = {k: v for k, v in vars(chained).items() if k != "seq"}
            values["evidence"] = json.dumps(chained.evidence, sort_keys=True)
            written: Any = connection.execute(TABLE.insert().values(**values))
        return replace(chained, seq=written.inserted_primary_key[0])


def _entry(row) -> Entry:
    values = dict(row._mapping)
    return Entry(**{**values, "evidence": json.loads(values["evidence"])})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
