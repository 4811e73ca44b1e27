"""The notifier for Firebase Cloud Messaging: one message for each notification."""

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
"""Bytes; a message to a topic may have 2048 in total."""


class FirebaseCloudMessaging(Notifier):
    """Sends to an instance of an app, to a topic, or to the devices that clients of the REST service register."""

    contract_version: ClassVar[int] = 1

    batch_size: ClassVar[int] = 1

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """An entry of type `fcm`."""
        return load_schema("occopus_notify_fcm")

    @classmethod
    def address(cls, properties: Mapping[str, Any]) -> str:
        """The registration id; the server key, which 1.x also required, is neither used nor stored."""
        given = properties.get("reg_id")
        if not isinstance(given, str) or not _ADDRESS.fullmatch(given):
            raise ValueError("'reg_id' must be the registration id of an app")
        return given

    @property
    def tells_subscribers(self) -> bool:
        """See `Notifier`."""
        return self.connection.settings.keys().isdisjoint(_TARGETS)

    def send(self, notifications: Sequence[Notification]) -> None:
        """One request for each, and one more for a new access token. Raises `ProviderError`."""
        settings = self.connection.settings
        configured = {key: settings[key] for key in _TARGETS if key in settings}
        for notification in notifications:
            target = configured or {"token": notification.subscriber}
            self._client.send({"message": {**target, "data": _data(notification)}})

    @functools.cached_property
    def _client(self) -> Client:
        # Imported late: reading the schema must not import the libraries.
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
