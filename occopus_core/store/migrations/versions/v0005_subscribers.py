"""Subscribers of single infrastructures, from the REST service; an index to find old answers by time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a table and an index."""
    op.create_table(
        "subscribers",
        sa.Column("infra_id", sa.String(128)),
        sa.Column("type", sa.String(64)),
        sa.Column("address", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("infra_id", "type", name="pk_subscribers"),
    )
    op.create_index("ix_answers_asked_at", "answers", ["asked_at"])
