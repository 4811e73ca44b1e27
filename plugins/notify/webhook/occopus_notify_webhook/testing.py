"""The harness of the notifier for the conformance suite: a web service with fault injection."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from email.message import Message
from typing import ClassVar

from occopus_core.api import Connection, Notifier
from occopus_core.testing.conformance import Fault
from occopus_core.testing.notify import NotifyHarness
from occopus_core.testing.ports import held_port
from occopus_core.testing.web import answering
from occopus_notify_webhook import Webhook

STATUSES = {Fault.AUTH: 401, Fault.THROTTLE: 429, Fault.PERMANENT: 400, Fault.SERVER_ERROR: 500}


class WebhookHarness(NotifyHarness):
    """A web service on the loopback."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("requests", "urllib3")
    faults: ClassVar[frozenset[Fault]] = frozenset({*STATUSES, Fault.REFUSED_CONNECTION, Fault.HANG})
    grace: ClassVar[float] = 15.0

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._fault: Fault | None = None
        self._settings: dict[str, str] = {}
        self._done = threading.Event()
        self._requests: list[bytes] = []
        self._ids: list[int] = []
        self._url = self._stack.enter_context(answering(self._answer))
        self._deaf = f"http://127.0.0.1:{self._stack.enter_context(held_port())}/"

    def _answer(self, _path: str, _headers: Message, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._requests.append(body)
        if self._fault is Fault.HANG:
            self._done.wait(60)
        if self._fault is not None:
            return STATUSES.get(self._fault, 500), {}, b""
        self._ids += [each["id"] for each in json.loads(body)["notifications"]]
        return 200, {}, b""

    def notifier(self, *, call_timeout: float | None = None) -> Notifier:
        """A new notifier for this web service."""
        settings = {"url": f"{self._url}/hook"}
        notifier = Webhook(Connection("webhook", settings, {"secret": "hush-hush"}, call_timeout or 30.0))
        self._settings = settings
        return notifier

    def received(self) -> list[int]:
        """The ids of notifications that were accepted."""
        return list(self._ids)

    def calls(self) -> int:
        """The number of requests."""
        return len(self._requests)

    def inject(self, fault: Fault) -> None:
        """Return this error, stay silent, or refuse connections."""
        self._fault = fault
        if fault is Fault.REFUSED_CONNECTION:
            self._settings["url"] = self._deaf

    def clear(self) -> None:
        """Accept notifications again. Idempotent."""
        self._fault = None
        self._done.set()
        self._settings["url"] = f"{self._url}/hook"

    def close(self) -> None:
        """Stop the web service. Idempotent."""
        self._done.set()
        self._stack.close()
