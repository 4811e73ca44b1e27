"""Data at configuration managers: a row for each instance and manager, and the managers an infrastructure has used.

Rows hold no credentials. Their sections are the rendered ones of the node definitions. Like definitions and variables
of descriptions, which the store keeps too, sections may hold passwords that a user wrote into them. Neither the
output of `cmd()` nor values of the credentials file are stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from occopus_core.api.config import ConfigState
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.record_columns import Columns
from occopus_core.store.records import label
from occopus_core.store.revisions import lock_infrastructures, raise_revision
from occopus_core.store.row_conversion import FORGOTTEN, understood

Key = tuple[str, str, str]
"""Node id, type and settings."""


@dataclass(frozen=True, slots=True)
class ConfigurationRecord:
    """The data that one configuration manager holds, or may hold, for one instance."""

    node_id: str
    type: str
    settings: str
    """The settings of the manager's connection, as canonical JSON."""
    infra_id: str
    infra_name: str
    node_name: str
    token: str
    section: Mapping[str, Any] = field(repr=False)
    """The section as it was registered, with its `type`."""
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    mapped: Mapping[str, Any] = field(default_factory=dict, repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    wanted: str = ""
    """The generation that the instance should have."""
    applied: str = ""
    """The generation that the manager last reported as applied; empty before the first."""
    state: ConfigState = ConfigState.UNKNOWN
    reason: str = ""
    published: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The attributes that the node has published."""
    served: bool = False
    """The manager has reported it configured at least once: other nodes may be using it."""
    has_left: bool = False
    """`leave` has ended: the instance may be deleted."""
    forget_since: float | None = None
    """Since when (seconds since 1970) the manager should delete the node's data; None while it is in use."""

    @property
    def key(self) -> Key:
        """The key of the row."""
        return self.node_id, self.type, self.settings

    def has(self, generation: str) -> bool:
        """True if this is the generation that was requested last, and it is applied."""
        return self.applied == self.wanted == generation

    @property
    def may_have_job(self) -> bool:
        """True if its manager may have a job for it, in progress or queued."""
        return self.state in (ConfigState.RUNNING, ConfigState.QUEUED)

    @property
    def has_to_leave(self) -> bool:
        """True if its manager has to release it: `configure` was, or may have been, called for it."""
        return not self.has_left and (self.served or self.state is not ConfigState.UNKNOWN)

    @property
    def label(self) -> str:
        """The manager's name in messages."""
        return label(self.type, self.section)


@dataclass(frozen=True, slots=True)
class ManagerRecord:
    """A configuration manager that an infrastructure has used."""

    infra_id: str
    type: str
    settings: str
    section: Mapping[str, Any] = field(repr=False)
    """A section by which its connection is found."""

    @property
    def label(self) -> str:
        """The manager's name in messages."""
        return label(self.type, self.section)


CONFIGURATIONS = Columns(ConfigurationRecord, tables.configurations)
MANAGERS = Columns(ManagerRecord, tables.managers)


def put_configurations(connection: sa.Connection, records: Sequence[ConfigurationRecord]) -> None:
    """Add or replace rows, and record their managers. Idempotent."""
    if not records:
        return
    table = tables.configurations
    remove_configurations(connection, [record.key for record in records])
    connection.execute(table.insert(), [CONFIGURATIONS.row(record) for record in records])
    for record in records:
        if record.forget_since is None:
            _remember(connection, ManagerRecord(record.infra_id, record.type, record.settings, record.section))


def _remember(connection: sa.Connection, record: ManagerRecord) -> None:
    table = tables.managers
    # The lock makes this transaction wait for a process that is removing the row.
    known = sa.select(table.c.infra_id).where(*_here(record)).with_for_update()
    if connection.scalar(known) is None:
        connection.execute(table.insert().values(**MANAGERS.row(record)))


def _here(record: ManagerRecord) -> tuple[sa.ColumnElement[bool], ...]:
    table = tables.managers
    return (table.c.infra_id == record.infra_id, table.c.type == record.type, table.c.settings == record.settings)


def remove_configurations(connection: sa.Connection, keys: Collection[Key]) -> None:
    """Remove rows. Idempotent."""
    table, names = tables.configurations, ("of_node", "of_type", "of_settings")
    columns = (table.c.node_id, table.c.type, table.c.settings)
    statement = table.delete().where(*(c == sa.bindparam(name) for c, name in zip(columns, names, strict=True)))
    if keys:
        connection.execute(statement, [dict(zip(names, key, strict=True)) for key in keys])


def leave_configurations(connection: sa.Connection, infra_id: str, now: float) -> None:
    """The infrastructure is gone: its managers should delete their data."""
    table = tables.configurations
    here = (table.c.infra_id == infra_id, table.c.forget_since.is_(None))
    connection.execute(table.update().where(*here).values(forget_since=now))


class ConfigurationRows:
    """The rows of all infrastructures, including those that are gone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, infra_id: str) -> list[ConfigurationRecord]:
        """The rows of an infrastructure, including those to be deleted. Raises `StoreError`."""
        return self._read(tables.configurations.c.infra_id == infra_id)

    def abandoned(self) -> list[ConfigurationRecord]:
        """The rows to be deleted of infrastructures that are gone, which no pass takes care of."""
        table = tables.configurations
        return self._read(table.c.forget_since.is_not(None), ~_exists(table.c.infra_id))

    def node_ids(self) -> set[str]:
        """The instances for which managers have data, as far as recorded."""
        with self._database.reading() as connection:
            return set(connection.scalars(sa.select(tables.configurations.c.node_id).distinct()))

    def managers(self, infra_id: str) -> list[ManagerRecord]:
        """The managers that an infrastructure has used and that still have data of it."""
        return self._managers(tables.managers.c.infra_id == infra_id)

    def abandoned_managers(self) -> list[ManagerRecord]:
        """The managers with data of infrastructures that are gone."""
        infra_id = tables.managers.c.infra_id
        return self._managers(infra_id != FORGOTTEN, ~_exists(infra_id))

    def gone(self, infra_ids: Collection[str]) -> set[str]:
        """Those of these infrastructures that do not exist and whose data is completely deleted."""
        known: set[str] = set()
        with self._database.reading() as connection:
            for column in (tables.infrastructures.c.id, tables.configurations.c.infra_id):
                known.update(connection.scalars(sa.select(column).where(column.in_(infra_ids)).distinct()))
        return set(infra_ids) - known

    def all_managers(self) -> list[ManagerRecord]:
        """Every manager with data, once for each infrastructure."""
        return self._managers(sa.true())

    def _managers(self, *chosen: sa.ColumnElement[bool]) -> list[ManagerRecord]:
        table = tables.managers
        query = sa.select(table).where(*chosen).order_by(table.c.infra_id, table.c.type, table.c.settings)
        with self._database.reading() as connection:
            return [_manager_of(row) for row in connection.execute(query)]

    def forgotten(self, records: Iterable[ConfigurationRecord]) -> None:
        """The managers have deleted the data of these nodes. Idempotent."""
        going = list(records)
        with self._database.writing() as connection:
            present = lock_infrastructures(connection, [record.infra_id for record in going])
            remove_configurations(connection, [record.key for record in going])
            raise_revision(connection, present)

    def infrastructure_forgotten(self, record: ManagerRecord) -> None:
        """The manager has deleted the data of the infrastructure, whose lease the caller holds. Idempotent."""
        self._infrastructure_forgotten(record, sa.true())

    def abandoned_infrastructure_forgotten(self, record: ManagerRecord) -> None:
        """The manager has deleted the data of an infrastructure that is gone. Idempotent.

        If the id is in use again, the row stays: it belongs to the new infrastructure, whose lease another process may
        hold.
        """
        self._infrastructure_forgotten(record, ~_exists(tables.managers.c.infra_id))

    def _infrastructure_forgotten(self, record: ManagerRecord, condition: sa.ColumnElement[bool]) -> None:
        with self._database.writing() as connection:
            present = lock_infrastructures(connection, [record.infra_id])
            connection.execute(tables.managers.delete().where(*_here(record), condition))
            _remember(connection, dataclasses.replace(record, infra_id=FORGOTTEN))
            raise_revision(connection, present)

    def give_up(self, name: str) -> int:
        """Stop asking the manager with this label to delete data. Returns the number of rows. Idempotent."""
        records = [record for record in self.abandoned() if record.label == name]
        managers = [record for record in self.abandoned_managers() if record.label == name]
        self.forgotten(records)
        for manager in managers:
            self.abandoned_infrastructure_forgotten(manager)
        return len(records) + len(managers)

    def _read(self, *chosen: sa.ColumnElement[bool]) -> list[ConfigurationRecord]:
        table = tables.configurations
        query = sa.select(table).where(*chosen).order_by(table.c.infra_id, table.c.node_name, table.c.node_id)
        with self._database.reading() as connection:
            return [_record_of(row) for row in connection.execute(query)]


def _exists(infra_id: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return sa.exists().where(tables.infrastructures.c.id == infra_id)


def _record_of(row: Any) -> ConfigurationRecord:
    with understood(f"the configuration of '{row.node_id}'"):
        return CONFIGURATIONS.of(row)


def _manager_of(row: Any) -> ManagerRecord:
    with understood(f"a configuration manager of '{row.infra_id}'"):
        return MANAGERS.of(row)
