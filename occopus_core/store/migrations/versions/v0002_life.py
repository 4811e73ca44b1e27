"""Health over time, scaling requests, events, and the cursors of notifiers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("infrastructures", sa.Column("setbacks", sa.Text, nullable=False, server_default="{}"))
    op.add_column("infrastructures", sa.Column("frozen", sa.Text, nullable=False, server_default=""))
    op.add_column("instances", sa.Column("condition", sa.String(16), nullable=False, server_default="well"))
    op.add_column("instances", sa.Column("unhealthy_since", sa.Double))
    op.add_column("instances", sa.Column("condemned", sa.Boolean, nullable=False, server_default=sa.false()))
    _scale_requests()
    _events()
    _notifiers()


def _scale_requests() -> None:
    op.create_table(
        "scale_requests",
        sa.Column("id", sa.Integer),
        sa.Column("infra_id", sa.String(128), nullable=False),
        sa.Column("node_name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Double, nullable=False),
        sa.Column("applied_at", sa.Double),
        sa.Column("result", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scale_requests"),
        sa.ForeignKeyConstraint(["infra_id"], ["infrastructures.id"], name="fk_scale_requests_infra_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_scale_requests_infra_id", "scale_requests", ["infra_id", "applied_at"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer),
        sa.Column("infra_id", sa.String(128), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("node_name", sa.Text, nullable=False),
        sa.Column("node_id", sa.String(36), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_infra_id", "events", ["infra_id", "id"])


def _notifiers() -> None:
    op.create_table(
        "notifiers",
        sa.Column("name", sa.String(128)),
        sa.Column("cursor", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("lease_expires", sa.Double),
        sa.PrimaryKeyConstraint("name", name="pk_notifiers"),
    )
