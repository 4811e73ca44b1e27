"""An identifier of the request of an instance with the addresses that it was made with."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add a column. It stays empty for existing instances."""
    op.add_column("instances", sa.Column("rendered", sa.String(64), nullable=False, server_default=""))
