"""Instances are found by their ids."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add an index."""
    op.create_index("ix_instances_instance_id", "instances", ["instance_id"])
