"""Where instances were made: what is searched for those that no row names."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table; what is known of it now is where the present instances are."""
    op.create_table(
        "places",
        sa.Column("infra_id", sa.String(128), nullable=False),
        sa.Column("implementation", sa.String(64), nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("infra_id", "implementation", "connection", name="pk_places"),
        sa.ForeignKeyConstraint(["implementation"], ["implementations.digest"], name="fk_places_implementation"),
    )
    op.execute(
        "INSERT INTO places SELECT DISTINCT infra_id, implementation, connection FROM instances WHERE connection <> ''"
    )
