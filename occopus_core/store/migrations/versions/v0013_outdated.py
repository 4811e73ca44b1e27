"""Which instances lack the addresses of instances of other nodes that were made later."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add a column. The next pass that makes instances fills it."""
    op.add_column("instances", sa.Column("outdated", sa.Text, nullable=False, server_default="[]"))
