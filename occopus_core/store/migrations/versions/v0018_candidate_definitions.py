"""The node definitions that a build uses before they are stored."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add a column. Builds in progress have already stored their definitions."""
    op.add_column("infrastructures", sa.Column("candidate_definitions", sa.Text, nullable=False, server_default="{}"))
