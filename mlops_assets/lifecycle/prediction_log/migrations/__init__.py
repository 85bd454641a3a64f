"""The schema of the log's database: Alembic revisions, and `migrate`, which runs them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from mlops_assets.lifecycle.errors import DeclarationError

HEAD = "0002"
# MLflow and others may keep their own revision in the same database.
VERSION_TABLE = "prediction_log_revision"
LOCK = 0x6D6C6F7073  # of a transaction, in PostgreSQL


def migrate(engine: sa.Engine, to: str = HEAD) -> None:
    """Bring a database, empty or of any earlier revision, to a revision; one process at a time.

    Raises
    ------
    DeclarationError
        When the database was written by a newer version of this package.
    """
    if _revision(engine) == to:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with _alone(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, to)
        except CommandError as error:
            url = engine.url.set(query={}).render_as_string(hide_password=True)
            raise DeclarationError(
                f"{url}: the prediction log's database has a schema that this version of "
                f"mlops_assets does not know: {error}"
            ) from None


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        query = sa.text(f"SELECT version_num FROM {VERSION_TABLE}")
        return connection.execute(query).scalar()


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    if engine.dialect.name == "sqlite" and engine.url.database:
        from filelock import FileLock

        with FileLock(f"{engine.url.database}.lock"), engine.begin() as connection:
            # In one transaction, tables and all, or a crash leaves a half.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
        return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        yield connection
