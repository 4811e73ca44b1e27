"""Revisions, by which changed infrastructures are found."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the revision of the store, and that of each infrastructure with an index."""
    op.add_column("installation", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("infrastructures", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index(op.f("ix_infrastructures_revision"), "infrastructures", ["revision"])
