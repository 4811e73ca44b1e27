"""The migration environment of Alembic, within the transaction of the process that opens the store."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
