"""Data of instances at configuration managers, and the managers that an infrastructure has used."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add two tables. Instances of an older version are registered again when they are next observed."""
    op.create_table(
        "configurations",
        sa.Column("node_id", sa.String(36)),
        sa.Column("type", sa.String(64)),
        sa.Column("settings", sa.Text),
        sa.Column("infra_id", sa.String(128), nullable=False),
        sa.Column("infra_name", sa.String(63), nullable=False),
        sa.Column("node_name", sa.String(63), nullable=False),
        sa.Column("token", sa.String(63), nullable=False),
        sa.Column("section", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("mapped", sa.Text, nullable=False),
        sa.Column("variables", sa.Text, nullable=False),
        sa.Column("wanted", sa.String(64), nullable=False),
        sa.Column("applied", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("published", sa.Text, nullable=False),
        sa.Column("has_left", sa.Boolean, nullable=False),
        sa.Column("forget_since", sa.Double),
        sa.PrimaryKeyConstraint("node_id", "type", "settings", name="pk_configurations"),
    )
    op.create_index("ix_configurations_infra_id", "configurations", ["infra_id"])
    op.create_table(
        "managers",
        sa.Column("infra_id", sa.String(128)),
        sa.Column("type", sa.String(64)),
        sa.Column("settings", sa.Text),
        sa.Column("section", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("infra_id", "type", "settings", name="pk_managers"),
    )
