"""The database that segments are moved into: SQLite, PostgreSQL, or what SQLAlchemy knows."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mlops_assets.lifecycle.prediction_log.migrations import migrate
from mlops_assets.lifecycle.prediction_log.reading import Query
from mlops_assets.lifecycle.prediction_log.rows import LABEL, PREDICTION
from mlops_assets.lifecycle.prediction_log.tables import IDENTITY, LABELS, PREDICTIONS, SEGMENTS

FETCHED = 5000
BUSY_SECONDS = 30
TABLES = {PREDICTION: PREDICTIONS, LABEL: LABELS}


@dataclass(frozen=True)
class Segment:
    """How much of a segment is in the database.

    Parameters
    ----------
    id : int
    stored : int
        Bytes, from the start.
    torn : bool
        Whether a last line that a crash cut off is among them.
    """

    id: int
    stored: int
    torn: bool


class LogStore:
    """The tables, brought up to date when they are opened.

    A log has a database of its own by default, not the rollout journal's: SQLite has one writer
    at a time, and a rollback must not wait for a compaction. PostgreSQL locks rows, so there one
    database may hold both.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; PostgreSQL as ``postgresql+psycopg2://``, which is then filled by COPY.

    Raises
    ------
    DeclarationError
        When the database was written by a newer version of this package.
    """

    def __init__(self, url: str):
        self._engine = _engine(url)
        migrate(self._engine)
        with self._engine.connect() as connection:
            self.id: str = connection.execute(sa.select(IDENTITY.c.id)).scalar_one()

    def __str__(self) -> str:
        return self._engine.url.set(query={}).render_as_string(hide_password=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def progress(self, kind: str, model: str) -> dict[str, Segment]:
        """The segments of a model that are known, by file name."""
        query = sa.select(
            SEGMENTS.c.name, SEGMENTS.c.id, SEGMENTS.c.stored, SEGMENTS.c.torn.is_not(None)
        ).where(SEGMENTS.c.kind == kind, SEGMENTS.c.model == model)
        with self._engine.connect() as connection:
            return {
                name: Segment(number, stored, bool(torn))
                for name, number, stored, torn in connection.execute(query)
            }

    def models(self, kind: str) -> set[str]:
        """The models that have segments here."""
        query = sa.select(SEGMENTS.c.model).where(SEGMENTS.c.kind == kind).distinct()
        with self._engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def register(self, kind: str, model: str, name: str) -> Segment:
        """Make a segment known; nothing of it is stored yet."""
        values = {"kind": kind, "model": model, "name": name, "stored": 0}
        try:
            with self._engine.begin() as connection:
                connection.execute(SEGMENTS.insert().values(**values))
        except sa.exc.IntegrityError:
            pass  # another compactor was faster
        return self.progress(kind, model)[name]

    def add(
        self,
        kind: str,
        segment: Segment,
        end: int,
        rows: Sequence[dict[str, Any]],
        torn: bytes | None = None,
    ) -> bool:
        """Store the rows of the bytes from ``segment.stored`` to ``end``, all or none.

        Parameters
        ----------
        rows : sequence of dict
            The table's columns, without ``segment``.
        torn : bytes or None
            A last line that a crash cut off; it ends at ``end``.

        Returns
        -------
        bool
            False when another compactor has stored some of them: nothing was done.
        """
        table = TABLES[kind]
        values: dict[str, Any] = {"stored": end, **({} if torn is None else {"torn": torn})}
        advance = (
            SEGMENTS.update()
            .where(SEGMENTS.c.id == segment.id, SEGMENTS.c.stored == segment.stored)
            .values(**values)
        )
        with self._writing() as connection:
            if connection.execute(advance).rowcount != 1:
                return False
            if rows:
                names = [column.name for column in table.columns if column.name != "segment"]
                values_of = itemgetter(*names)
                tuples = [(segment.id, *values_of(row)) for row in rows]
                _insert(connection, table, ["segment", *names], tuples)
        return True

    def documents(self, kind: str, query: Query) -> Iterator[tuple[int, int, str]]:
        """Segment, offset and document of the rows that meet a query, a few at a time."""
        table, wanted = TABLES[kind], query.condition
        column = table.c[wanted.column]
        statement = sa.select(table.c.segment, table.c.offset, table.c.document).where(
            table.c.model == query.model
        )
        if wanted.low is not None:
            statement = statement.where(column >= wanted.low)
        if wanted.high is not None:
            above = column <= wanted.high if wanted.closed else column < wanted.high
            statement = statement.where(above)
        yield from self._stream(statement)

    def segment_documents(self, kind: str, segment: int, start: int) -> Iterator[str]:
        """The documents of a segment from an offset on."""
        table = TABLES[kind]
        statement = sa.select(table.c.document).where(
            table.c.segment == segment, table.c.offset >= start
        )
        yield from (row[0] for row in self._stream(statement))

    def _stream(self, statement: sa.Select) -> Iterator[Any]:
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=FETCHED).execute(statement)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # A lock that is taken later than the first look can't be had at once.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection, _record):
        # Readers go on while a batch is written.
        connection.execute("PRAGMA journal_mode=WAL")
        # A segment is deleted once it is stored, so what was stored must outlive a power loss.
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _insert(
    connection: sa.Connection, table: sa.Table, names: list[str], rows: list[tuple]
) -> None:
    if connection.dialect.name == "postgresql" and connection.dialect.driver == "psycopg2":
        cursor: Any = connection.connection.cursor()
        quoted = ", ".join(f'"{name}"' for name in names)
        cursor.copy_expert(f"COPY {table.name} ({quoted}) FROM STDIN", _copy_text(rows))
    elif connection.dialect.name == "sqlite":
        quoted = ", ".join(f'"{name}"' for name in names)
        places = ", ".join("?" * len(names))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({quoted}) VALUES ({places})", rows)
    else:
        values = [dict(zip(names, row, strict=True)) for row in rows]
        connection.execute(table.insert(), values)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_text(rows: list[tuple]) -> io.StringIO:
    return io.StringIO("".join("\t".join(map(_field, row)) + "\n" for row in rows))


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)
