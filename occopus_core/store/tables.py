"""The tables, in SQLAlchemy Core. A change here needs a migration beside it in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

installation = Table(
    "installation",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("revision", BigInteger, nullable=False, server_default="0"),
)
"""One row. The revision counts the changes of infrastructures, see `revisions`."""

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
    Column("setbacks", Text, nullable=False, server_default="{}"),
    Column("undefined", Text, nullable=False, server_default="{}"),
    Column("frozen", Text, nullable=False, server_default=""),
    Column("created_at", Double, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_holder", Text),
    Column("lease_expires", Double),
    Column("maintained", Boolean, nullable=False, server_default=false()),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("expires_at", Double),
    Column("warns_at", Double),
    Column("awaited_until", Double),
    Column("rolling_back", Text, nullable=False, server_default=""),
    Column("candidate_definitions", Text, nullable=False, server_default="{}"),
    Column("seen_at", Double),
    Index(None, "revision"),
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
    Column("condition", String(16), nullable=False, server_default="well"),
    Column("unhealthy_since", Double),
    Column("condemned", Boolean, nullable=False, server_default=false()),
    Column("answered", Boolean, nullable=False, server_default=false()),
    Column("well_since", Double),
    Column("ill_seconds", Double, nullable=False, server_default="0"),
    Column("outdated", Text, nullable=False, server_default="[]"),
    Column("rendered", String(64), nullable=False, server_default=""),
    Index(None, "infra_id"),
    Index(None, "instance_id"),
)

places = Table(
    "places",
    metadata,
    Column("infra_id", String(128), primary_key=True),
    Column("implementation", ForeignKey("implementations.digest"), primary_key=True),
    Column("connection", Text, primary_key=True),
)
"""Every connection on which an infrastructure has made instances; without id, those of removed infrastructures."""

configurations = Table(
    "configurations",
    metadata,
    Column("node_id", String(36), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("settings", Text, primary_key=True),
    Column("infra_id", String(128), nullable=False),
    Column("infra_name", String(63), nullable=False),
    Column("node_name", String(63), nullable=False),
    Column("token", String(63), nullable=False),
    Column("section", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("mapped", Text, nullable=False),
    Column("variables", Text, nullable=False),
    Column("wanted", String(64), nullable=False),
    Column("applied", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("published", Text, nullable=False),
    Column("has_left", Boolean, nullable=False),
    Column("served", Boolean, nullable=False, server_default=false()),
    Column("forget_since", Double),
    Index(None, "infra_id"),
)
"""The data of an instance at a configuration manager. A row is kept after its instance and infrastructure are gone,
until the manager has deleted the data."""

managers = Table(
    "managers",
    metadata,
    Column("infra_id", String(128), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("settings", Text, primary_key=True),
    Column("section", Text, nullable=False),
)
"""The configuration managers that an infrastructure has used, until they have deleted its data."""

host_keys = Table(
    "host_keys",
    metadata,
    Column("node_id", String(36), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("keys", Text, nullable=False),
)
"""The SSH host keys, one per line, of an instance, or, with a name, of a jump host on the way to it."""

scale_requests = Table(
    "scale_requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("infra_id", ForeignKey("infrastructures.id"), nullable=False),
    Column("node_name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("amount", Integer, nullable=False),
    Column("instance", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("applied_at", Double),
    Column("result", Text, nullable=False),
    Index(None, "infra_id", "applied_at"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("infra_id", String(128), nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("node_name", Text, nullable=False),
    Column("node_id", String(36), nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "infra_id", "id"),
    sqlite_autoincrement=True,
)
"""The log. Events are kept after their infrastructure is gone."""

notifiers = Table(
    "notifiers",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("cursor", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_expires", Double),
)
"""The last delivered event of each notifier, and until when a process has reserved the next ones."""

subscribers = Table(
    "subscribers",
    metadata,
    Column("infra_id", String(128), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("address", Text, nullable=False),
)
"""The addresses to which clients want the events of an infrastructure sent, by notifier type. Kept for a day after the
infrastructure is gone."""

services = Table(
    "services",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("expires", Double, nullable=False),
)
"""The running services, each with the time until which it counts as alive."""

maintainers = Table(
    "maintainers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("seen", Double, nullable=False),
)
"""The processes that maintain infrastructures periodically, each with the time of its last announcement."""

maintained_by = Table(
    "maintained_by",
    metadata,
    Column("infra_id", String(128), primary_key=True),
    Column("maintainer", String(36), primary_key=True),
    Column("since", Double, nullable=False),
)
"""The infrastructures that each of them maintains. A killed process leaves its rows."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scope", String(8), nullable=False),
    Column("infra_id", String(128)),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)
"""Tokens of the REST service. Revoked tokens stay: a service that once had tokens always requires one."""

answers = Table(
    "answers",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Index(None, "asked_at"),
)
"""Digests of requests with a key, and the answers to them."""
