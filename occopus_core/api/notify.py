"""The contract of a notifier: it sends events of infrastructures to a receiver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from occopus_core.api.resource import Connection


@dataclass(frozen=True, slots=True)
class Notification:
    """One event. Contains no secret."""

    id: int
    """The same in every repetition; higher for events recorded later."""
    infra_id: str
    event: str
    """The kind of the event, such as ``node ready``."""
    name: str
    """The name of Occopus 1.x for the event, such as ``nodecreated``; empty if 1.x had no such event."""
    at: str
    """The time, in ISO 8601, in UTC."""
    node_name: str = ""
    node_id: str = ""
    text: str = ""
    """A text for users."""
    subscriber: str = ""
    """The address that a client has chosen for this infrastructure, see `Notifier.address`; empty without one."""


class Notifier(ABC):
    """One receiver of notifications.

    The core makes one call at a time on one object. The core waits and repeats, so a notifier MUST never sleep or
    retry, and MUST raise only `ProviderError` and its subclasses. The constructor must not do I/O.
    """

    contract_version: ClassVar[int]
    """The contract version that the plugin is written for: every plugin sets `contract_version = 1`."""
    batch_size: ClassVar[int] = 100
    """The largest number of notifications in one call of `send`; at most 10000, and 1 if each is a separate request."""

    def __init__(self, connection: Connection) -> None:
        """`connection.settings` is the entry of `notify`, without the core's own keys."""
        self.connection = connection

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of an entry, without `type`, `name`, `events` and `infrastructures`: the core's own.

        MUST NOT import the receiver's library.
        """

    @classmethod
    def address(cls, properties: Mapping[str, Any]) -> str:
        """The address in the body of ``POST /infrastructures/ID/notify``, which gets events of that infrastructure.

        It is stored: MUST contain no secret. Raises `ValueError` for properties without an address, with a message for
        the client. By default, clients cannot choose an address.
        """
        raise ValueError("it sends only to receivers in the configuration of the service")

    @property
    def tells_subscribers(self) -> bool:
        """True if `send` sends to the subscribers in the notifications, not to a receiver of its own."""
        return False

    @abstractmethod
    def send(self, notifications: Sequence[Notification]) -> None:
        """Send these notifications, in order; returns once the receiver has accepted them. There is at least one.

        MUST end within `Connection.call_timeout`. Notifications may be repeated under the same id: after a call with an
        unknown outcome, or a crash. Raises `TransientError` (they are sent again, after a back-off or `retry_after`),
        `AuthError` (they are sent again, after a long pause), `PermanentError` (they are dropped).
        """
