"""Marks nodes that have been in service: their manager takes them out of service before their deletion."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add a column, which is true for rows with an applied generation."""
    op.add_column("configurations", sa.Column("served", sa.Boolean, nullable=False, server_default=sa.false()))
    configurations = sa.table("configurations", sa.column("served", sa.Boolean), sa.column("applied", sa.String))
    op.execute(configurations.update().where(configurations.c.applied != "").values(served=True))
