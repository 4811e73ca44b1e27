"""The SSH host keys that instances may show: public keys, pinned for each instance until its row is removed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from occopus_core.api.errors import TransientError
from occopus_core.api.ssh import HostKeyError
from occopus_core.store import tables
from occopus_core.store.database import Database
from occopus_core.store.records import StoreError

_TRIES = 5
"""How often pinning is tried when other processes pin a key of the same host at the same time."""


class HostKeyRows:
    """The keys of all instances; see `occopus_core.api.ssh.HostKeys`. Thread-safe, and no lease is needed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, node_id: str, host: str = "") -> Sequence[str]:
        """See `HostKeys.known`."""
        with _translated(), self._database.reading() as connection:
            return _keys(connection, node_id, host)

    def pin(self, node_id: str, key: str, host: str = "") -> Sequence[str]:
        """See `HostKeys.pin`."""
        for _ in range(_TRIES):
            known = self.known(node_id, host)
            if known == (key,) or (known and key not in known):
                return known
            with _translated(), self._database.writing() as connection:
                if _put(connection, node_id, host, known, key):
                    return (key,)
        raise TransientError(f"the host key of the instance '{node_id}' is being pinned by other processes")


def offer_host_key(connection: sa.Connection, node_id: str, key: str) -> None:
    """Accept another key of the instance, which was generated for it. Idempotent."""
    known = _keys(connection, node_id, "")
    if key not in known:
        _remove(connection, [node_id], "")
        connection.execute(_row(node_id, "", (*known, key)))


def remove_host_keys(connection: sa.Connection, node_ids: Collection[str]) -> None:
    """Remove the pinned keys of these instances, including those of jump hosts. Idempotent."""
    _remove(connection, node_ids, None)


def _keys(connection: sa.Connection, node_id: str, host: str) -> Sequence[str]:
    table = tables.host_keys
    query = sa.select(table.c["keys"]).where(table.c.node_id == node_id, table.c.host == host)
    return tuple((connection.scalar(query) or "").splitlines())


def _put(connection: sa.Connection, node_id: str, host: str, known: Sequence[str], key: str) -> bool:
    """Write the key if the pinned keys are still `known`; False if another process has changed them."""
    table = tables.host_keys
    if known:
        here = (table.c.node_id == node_id, table.c.host == host, table.c["keys"] == "\n".join(known))
        return bool(connection.execute(table.update().where(*here).values(keys=key)).rowcount)
    instance = tables.instances.c.node_id
    if connection.scalar(sa.select(instance).where(instance == node_id)) is None:
        raise HostKeyError(f"the host key of '{node_id}' is not pinned: there is no such instance any more")
    try:
        with connection.begin_nested():
            connection.execute(_row(node_id, host, (key,)))
    except sa.exc.IntegrityError:
        return False
    return True


def _row(node_id: str, host: str, keys: Sequence[str]) -> sa.Insert:
    return tables.host_keys.insert().values(node_id=node_id, host=host, keys="\n".join(keys))


def _remove(connection: sa.Connection, node_ids: Collection[str], host: str | None) -> None:
    table = tables.host_keys
    statement = table.delete().where(table.c.node_id.in_(node_ids))
    connection.execute(statement if host is None else statement.where(table.c.host == host))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translate errors of the store into errors of the plugin contract, which plugins know."""
    try:
        yield
    except StoreError as error:
        raise TransientError(str(error)) from error
