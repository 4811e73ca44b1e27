"""Data shared by services: maintained infrastructures, running services, tokens, and recorded answers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a column and tables."""
    op.add_column("infrastructures", sa.Column("maintained", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "services",
        sa.Column("name", sa.String(128)),
        sa.Column("expires", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_services"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(16)),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("infra_id", sa.String(128)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    op.create_table(
        "answers",
        sa.Column("key", sa.String(64)),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.Text),
        sa.PrimaryKeyConstraint("key", name="pk_answers"),
    )
