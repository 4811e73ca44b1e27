"""Limits on connections: a client that opens many and sends nothing does not shut out others.

A connection is *idle* until a complete request has arrived, and again after the request was answered. If there are too
many idle connections, the one that has been idle longest is closed, so that a new one has time to send its request.
Connections on which a valid token was used are closed last.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

MOST_CONNECTIONS = 500
"""Connections of all clients. The other file descriptors (of 1024, by default) are for the store and the providers."""

MOST_IDLE = 200
"""Idle connections of one client address without a token. The named proxies are exempt: they carry many clients."""

RESERVE = 50
"""Connections above `MOST_CONNECTIONS`, on which only ``/healthz`` and requests with a token are answered."""

_LONGEST_NAME = 64
"""Characters kept of a client name that a proxy sends and that is no IP address."""

_V6_NETWORK = 64
"""Bits of an IPv6 address that identify a client; it can choose the rest itself."""

_CANDIDATES = 16
"""Idle connections that are examined to find one that has sent nothing."""


class ClientConnection(Protocol):
    """One connection of a client."""

    client: tuple[str, int] | None
    authenticated: bool
    """A valid token was shown on it."""

    @property
    def unread(self) -> bool:
        """True if received bytes have not been read yet."""
        ...

    def abort(self) -> None:
        """Close it at once."""
        ...


def client_of(address: str) -> str:
    """The name under which a client is counted: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:_LONGEST_NAME]
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _V6_NETWORK), strict=False))


@dataclass(slots=True)
class ConnectionLimits:
    """The open connections of one server. Not thread-safe: the server's event loop alone calls it, in constant time."""

    proxies: Collection[str] = ()
    most: int = MOST_CONNECTIONS
    most_idle: int = MOST_IDLE
    reserve: int = RESERVE
    _open: set[ClientConnection] = field(default_factory=set)
    _idle: dict[ClientConnection, None] = field(default_factory=dict)
    """Idle connections without a token, the longest idle first."""
    _idle_authenticated: dict[ClientConnection, None] = field(default_factory=dict)
    _idle_by_client: dict[str, dict[ClientConnection, None]] = field(default_factory=dict)
    """The connections of `_idle` by client."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def crowded(self) -> bool:
        """True if only the reserve is left."""
        return len(self._open) > self.most

    def opened(self, connection: ClientConnection) -> None:
        """Count a new connection as idle, and close another one if there are too many.

        The new connection itself is closed if all others are busy and the reserve is used up.
        """
        self._open.add(connection)
        self.idle(connection)
        mine = self._idle_by_client.get(self._client(connection), {})
        if len(mine) > self.most_idle and not self._is_proxy(connection):
            self._close(_longest_idle(mine, connection) or connection)
        elif self.crowded:
            longest = _longest_idle(chain(self._idle, self._idle_authenticated), connection)
            if longest is not None:
                self._close(longest)
            elif len(self._open) > self.most + self.reserve:
                self._close(connection)

    def idle(self, connection: ClientConnection) -> None:
        """A request was answered. Idempotent; does nothing for a connection that was closed."""
        if connection in self._idle or connection in self._idle_authenticated or connection not in self._open:
            return
        if connection.authenticated:
            self._idle_authenticated[connection] = None
        else:
            self._idle[connection] = None
            self._idle_by_client.setdefault(self._client(connection), {})[connection] = None

    def busy(self, connection: ClientConnection) -> None:
        """A complete request has arrived. Idempotent."""
        self._idle_authenticated.pop(connection, None)
        self._idle.pop(connection, None)
        client = self._client(connection)
        mine = self._idle_by_client.get(client)
        if mine is not None:
            mine.pop(connection, None)
            if not mine:
                del self._idle_by_client[client]

    def closed(self, connection: ClientConnection) -> None:
        """Stop counting a connection. Idempotent."""
        self.busy(connection)
        self._open.discard(connection)

    def _close(self, connection: ClientConnection) -> None:
        self.closed(connection)
        connection.abort()

    def _client(self, connection: ClientConnection) -> str:
        return client_of(connection.client[0]) if connection.client else ""

    def _is_proxy(self, connection: ClientConnection) -> bool:
        address = connection.client[0] if connection.client else ""
        return any(_within(address, proxy) for proxy in self.proxies)


def _longest_idle(idle: Iterable[ClientConnection], new: ClientConnection) -> ClientConnection | None:
    """The connection to close: the longest idle one except `new`, if possible one that has sent nothing."""
    candidates = [one for one in islice(idle, _CANDIDATES) if one is not new]
    return next((one for one in candidates if not one.unread), candidates[0] if candidates else None)


def _within(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
