"""Why a build is being rolled back."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add a column. No build is being rolled back."""
    op.add_column("infrastructures", sa.Column("rolling_back", sa.Text, nullable=False, server_default=""))
