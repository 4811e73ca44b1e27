"""Whom clients of the REST service want told of single infrastructures."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a table."""
    op.create_table(
        "subscribers",
        sa.Column("infra_id", sa.String(128)),
        sa.Column("type", sa.String(64)),
        sa.Column("address", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("infra_id", "type", name="pk_subscribers"),
    )
