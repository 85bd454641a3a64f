"""SQL databases."""

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mlops_assets.lifecycle.declaration import did_you_mean, expand_env
from mlops_assets.lifecycle.errors import SourceError
from mlops_assets.lifecycle.sources.base import BaseSource
from mlops_assets.lifecycle.sources.times import cut, require_columns
from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    from pandas import DataFrame
    from sqlalchemy import URL, Connection, Select, TextClause

_BOUNDS = {"window_start", "window_end"}
# A naive column is UTC, whatever time zone the server would put on it.
_SESSION_IN_UTC = {
    "postgresql": "SET TIME ZONE 'UTC'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
}


class SqlSource(BaseSource):
    """A query or a table of a database that SQLAlchemy knows.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; ``{{ env.NAME }}`` is replaced when the source is read, so a password
        need not be written down. A SQLite path starts from the base folder.
    query : str or None
        A SELECT with the bind parameters ``:window_start`` (included) and ``:window_end`` (not
        included). SQLite keeps time as text, so it gets them as text, ``2026-01-05`` for midnight
        UTC, which sorts rightly against every ISO spelling of a time in UTC.
    table : str or None
        Instead of a query: ``table`` or ``schema.table``, of which the window's rows are read.
    """

    type: Literal["sql"] = "sql"
    url: str = Field(repr=False)
    query: str | None = None
    table: str | None = None

    @model_validator(mode="after")
    def _one_of_query_and_table(self) -> "SqlSource":
        if (self.query is None) == (self.table is None):
            raise ValueError("declare exactly one of 'query' and 'table'")
        if self.query is not None:
            without_comments = re.sub(r"--[^\n]*|/\*.*?\*/", " ", self.query, flags=re.DOTALL)
            if not re.match(r"\s*(select|with)\b", without_comments, re.IGNORECASE):
                raise ValueError("'query' must be a SELECT")
        return self

    def read(self, window: Window, *, time: str | None, base: Path) -> "DataFrame":
        import sqlalchemy as sa

        url = _parse_url(expand_env(self.url), base)
        # Options after the '?' may hold secrets too.
        where = url.set(query={}).render_as_string(hide_password=True)
        try:
            engine = sa.create_engine(url)
            try:
                frame = self._fetch(engine, window, time, where)
            finally:
                engine.dispose()
        except (sa.exc.SQLAlchemyError, ImportError, ValueError) as error:
            # Neither the message nor the chain may carry the password that a driver repeats.
            cause = getattr(error, "orig", None) or error
            raise SourceError(f"{where}: {_without_secrets(str(cause), url)}") from None
        return cut(frame, window, time, f"{where}, {self.table or 'query'}")

    def _fetch(self, engine: Any, window: Window, time: str | None, where: str) -> "DataFrame":
        import pandas as pd

        with engine.connect() as connection:
            if engine.dialect.name in _SESSION_IN_UTC:
                connection.exec_driver_sql(_SESSION_IN_UTC[engine.dialect.name])
            statement: Any
            if self.table is not None:
                statement = _table_query(self.table, window, time, connection, where)
            else:
                statement = _bound_query(str(self.query), window, engine.dialect.name, where)
            result = connection.execute(statement)
            columns = list(result.keys())
            return pd.DataFrame.from_records(
                [tuple(row) for row in result], columns=columns, coerce_float=True
            )


def _parse_url(text: str, base: Path) -> "URL":
    import sqlalchemy as sa

    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise SourceError("the source's 'url' is not a SQLAlchemy URL") from None
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return url
    path = base / url.database
    if not path.is_file():  # SQLite would make an empty database of it
        raise SourceError(f"no SQLite database at {path}")
    return url.set(database=str(path))


def _without_secrets(message: str, url: "URL") -> str:
    for secret in (url.password, url.query.get("password"), url.query.get("sslpassword")):
        message = message.replace(secret, "***") if isinstance(secret, str) and secret else message
    return message.strip()


def _bound_query(query: str, window: Window, dialect: str, where: str) -> "TextClause":
    import sqlalchemy as sa

    statement = sa.text(query)
    used = set(statement.compile().params)
    wanted = _BOUNDS if window.start is not None else set()
    for name in sorted(wanted - used):
        raise SourceError(f"{where}: the query must use :{name} to read window {window}")
    for name in sorted(used - wanted):
        raise SourceError(f"{where}: nothing to bind to the query's :{name} on window {window}")
    if not wanted:
        return statement
    bounds = {"window_start": window.start, "window_end": window.end}
    if dialect == "sqlite":
        return statement.bindparams(**{name: _as_text(at) for name, at in bounds.items()})
    moment = sa.DateTime(timezone=True)
    return statement.bindparams(*(sa.bindparam(n, at, moment) for n, at in bounds.items()))


def _as_text(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00")


def _table_query(
    table: str, window: Window, time: str | None, connection: "Connection", where: str
) -> "Select":
    import sqlalchemy as sa

    schema, _, name = table.rpartition(".")
    try:
        reflected = sa.Table(
            name, sa.MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False
        )
    except sa.exc.NoSuchTableError:
        inspector = sa.inspect(connection)
        known = inspector.get_table_names(schema or None) + inspector.get_view_names(schema or None)
        raise SourceError(f"{where}: no table {table!r}{did_you_mean(name, known)}") from None
    # SQLite keeps any spelling of a time; which moment it means is for the platform to read.
    as_text = {time} if connection.dialect.name == "sqlite" else set()
    statement = sa.select(
        *(
            sa.type_coerce(column, sa.String).label(column.name) if key in as_text else column
            for key, column in reflected.columns.items()
        )
    )
    if time is None or window.start is None:
        return statement
    require_columns([time], list(reflected.columns.keys()), f"{where}, {table}", "time column")
    return statement.where(_inside(reflected.c[time], window, connection.dialect.name, where))


def _inside(column: Any, window: Window, dialect: str, where: str) -> Any:
    """The rows of the window, and those without a readable time, which are then refused."""
    import sqlalchemy as sa

    kind = column.type
    if dialect == "sqlite" or isinstance(kind, sa.String):
        return _inside_text(column, window)
    if isinstance(kind, sa.DateTime):
        start, end = window.bounds
        if not kind.timezone:
            start, end = start.replace(tzinfo=None), end.replace(tzinfo=None)
        inside = (column >= start) & (column < end)
    elif isinstance(kind, sa.Date):
        first, last = (bound.date() for bound in window.bounds)
        inside = (column >= first) & (column <= last)
    else:
        raise SourceError(f"{where}: time column {column.name!r} holds {kind}, not time")
    return inside | column.is_(None)


def _inside_text(column: Any, window: Window) -> Any:
    """Days around the window, since an offset can move a time by up to a day each way."""
    import sqlalchemy as sa

    text = sa.type_coerce(column, sa.String)
    day = timedelta(days=1)
    first, last = window.bounds
    start, end = f"{first - day:%Y-%m-%d}", f"{last + 2 * day:%Y-%m-%d}"
    around = (text >= start) & (text < end)
    return around | text.is_(None) | text.not_like("____-__-__%")
