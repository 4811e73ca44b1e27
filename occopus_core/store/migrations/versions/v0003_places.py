"""The places where instances were made, to be searched for instances without a row."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table, with the places of existing instances."""
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
