"""Until when a build waits for the lease of its infrastructure."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add a column. No build waits."""
    op.add_column("infrastructures", sa.Column("awaited_until", sa.Double))
