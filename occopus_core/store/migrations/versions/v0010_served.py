"""Which nodes have been in service: their configuration manager takes them out of it before they are deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add a column. What has a generation applied has been in service."""
    op.add_column("configurations", sa.Column("served", sa.Boolean, nullable=False, server_default=sa.false()))
    configurations = sa.table("configurations", sa.column("served", sa.Boolean), sa.column("applied", sa.String))
    op.execute(configurations.update().where(configurations.c.applied != "").values(served=True))
