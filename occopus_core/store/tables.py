"""The tables, in SQLAlchemy Core. A change here needs a migration beside it in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

installation = Table("installation", metadata, Column("id", String(36), primary_key=True))

implementations = Table(
    "implementations",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("body", Text, nullable=False),
)

definitions = Table(
    "definitions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("implementation", ForeignKey("implementations.digest"), nullable=False),
)

infrastructures = Table(
    "infrastructures",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("description", Text),
    Column("candidate", Text),
    Column("wanted", Boolean, nullable=False),
    Column("targets", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_holder", Text),
    Column("lease_expires", Double),
)

instances = Table(
    "instances",
    metadata,
    Column("node_id", String(36), primary_key=True),
    Column("infra_id", ForeignKey("infrastructures.id"), nullable=False),
    Column("node_name", String(63), nullable=False),
    Column("position", Integer, nullable=False),
    Column("token", String(63), nullable=False),
    Column("implementation", ForeignKey("implementations.digest"), nullable=False),
    Column("connection", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("since", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("instance_id", Text),
    Column("addresses", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "infra_id"),
)
