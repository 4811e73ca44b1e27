"""Node definitions read from a store in a file without SQLAlchemy, which takes long to import."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.descriptions.serial import implementation_from_json
from occopus_core.store.files import file_of, is_absent, opened
from occopus_core.store.presence import remembered
from occopus_core.store.version import HEAD

_DEFINITIONS = """
SELECT d.name, i.body FROM definitions d LEFT JOIN implementations i ON i.digest = d.implementation
ORDER BY d.name, d.position
"""
_MEANT = "SELECT 1 FROM infrastructures WHERE name = ? OR id LIKE ?"


@dataclass(frozen=True, slots=True)
class StoredDefinitions:
    """The node definitions of a store at the time it was read."""

    installation: str
    """The id of the store, see `Store.installation`."""
    _known: dict[str, NodeDefinition]

    def definitions(self, names: Collection[str]) -> dict[str, NodeDefinition]:
        """The named definitions, as far as they exist."""
        return {name: self._known[name] for name in names if name in self._known}

    def definition_names(self) -> list[str]:
        """The names of all node definitions."""
        return sorted(self._known)


def read_definitions(url: str, absent: str) -> StoredDefinitions | None:
    """The node definitions of a store in which `absent` names no infrastructure. Changes and creates nothing.

    A file that does not exist is a store without definitions. Returns None if the store is not a file of the present
    version, if an infrastructure may have this id or name, or if anything is unusual: the caller then uses `Store`,
    which reports errors.
    """
    path = file_of(url)
    if path is None:
        return None
    if is_absent(url):
        return StoredDefinitions(remembered(str(path)) or str(uuid.uuid4()), {})
    try:
        with opened(path) as connection:
            connection.execute("BEGIN")  # one consistent state for all queries
            if connection.execute("SELECT version_num FROM alembic_version").fetchone() != (HEAD,):
                return None
            if connection.execute(_MEANT, (absent, f"{absent}%")).fetchone():
                return None
            ((installation,),) = connection.execute("SELECT id FROM installation").fetchall()
            return StoredDefinitions(installation, _definitions(connection))
    except (OSError, sqlite3.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _definitions(connection: sqlite3.Connection) -> dict[str, NodeDefinition]:
    found: dict[str, list[Implementation]] = {}
    for name, body in connection.execute(_DEFINITIONS):
        found.setdefault(name, []).append(implementation_from_json(json.loads(body)))
    return {name: NodeDefinition(name, tuple(implementations)) for name, implementations in found.items()}
