"""The contract's own suite on this handler."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest

from occopus_core.api import Connection, Context, CreateRequest, InstanceState
from occopus_core.testing.conformance import Fault, FaultInjector, ResourceHandlerConformance, ResourceHarness
from occopus_resource_cloudbroker import CloudBrokerHandler, testing
from occopus_resource_cloudbroker.testing import DEPLOYMENT, EMAIL, INSTANCE_TYPE, PASSWORD

OPERATIONS = {"create": "create", "describe": "list", "list_owned": "list", "delete": "stop"}
REFUSALS = {
    Fault.AUTH: {"status": 401, "type": "authentication"},
    Fault.QUOTA: {"status": 422, "message": "The maximum number of instances is exceeded"},
    Fault.THROTTLE: {"status": 429, "retry_after": 2},
    Fault.PERMANENT: {"status": 422, "message": "Isolated is not included in the list"},
    Fault.SERVER_ERROR: {"status": 500, "message": "We're sorry, but something went wrong"},
}
KINDS = {
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}


class CloudBrokerFaults(FaultInjector):
    faults = frozenset(Fault)

    def __init__(self, cloud) -> None:
        self._cloud = cloud
        self._rules = []
        self._away = False

    def inject(self, fault, operation):
        wanted = OPERATIONS[operation]
        if fault is Fault.REFUSED_CONNECTION:
            self._cloud.stop()
            self._away = True
        elif fault in REFUSALS:
            self._add(testing.Fault("refuse", wanted, **REFUSALS[fault]))
        else:  # the repeat of a creation asks for the list first, and hears nothing of use either
            self._add(testing.Fault(KINDS[fault], wanted, spreads=operation == "create"))

    def refuse_deletion(self, id):
        self._add(testing.Fault("refuse", "stop", id=id, status=422, message="The instance is protected"))

    def clear(self):
        if self._away:
            self._cloud.start()
            self._away = False
        self._rules = []
        self._cloud.set_faults()

    def _add(self, rule):
        self._rules.append(rule)
        self._cloud.set_faults(*self._rules)


class CloudBrokerHarness(ResourceHarness):
    sdk_modules = ("requests", "defusedxml")
    page_size = 25
    not_applicable: ClassVar = {
        **dict.fromkeys(
            ("half_made_is_listed", "half_made_is_continued", "half_made_can_be_deleted"),
            "CloudBroker makes an instance with all it has in one call",
        ),
        "stopped_is_stopped": "CloudBroker has no status for an instance that may run again: 'halted' is its end",
        "failed_is_failed": "CloudBroker has no known status for an instance that it gave up",
        "longest_owner": "a name is given 255 characters, and this mark takes 300 with a token that does not end with "
        "the node id; the longest that Occopus makes has 245: test_the_longest_that_occopus_makes",
    }

    def __init__(self, cloud) -> None:
        super().__init__()
        self.cloud = cloud
        self.faults = CloudBrokerFaults(cloud)

    def handler(self, *, call_timeout=None):
        auth = {"email": EMAIL, "password": PASSWORD}
        connection = Connection("cloudbroker", {"endpoint": self.cloud.endpoint}, auth, call_timeout or 30.0)
        return CloudBrokerHandler(connection)

    def request(self, token, owner, kind="plain"):
        deployment = "no-such-deployment" if kind == "missing" else DEPLOYMENT
        description = {"deployment_id": deployment, "instance_type_id": INSTANCE_TYPE, "opened_port": "22,80"}
        resource = {"endpoint": self.cloud.endpoint, "description": description}
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))

    def absent_ids(self, count):
        return [f"ffffffff-0000-4000-8000-{number:012x}" for number in range(count)]

    def settle(self):
        time.sleep(0.02)

    def received(self, id, sent):
        return Context(user_data=self.cloud.platform.machines[id].user_data)

    def impose(self, id, state):
        assert state is InstanceState.UNKNOWN
        self.cloud.platform.machines[id].raw_status = "levitating"

    def provider_calls(self):
        return sum(self.cloud.calls().values())


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, cloud):
        cloud.platform.boot_seconds = cloud.platform.stop_seconds = 0.05
        harness = CloudBrokerHarness(cloud)
        yield harness
        harness.close()
        assert cloud.platform.running() == []
