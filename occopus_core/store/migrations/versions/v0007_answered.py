"""Which creations were answered: of those a provider hides nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a column; of the present instances it is not known."""
    op.add_column("instances", sa.Column("answered", sa.Boolean, nullable=False, server_default=sa.false()))
