"""The messages to an app: one for each notification."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from occopus_core.api import Notification, Notifier

if TYPE_CHECKING:
    from occopus_notify_fcm.client import Client

_LONGEST_TEXT = 1000
"""Bytes; a message to a topic may have 2048 in all."""


class FirebaseCloudMessaging(Notifier):
    """One instance of an app, or all that subscribe to a topic."""

    batch_size: ClassVar[int] = 1

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """An entry of type `fcm`."""
        text = importlib.resources.files("occopus_notify_fcm").joinpath("schema.json").read_text("utf-8")
        schema: Mapping[str, Any] = json.loads(text)
        return schema

    def send(self, notifications: Sequence[Notification]) -> None:
        """One request for each, and one more where a new access token is needed. Raises `ProviderError`."""
        settings = self.connection.settings
        target = {key: settings[key] for key in ("token", "topic") if key in settings}
        for notification in notifications:
            self._client.send({"message": {**target, "data": _data(notification)}})

    @functools.cached_property
    def _client(self) -> Client:
        # Whoever only wants the schema, or has nothing to tell, is spared the libraries.
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
