"""Marks instances whose `create` was answered completely."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a column, which is false for existing instances."""
    op.add_column("instances", sa.Column("answered", sa.Boolean, nullable=False, server_default=sa.false()))
