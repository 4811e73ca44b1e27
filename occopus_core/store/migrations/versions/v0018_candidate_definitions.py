"""The node definitions that a build brings with it."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add a column. Builds under way have stored the definitions already that they have brought."""
    op.add_column("infrastructures", sa.Column("candidate_definitions", sa.Text, nullable=False, server_default="{}"))
