"""The messages to an app: one for each notification."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from occopus_core.api import Notification, Notifier, load_schema

if TYPE_CHECKING:
    from occopus_notify_fcm.client import Client

_TARGETS = ("token", "topic")
_ADDRESS = re.compile(r"[!-~]{1,4096}")
_LONGEST_TEXT = 1000
"""Bytes; a message to a topic may have 2048 in all."""


class FirebaseCloudMessaging(Notifier):
    """One instance of an app, or all that subscribe to a topic; without either, those that clients have chosen."""

    contract_version: ClassVar[int] = 1

    batch_size: ClassVar[int] = 1

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """An entry of type `fcm`."""
        return load_schema("occopus_notify_fcm")

    @classmethod
    def address(cls, properties: Mapping[str, Any]) -> str:
        """The registration id; the server key that 1.x wanted with it is neither used nor kept."""
        given = properties.get("reg_id")
        if not isinstance(given, str) or not _ADDRESS.fullmatch(given):
            raise ValueError("'reg_id' must be the registration id of an app")
        return given

    @property
    def tells_subscribers(self) -> bool:
        """See `Notifier`."""
        return self.connection.settings.keys().isdisjoint(_TARGETS)

    def send(self, notifications: Sequence[Notification]) -> None:
        """One request for each, and one more where a new access token is needed. Raises `ProviderError`."""
        settings = self.connection.settings
        configured = {key: settings[key] for key in _TARGETS if key in settings}
        for notification in notifications:
            target = configured or {"token": notification.subscriber}
            self._client.send({"message": {**target, "data": _data(notification)}})

    @functools.cached_property
    def _client(self) -> Client:
        # The libraries are imported only to send notifications, not for the schema.
        from occopus_notify_fcm.client import Client  # noqa: PLC0415

        return Client(self.connection)


def _data(notification: Notification) -> Mapping[str, str]:
    return {
        "id": str(notification.id),
        "event": notification.name or notification.event,
        "infra_id": notification.infra_id,
        "node_id": notification.node_id,
        "node_name": notification.node_name,
        "at": notification.at,
        "text": notification.text.encode()[:_LONGEST_TEXT].decode(errors="ignore"),
    }
