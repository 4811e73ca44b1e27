"""How long instances were not well before they recovered: the time adds up over short recoveries."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add columns. For an unhealthy instance the time counts from the start of its illness."""
    op.add_column("instances", sa.Column("well_since", sa.Double))
    op.add_column("instances", sa.Column("ill_seconds", sa.Double, nullable=False, server_default="0"))
