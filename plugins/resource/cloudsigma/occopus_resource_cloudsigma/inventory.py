"""Finds drives and servers by token or by owner.

CloudSigma's lists cannot be filtered by `meta`: all servers of the account are requested at once and filtered here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic

from occopus_core.api import Instance, InstanceId, Owner
from occopus_resource_cloudsigma.client import Client
from occopus_resource_cloudsigma.marks import Thing, owner_of, token_of
from occopus_resource_cloudsigma.view import Parts, instance

_SERVERS = "/servers/detail/"
_DRIVES = "/drives/detail/"

FRESH_SECONDS = 1.0
"""How long a list of drives may be reused to report that a drive is still being cloned."""


class Inventory:
    """The drives and servers of the account."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._clones = Clones(self.drives)

    def describe(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Instance]:
        """The instances with these ids; for one without a server the drives are read too. Raises `ProviderError`."""
        with self._client.reading():
            found = by_token(self.servers(), ())
            missing = [id for id in ids if id not in found]
            if missing:
                drives = self.drives_named(missing[0]) if len(missing) == 1 else self.drives()
                found |= by_token((), (drive for drive in drives if token_of(drive) in missing))
            return {id: instance(id, found.get(id, Parts())) for id in ids}

    def listed(self, owner: Owner) -> Iterator[Instance]:
        """Every instance of this owner. Raises `ProviderError` when iterated."""
        with self._client.reading():
            found = [instance(token, parts) for token, parts in self.everything().items() if _is_owned(parts, owner)]
        yield from found

    def everything(self) -> Mapping[str, Parts]:
        """All servers and drives of the account by token, from two requests. Raises `ProviderError`.

        A drive or server that Occopus did not make has its name as its token.
        """
        # Drives first: the server of a listed drive is then listed too.
        servers = list(self.servers())
        return by_token(servers, self.drives())

    def of(self, token: str, server_name: str) -> Parts:
        """Drives and servers of one token; servers are not requested while the drive cannot have one yet."""
        parts = self._clones.still(token)
        if parts is not None:
            return parts
        parts = Parts(drives=[drive for drive in self.drives_named(token) if token_of(drive) == token])
        if parts.is_busy:
            self._clones.add(token, parts)
        else:
            parts.servers = self.servers_of(token, server_name, parts.drives)
        return parts

    def expect(self, token: str, parts: Parts) -> None:
        """Include the drive of a token in the shared list of drives that are being cloned."""
        self._clones.add(token, parts)

    def servers_of(self, token: str, name: str, drives: Sequence[Thing]) -> list[Thing]:
        """The servers of one token. Raises `ProviderError`.

        They are requested by name, which keeps the answer short. If a server of another name uses the drive, all
        servers are listed, for a rendered name may have changed.
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


class Clones:
    """One list of drives for all instances whose drives are being cloned. Thread-safe.

    It is only used to report "still being cloned", which may be a moment old without harm.
    """

    def __init__(self, drives: Callable[[], Iterable[Thing]]) -> None:
        self._drives = drives
        self._refreshing = threading.Lock()
        self._seen: Mapping[str, Parts] = {}
        self._at = 0.0

    def add(self, token: str, parts: Parts) -> None:
        """Include this token in the next list."""
        self._seen = {**self._seen, token: parts}

    def still(self, token: str) -> Parts | None:
        """The drive, if it is known to be still being cloned. Raises `ProviderError`."""
        if not self._is_busy(token):
            return None
        if monotonic() - self._at >= FRESH_SECONDS and self._refreshing.acquire(blocking=False):
            try:
                begun = monotonic()
                self._seen = by_token((), self._drives())
                self._at = begun
            finally:
                self._refreshing.release()
        return self._seen[token] if self._is_busy(token) else None

    def _is_busy(self, token: str) -> bool:
        parts = self._seen.get(token)
        return parts is not None and parts.is_busy


def by_token(servers: Iterable[Thing], drives: Iterable[Thing]) -> dict[str, Parts]:
    """Servers and drives by the tokens that made them."""
    found: dict[str, Parts] = {}
    for server in servers:
        found.setdefault(token_of(server), Parts()).servers.append(server)
    for drive in drives:
        found.setdefault(token_of(drive), Parts()).drives.append(drive)
    return found


def _is_owned(parts: Parts, owner: Owner) -> bool:
    owners = [found for thing in (*parts.servers, *parts.drives) if (found := owner_of(thing)) is not None]
    return any(owner.matches(found) for found in owners)
