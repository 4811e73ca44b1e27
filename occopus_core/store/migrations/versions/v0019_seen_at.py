"""When an infrastructure was last looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add a column. The times of earlier looks are unknown."""
    op.add_column("infrastructures", sa.Column("seen_at", sa.Double))
