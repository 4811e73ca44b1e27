"""The webhook notifier: content and signature of its requests."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import Notification, Notifier, load_schema


class Webhook(Notifier):
    """A URL that receives notifications."""

    contract_version: ClassVar[int] = 1

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """An entry of type `webhook`."""
        return load_schema("occopus_notify_webhook")

    def send(self, notifications: Sequence[Notification]) -> None:
        """Send one request. Raises `ProviderError`, whose text contains only the host of the URL."""
        # Imported late: reading the schema must not import the HTTP library.
        from occopus_notify_webhook.client import post  # noqa: PLC0415

        body = json.dumps({"notifications": [_as_json(one) for one in notifications]}).encode()
        post(self.connection.settings["url"], body, self._headers(body), self.connection.call_timeout)

    def _headers(self, body: bytes) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "occopus",
            "X-Occopus-Delivery": hashlib.sha256(body).hexdigest()[:32],
        }
        secret = self.connection.auth.get("secret")
        if secret:
            signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Occopus-Signature"] = f"sha256={signature}"
        return headers


def _as_json(notification: Notification) -> Mapping[str, Any]:
    fields = dataclasses.asdict(notification)
    del fields["subscriber"]  # the address of another receiver
    return fields
