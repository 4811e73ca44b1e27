"""The contract's own suite on this handler."""

from __future__ import annotations

import base64
import time

import pytest

from occopus_core.api import Connection, Context, CreateRequest, InstanceState
from occopus_core.testing.conformance import Fault as Kind
from occopus_core.testing.conformance import FaultInjector, ResourceHandlerConformance, ResourceHarness
from occopus_core.testing.conformance.base import patiently
from occopus_resource_cloudsigma import CloudSigmaHandler
from occopus_resource_cloudsigma.testing import EMAIL, LIBRARY_DRIVE, PASSWORD, CloudSigma, Fault

CALLS = {
    "create": "^(POST|PUT) ",
    "describe": "^GET ",
    "list_owned": "^GET ",
    "delete": "^(GET|DELETE) |do=stop",
    "stop": "^GET |do=shutdown",
}
REFUSALS = {
    Kind.AUTH: {"status": 401, "error_type": "permission", "message": "Authentication failed"},
    Kind.QUOTA: {"status": 402, "error_type": "billing", "message": "Not enough credit"},
    Kind.THROTTLE: {"status": 429, "message": "Too many requests", "retry_after": 2},
    Kind.PERMANENT: {"status": 400, "error_type": "validation", "message": "Invalid"},
    Kind.SERVER_ERROR: {"status": 500},
}
KINDS = {
    Kind.HANG: "hang",
    Kind.LOST_REPLY: "lost_reply",
    Kind.CUT_REPLY: "cut_reply",
    Kind.FOREIGN_REPLY: "foreign_reply",
}


class CloudSigmaFaults(FaultInjector):
    faults = frozenset(Kind)

    def __init__(self, cloud):
        self._cloud = cloud
        self._rules = []
        self._away = False

    def inject(self, fault, operation):
        if fault is Kind.REFUSED_CONNECTION:
            self._cloud.stop()
            self._away = True
        elif fault in REFUSALS:
            self._add(Fault("refuse", CALLS[operation], **REFUSALS[fault]))
        else:
            self._add(Fault(KINDS[fault], CALLS[operation]))

    def refuse_deletion(self, id):
        (server,) = [one["uuid"] for one in self._cloud.servers() if one["meta"]["occopus-token"] == id]
        self._add(
            Fault("refuse", f"^(POST|DELETE) /servers/{server}/", status=403, error_type="permission", message="no")
        )

    def clear(self):
        if self._away:
            self._cloud.start()
            self._away = False
        self._rules = []
        self._cloud.fail()

    def _add(self, rule):
        self._rules.append(rule)
        self._cloud.fail(*self._rules)


class CloudSigmaHarness(ResourceHarness):
    sdk_modules = ("requests",)
    page_size = 2  # of an installation that does not answer all at once, which the clauses about pages have

    def __init__(self, cloud):
        super().__init__()
        self.cloud = cloud
        self.faults = CloudSigmaFaults(cloud)

    def handler(self, *, call_timeout=None):
        auth = {"email": EMAIL, "password": PASSWORD}
        return CloudSigmaHandler(Connection("cloudsigma", {"endpoint": self.cloud.url}, auth, call_timeout or 30.0))

    def request(self, token, owner, kind="plain"):
        # A plain one is asked for again while its answers are lost: each of its calls then changes something.
        self.cloud.behaviour.clone_seconds = 0.03 if kind == "stepwise" else 0.0
        self.cloud.behaviour.shutdown_seconds = 2.5 if kind == "graceful" else 0.03
        resource = {
            "endpoint": self.cloud.url,
            "libdrive_id": "no-such-drive" if kind == "missing" else LIBRARY_DRIVE,
            "description": {"cpu": 1000, "mem": 2**29, "vnc_password": "a-vnc-password"},
        }
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))

    def absent_ids(self, count):
        return [f"occopus-ffff{number:04x}" for number in range(count)]

    def settle(self):
        time.sleep(0.01)

    def provider_calls(self):
        return self.cloud.calls()

    def _server(self, id):
        (server,) = [one for one in self.cloud.servers() if one["meta"]["occopus-token"] == id]
        return server

    def received(self, id, sent):
        meta = self._server(id)["meta"]
        assert meta["base64_fields"] == "cloudinit-user-data"
        return Context(user_data=base64.b64decode(meta["cloudinit-user-data"]).decode())

    def impose(self, id, state):
        server = self._server(id)
        if state is InstanceState.UNKNOWN:
            server["status"] = "hibernated"
            return
        self.cloud.model.stop(server)
        patiently(self, lambda: self._server(id)["status"] == "stopped", "it stops")
        if state is InstanceState.FAILED:  # somebody deletes the server, and its drive is left
            self.cloud.model.delete_server(server, "")

    def shut_down(self, id):
        return self._server(id)["uuid"] in self.cloud.model.shut_down


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, request):
        with CloudSigma() as cloud:
            times = ("start_lag", "start_seconds", "address_lag", "stop_seconds")
            cloud.reset(**dict.fromkeys(times, 0.03))
            if "page" in request.node.name:
                cloud.behaviour.page_size = CloudSigmaHarness.page_size
            harness = CloudSigmaHarness(cloud)
            yield harness
            harness.close()
            assert cloud.inventory() == []
