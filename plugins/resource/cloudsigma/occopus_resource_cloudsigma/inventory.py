"""Finds what was made, by token or by owner.

CloudSigma's lists cannot be filtered by `meta`: all servers of the account are asked for at once, and sorted out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from occopus_core.api import Instance, InstanceId, Owner
from occopus_resource_cloudsigma.client import Client
from occopus_resource_cloudsigma.marks import Thing, owner_of, token_of
from occopus_resource_cloudsigma.view import Parts, instance

_SERVERS = "/servers/detail/"
_DRIVES = "/drives/detail/"


class Inventory:
    """What there is in the account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def describe(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """The instances with these ids; one without a server is looked for among the drives. Raises `ProviderError`."""
        with self._client.reading():
            found = by_token(self.servers(), ())
            missing = [id for id in ids if id not in found]
            if missing:
                drives = self.drives_named(missing[0]) if len(missing) == 1 else self.drives()
                found |= by_token((), (drive for drive in drives if token_of(drive) in missing))
            return {id: instance(id, found.get(id, Parts())) for id in ids}

    def listed(self, owner: Owner) -> Iterator[Instance]:
        """Everything of this owner. Raises `ProviderError` when iterated."""
        with self._client.reading():
            found = [instance(token, parts) for token, parts in self.everything().items() if _is_owned(parts, owner)]
        yield from found

    def everything(self) -> Mapping[str, Parts]:
        """All servers and drives of the account by token, from two requests. Raises `ProviderError`.

        A drive or server that was not made by Occopus has its name as its token.
        """
        # A drive that is listed after its server has its server listed too.
        servers = list(self.servers())
        return by_token(servers, self.drives())

    def of(self, token: str, server_name: str) -> Parts:
        """Drives and servers of one token; servers are not asked for while the drive cannot have one yet."""
        drives = [drive for drive in self.drives_named(token) if token_of(drive) == token]
        parts = Parts(drives=drives)
        if not parts.is_busy:
            parts.servers = self.servers_of(token, server_name, drives)
        return parts

    def servers_of(self, token: str, name: str, drives: Sequence[Thing]) -> list[Thing]:
        """The servers of one token. Raises `ProviderError`.

        They are asked for by name, which is a short answer where an account has many; a drive in use by a server of
        another name has all servers listed, for a template may have given it that name.
        """
        found = [server for server in self._client.listed(_SERVERS, {"name": name}) if token_of(server) == token]
        if found or not any(drive.get("mounted_on") for drive in drives):
            return found
        return [server for server in self.servers() if token_of(server) == token]

    def servers(self) -> Iterator[Thing]:
        """All servers of the account. Raises `ProviderError` when iterated."""
        return self._client.listed(_SERVERS)

    def drives(self) -> Iterator[Thing]:
        """All drives of the account. Raises `ProviderError` when iterated."""
        return self._client.listed(_DRIVES)

    def drives_named(self, name: str) -> Iterator[Thing]:
        """All drives of this name. Raises `ProviderError` when iterated."""
        return self._client.listed(_DRIVES, {"name": name})


def by_token(servers: Iterable[Thing], drives: Iterable[Thing]) -> dict[str, Parts]:
    """Servers and drives, sorted by the tokens that made them."""
    found: dict[str, Parts] = {}
    for server in servers:
        found.setdefault(token_of(server), Parts()).servers.append(server)
    for drive in drives:
        found.setdefault(token_of(drive), Parts()).drives.append(drive)
    return found


def _is_owned(parts: Parts, owner: Owner) -> bool:
    owners = [found for thing in (*parts.servers, *parts.drives) if (found := owner_of(thing)) is not None]
    return any(owner.matches(found) for found in owners)
