"""Alembic runs this to migrate: within the transaction of the process that opens the store."""

from alembic import context

from occopus_core.store import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
