"""The SSH host keys that instances may show, pinned for each instance."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add a table. The keys of existing instances are pinned at their next connection."""
    op.create_table(
        "host_keys",
        sa.Column("node_id", sa.String(36)),
        sa.Column("host", sa.String(255)),
        sa.Column("keys", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("node_id", "host", name="pk_host_keys"),
    )
