"""Ends of life times, and the processes that maintain infrastructures."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add columns and tables. Existing infrastructures have no end."""
    op.add_column("infrastructures", sa.Column("expires_at", sa.Double))
    op.add_column("infrastructures", sa.Column("warns_at", sa.Double))
    op.create_table(
        "maintainers",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_maintainers"),
    )
    op.create_table(
        "maintained_by",
        sa.Column("infra_id", sa.String(128), nullable=False),
        sa.Column("maintainer", sa.String(36), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("infra_id", "maintainer", name="pk_maintained_by"),
    )
