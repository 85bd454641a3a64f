"""Run by Alembic, on the connection that `migrate` has opened and locked."""

from alembic import context

from mlops_assets.lifecycle.prediction_log.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
