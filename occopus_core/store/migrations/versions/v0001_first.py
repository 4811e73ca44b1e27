"""The first schema. It does not follow later changes of `tables`."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    _definitions()
    _infrastructures()
    _instances()


def _definitions() -> None:
    op.create_table(
        "installation", sa.Column("id", sa.String(36)), sa.PrimaryKeyConstraint("id", name="pk_installation")
    )
    op.create_table(
        "implementations",
        sa.Column("digest", sa.String(64)),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_implementations"),
    )
    op.create_table(
        "definitions",
        sa.Column("name", sa.Text),
        sa.Column("position", sa.Integer, autoincrement=False),
        sa.Column("implementation", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", "position", name="pk_definitions"),
        sa.ForeignKeyConstraint(["implementation"], ["implementations.digest"], name="fk_definitions_implementation"),
    )


def _infrastructures() -> None:
    op.create_table(
        "infrastructures",
        sa.Column("id", sa.String(128)),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("candidate", sa.Text),
        sa.Column("wanted", sa.Boolean, nullable=False),
        sa.Column("targets", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("lease_holder", sa.Text),
        sa.Column("lease_expires", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_infrastructures"),
    )


def _instances() -> None:
    op.create_table(
        "instances",
        sa.Column("node_id", sa.String(36)),
        sa.Column("infra_id", sa.String(128), nullable=False),
        sa.Column("node_name", sa.String(63), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("token", sa.String(63), nullable=False),
        sa.Column("implementation", sa.String(64), nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("instance_id", sa.Text),
        sa.Column("addresses", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("node_id", name="pk_instances"),
        sa.ForeignKeyConstraint(["infra_id"], ["infrastructures.id"], name="fk_instances_infra_id"),
        sa.ForeignKeyConstraint(["implementation"], ["implementations.digest"], name="fk_instances_implementation"),
    )
    op.create_index("ix_instances_infra_id", "instances", ["infra_id"])
