"""The steps that remove an instance: stop its servers, then delete them with their drives. None of them waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from occopus_core.api import (
    AuthError,
    InstanceId,
    NotFoundError,
    PermanentError,
    ProviderError,
    ThrottledError,
    TransientError,
)
from occopus_resource_cloudsigma.client import Client
from occopus_resource_cloudsigma.errors import RefusalError, StateError
from occopus_resource_cloudsigma.inventory import Inventory, by_token
from occopus_resource_cloudsigma.marks import Thing
from occopus_resource_cloudsigma.view import READY_DRIVE, RUNNING, STOPPED, STOPPING, Parts, users

_CHANGING = (STOPPING, "starting", "unavailable")
"""Transitional states of a server, in which it may refuse to stop; within a minute it is stopped, or runs again."""
_LASTING = (READY_DRIVE, "unavailable")
"""Permanent states of a drive: if it cannot be deleted now, it never can."""


class Removing:
    """Stops and deletes instances in one account."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory
        self._cut: set[str] = set()  # servers that were powered off; not stopped again while they are stopping

    def shut_down(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Send an ACPI shutdown to every running server of these. Raises `ProviderError`."""
        with self._client.reading():
            found = by_token(self._inventory.servers(), ())

            def ask(id: InstanceId) -> None:
                for server in found.get(id, Parts()).servers:
                    if server.get("status") in RUNNING:
                        _act_tolerantly(self._client, server, "shutdown")

            return _each(ids, ask)

    def remove(self, ids: Sequence[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Start or continue the removal; the failure of one does not stop the others. Raises `ProviderError`."""
        with self._client.reading():
            found = self._inventory.everything()
            servers = {server["uuid"] for parts in found.values() for server in parts.servers}

            def remove(id: InstanceId) -> None:
                parts = found.get(id, Parts())
                for server in parts.servers:
                    self._discard(server)
                for drive in parts.drives:
                    if not parts.servers:
                        _refuse_foreign_use(drive, servers)
                        discard_drive(self._client, drive)

            return _each(ids, remove)

    def _discard(self, server: Thing) -> None:
        if server.get("status") == STOPPING and server["uuid"] in self._cut:
            return
        discard_server(self._client, server, "all_drives")
        self._cut.add(server["uuid"])


def discard_server(client: Client, server: Thing, recurse: str = "") -> None:
    """Take the next step: stop a running server, delete a stopped one."""
    status = server.get("status")
    if status == STOPPED:
        client.delete(_path(server), {"recurse": recurse} if recurse else None)
    elif status in _CHANGING or status in RUNNING:
        _act_tolerantly(client, server, "stop")
    elif status != "deleting":
        with contextlib.suppress(NotFoundError):
            client.act(_path(server), "stop")


def discard_drive(client: Client, drive: Thing) -> None:
    """Delete a drive; if it is being cloned or is still attached, the call may have to be repeated."""
    busy = drive.get("status") not in _LASTING or bool(users(drive))
    try:
        client.delete(f"/drives/{drive['uuid']}/")
    except StateError:
        return
    except PermanentError:
        if not busy:
            raise


def _refuse_foreign_use(drive: Thing, servers: set[str]) -> None:
    """Raise `PermanentError` for a drive that a user has attached to another server."""
    others = [id for id in users(drive) if id in servers]
    if others:
        raise PermanentError(
            f"its drive {drive['uuid']} is attached to the server {' and '.join(others)}: detach it, and it is deleted"
        )


def _act_tolerantly(client: Client, server: Thing, action: str) -> None:
    """Request an action that is not needed if the server is deleted or in another state."""
    with contextlib.suppress(StateError, NotFoundError):
        client.act(_path(server), action)


def _each(ids: Sequence[InstanceId], call: Callable[[InstanceId], None]) -> dict[InstanceId, ProviderError | None]:
    results: dict[InstanceId, ProviderError | None] = {}
    for id in ids:
        try:
            call(id)
            results[id] = None
        except ProviderError as error:
            results[id] = error
            if _concerns_all(error):  # the other calls would wait just as long
                return {**dict.fromkeys(ids, error), **results}
    return results


def _concerns_all(error: ProviderError) -> bool:
    """Whether the next call would fail in the same way: no answer arrived, or the credentials were refused."""
    return isinstance(error, AuthError | ThrottledError) or (
        isinstance(error, TransientError) and not isinstance(error.__cause__, RefusalError)
    )


def _path(server: Thing) -> str:
    return f"/servers/{server['uuid']}/"
