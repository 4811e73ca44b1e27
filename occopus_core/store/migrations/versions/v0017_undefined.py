"""Which nodes have no usable definition."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add a column. The next pass fills it."""
    op.add_column("infrastructures", sa.Column("undefined", sa.Text, nullable=False, server_default="{}"))
