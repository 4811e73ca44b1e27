"""The contract's own suite on this notifier."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack

import pytest

from occopus_core.api import Connection
from occopus_core.testing.conformance import Fault
from occopus_core.testing.notify import NotifierConformance, NotifyHarness
from occopus_core.testing.web import answering
from occopus_notify_webhook import Webhook

STATUSES = {Fault.AUTH: 401, Fault.THROTTLE: 429, Fault.PERMANENT: 400, Fault.SERVER_ERROR: 500}


class WebhookHarness(NotifyHarness):
    sdk_modules = ("requests", "urllib3")
    faults = frozenset({*STATUSES, Fault.REFUSED_CONNECTION, Fault.HANG})

    def __init__(self):
        self._stack = ExitStack()
        self._fault = None
        self._done = threading.Event()
        self._requests = []
        self._ids = []
        self._url = self._stack.enter_context(answering(self._answer))
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self._deaf = f"http://127.0.0.1:{closed.getsockname()[1]}/"

    def _answer(self, _path, _headers, body):
        self._requests.append(body)
        if self._fault is Fault.HANG:
            self._done.wait(60)
        if self._fault is not None:
            return STATUSES.get(self._fault, 500), {}, b""
        self._ids += [each["id"] for each in json.loads(body)["notifications"]]
        return 200, {}, b""

    def notifier(self, *, call_timeout=None):
        settings = {"url": f"{self._url}/hook"}
        notifier = Webhook(Connection("webhook", settings, {"secret": "hush-hush"}, call_timeout or 30.0))
        self._settings = settings
        return notifier

    def received(self):
        return list(self._ids)

    def calls(self):
        return len(self._requests)

    def inject(self, fault):
        self._fault = fault
        if fault is Fault.REFUSED_CONNECTION:
            self._settings["url"] = self._deaf

    def clear(self):
        self._fault = None
        self._done.set()
        self._settings["url"] = f"{self._url}/hook"

    def close(self):
        self._done.set()
        self._stack.close()


class TestConformance(NotifierConformance):
    @pytest.fixture
    def harness(self):
        harness = WebhookHarness()
        yield harness
        harness.close()
