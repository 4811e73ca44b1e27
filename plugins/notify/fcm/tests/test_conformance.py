"""The contract's own suite on this notifier."""

from __future__ import annotations

import json
import threading

import pytest

from occopus_core.api import Connection
from occopus_core.testing.conformance import Fault
from occopus_core.testing.notify import NotifierConformance, NotifyHarness
from occopus_notify_fcm import FirebaseCloudMessaging

from .conftest import refusal

ANSWERS = {
    Fault.AUTH: (403, refusal(403, "PERMISSION_DENIED")),
    Fault.THROTTLE: (429, refusal(429, "RESOURCE_EXHAUSTED")),
    Fault.PERMANENT: (400, refusal(400, "INVALID_ARGUMENT")),
    Fault.SERVER_ERROR: (500, refusal(500, "INTERNAL")),
}


class FcmHarness(NotifyHarness):
    sdk_modules = ("requests", "google.auth")
    faults = frozenset({*ANSWERS, Fault.HANG})
    subscription = {"reg_id": "registration-of-an-app"}

    def __init__(self, google, account):
        self._google, self._account = google, account
        self._works = google.post
        self._done = threading.Event()
        self._calls = 0
        self._fault = None
        google.post = self._post

    def _post(self, path, headers, body):
        self._calls += 1
        if self._fault is Fault.HANG:
            self._done.wait(60)
        return self._works(path, headers, body)

    def notifier(self, *, call_timeout=None):
        settings = {"project_id": "my-project", "endpoint": self._google.url, "token": "device-token"}
        auth = {"service_account": json.dumps(self._account)}
        return FirebaseCloudMessaging(Connection("fcm", settings, auth, call_timeout or 30.0))

    def received(self):
        return [int(message["message"]["data"]["id"]) for _, message in self._google.messages]

    def calls(self):
        return self._calls

    def inject(self, fault):
        self._fault = fault
        self._google.status, self._google.answer = ANSWERS.get(fault, (500, {}))

    def clear(self):
        self._fault = None
        self._done.set()
        self._google.status, self._google.answer = 200, {"name": "projects/my-project/messages/1"}

    def secrets(self):
        return (self._account["private_key"], *super().secrets())

    def close(self):
        self._done.set()


class TestConformance(NotifierConformance):
    @pytest.fixture
    def harness(self, google, account):
        harness = FcmHarness(google, account)
        yield harness
        harness.close()
