"""Which infrastructures use which node definitions, and the removal of unused definitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from occopus_core.descriptions.model import Infrastructure, NodeDefinition
from occopus_core.descriptions.serial import typed
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.records import DefinitionInUseError, NoSuchDefinitionError
from occopus_core.store.row_conversion import chunks, forget_unused_implementations, lock_definitions, understood


@dataclass(frozen=True, slots=True)
class User:
    """An infrastructure with a node of some type."""

    infra_id: str
    name: str

    def __str__(self) -> str:
        return self.infra_id if self.infra_id == self.name else f"{self.name} ({self.infra_id})"


Users = Mapping[str, Sequence[User]]
"""Infrastructures by the name of a node definition that they use."""


class DefinitionUses:
    """The infrastructures that use each node definition, in the description in force or in the one being built."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, list[User]]:
        """By name of a node definition: the infrastructures that use it, oldest first. Raises `StoreError`."""
        with self._database.reading() as connection:
            return _users(connection)

    def replaced_by(self, definitions: Iterable[NodeDefinition], except_for: str = "") -> dict[str, list[User]]:
        """By name of a stored definition that differs from that in `definitions`: the infrastructures that use it.

        Unused ones are left out, and so is the infrastructure `except_for`. Raises `StoreError`.
        """
        with self._database.reading() as connection:
            stored, users = _stored(connection), _users(connection)
        found = {}
        for one in definitions:
            if stored.get(one.name, _digests(one)) != _digests(one):
                found[one.name] = [user for user in users.get(one.name, []) if user.infra_id != except_for]
        return {name: others for name, others in found.items() if others}

    def remove(self, name: str) -> None:
        """Remove a node definition that no infrastructure uses.

        Raises `NoSuchDefinitionError`, `DefinitionInUseError`, `StoreError`.
        """
        table = tables.definitions
        with self._database.writing() as connection:
            lock_definitions(connection)  # before the users are read: another one may be about to be recorded
            users = _users(connection).get(name)
            if users:
                raise DefinitionInUseError(name, list(map(str, users)))
            if not connection.execute(table.delete().where(table.c.name == name)).rowcount:
                raise NoSuchDefinitionError(name)
            forget_unused_implementations(connection)


def defined_types(connection: sa.Connection, infrastructure: Infrastructure) -> set[str]:
    """The types of its nodes that have a definition. They keep it until the end of the transaction."""
    lock_definitions(connection)
    table = tables.definitions
    found: set[str] = set()
    for part in chunks(sorted({node.type for node in infrastructure.nodes})):
        found.update(connection.scalars(sa.select(table.c.name).where(table.c.name.in_(part))))
    return found


def _digests(definition: NodeDefinition) -> list[str]:
    return [implementation.digest for implementation in definition.implementations]


def _stored(connection: sa.Connection) -> dict[str, list[str]]:
    """The digests of the implementations of every stored definition, by its name."""
    table = tables.definitions
    found: dict[str, list[str]] = {}
    for name, digest in connection.execute(sa.select(table.c.name, table.c.implementation).order_by(table.c.position)):
        found.setdefault(name, []).append(digest)
    return found


def _users(connection: sa.Connection) -> dict[str, list[User]]:
    table = tables.infrastructures
    query = sa.select(table.c.id, table.c.name, table.c.description, table.c.candidate)
    found: dict[str, dict[User, None]] = {}
    for infra_id, name, *descriptions in connection.execute(query.order_by(table.c.created_at, table.c.id)):
        with understood(f"the infrastructure '{infra_id}'"):
            for text in filter(None, descriptions):
                for used in _types(json.loads(text)):
                    found.setdefault(used, {})[User(infra_id, name)] = None
    return {name: list(users) for name, users in found.items()}


def _types(description: Any) -> Iterator[str]:
    for node in typed(description["nodes"], list):
        yield typed(node["type"], str)
