"""The contract of a notifier: how the outside is told what happens to infrastructures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from occopus_core.api.resource import Connection


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing that happened. Holds no secret."""

    id: int
    """The same at every repeat, and higher for what was recorded later."""
    infra_id: str
    event: str
    """The kind of the event, such as ``node ready``."""
    name: str
    """What Occopus 1.x called it, such as ``nodecreated``; empty where it had no such event."""
    at: str
    """ISO 8601, in UTC."""
    node_name: str = ""
    node_id: str = ""
    text: str = ""
    """For people."""
    subscriber: str = ""
    """The address that a client has chosen for this infrastructure, see `Notifier.address`; empty where it has none."""


class Notifier(ABC):
    """One receiver of notifications.

    The core makes one call at a time on one object. It waits and repeats by itself, so a notifier MUST never sleep or
    retry, and MUST raise nothing but `ProviderError` and its subclasses. Making the object calls nobody.
    """

    contract_version: ClassVar[int]
    """Each plugin states the version it is written for: `contract_version = 1`."""
    batch_size: ClassVar[int] = 100
    """The most notifications that one call of `send` is given: 1 where each of them is a request of its own."""

    def __init__(self, connection: Connection) -> None:
        """`connection.settings` is the entry of `notify`, without the keys that the core adds."""
        self.connection = connection

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of an entry, without `type`, `name`, `events` and `infrastructures`: the core's own.

        MUST NOT import the receiver's library.
        """

    @classmethod
    def address(cls, properties: Mapping[str, Any]) -> str:
        """The address in what a client sends to ``POST /infrastructures/ID/notify``, to be told of that one alone.

        It is kept in the store: MUST hold no secret. Raises `ValueError` where there is none, with a message for the
        client. A notifier lets no client choose an address unless it says so here.
        """
        raise ValueError("it tells only those who are in the configuration of the service")

    @property
    def tells_subscribers(self) -> bool:
        """True where `send` goes to the subscribers of the notifications, rather than to a receiver of its own."""
        return False

    @abstractmethod
    def send(self, notifications: Sequence[Notification]) -> None:
        """Tell these, in their order; returns once the receiver has taken them over. There is at least one.

        MUST end within `Connection.call_timeout`. What it was told already may come again, under the same id: after a
        call whose outcome was unknown, or a crash. Raises `TransientError` (they come again, after a back-off or
        `retry_after`), `AuthError` (they come again, after a long while), `PermanentError` (they are dropped).
        """
