"""The contract's own suite on this handler."""

from __future__ import annotations

import base64
import time
from typing import ClassVar

import pytest

from occopus_core.api import Connection, Context, CreateRequest, InstanceState
from occopus_core.testing.conformance import Fault, FaultInjector, ResourceHandlerConformance, ResourceHarness
from occopus_resource_ec2 import Ec2Handler
from occopus_resource_ec2.testing.process import ACCESS_KEY, IMAGE, REGION, SECRET_KEY

pytestmark = pytest.mark.integration

ACTIONS = {
    "create": "RunInstances",
    "describe": "DescribeInstances",
    "list_owned": "DescribeInstances",
    "delete": "TerminateInstances",
}
REFUSALS = {
    Fault.AUTH: {"status": 401, "code": "AuthFailure"},
    Fault.QUOTA: {"status": 500, "code": "InsufficientInstanceCapacity"},
    Fault.THROTTLE: {"status": 503, "code": "RequestLimitExceeded", "retry_after": 2},
    Fault.PERMANENT: {"status": 400, "code": "UnsupportedOperation"},
    Fault.SERVER_ERROR: {"status": 500, "code": "InternalError"},
}
KINDS = {
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}


class Ec2Faults(FaultInjector):
    faults = frozenset(Fault)

    def __init__(self, ec2) -> None:
        self._ec2 = ec2
        self._rules = []
        self._away = False

    def inject(self, fault, operation):
        if fault is Fault.REFUSED_CONNECTION:
            self._ec2.stop()
            self._away = True
        elif fault in REFUSALS:
            self._add(kind="refuse", action=ACTIONS[operation], message=fault.value, **REFUSALS[fault])
        else:
            self._add(kind=KINDS[fault], action=ACTIONS[operation])

    def refuse_deletion(self, id):
        self._add(
            kind="refuse",
            action=ACTIONS["delete"],
            value=id,
            status=400,
            code="OperationNotPermitted",
            message="protected",
        )

    def clear(self):
        if self._away:
            self._ec2.start()
            self._away = False
        self._rules = []
        self._ec2.set_faults([])

    def _add(self, **rule):
        self._rules.append(rule)
        self._ec2.set_faults(self._rules)


class Ec2Harness(ResourceHarness):
    sdk_modules = ("boto3", "botocore")
    page_size = 5
    not_applicable: ClassVar = {
        **dict.fromkeys(
            ("half_made_is_listed", "half_made_is_continued", "half_made_can_be_deleted"),
            "EC2 makes an instance with all it has in one call",
        ),
        "failed_is_failed": "EC2 has no such state: it terminates an instance that it gives up",
    }

    def __init__(self, ec2) -> None:
        super().__init__()
        self.ec2 = ec2
        self.faults = Ec2Faults(ec2)

    def handler(self, *, call_timeout=None):
        settings = {"endpoint": self.ec2.endpoint, "regionname": REGION}
        auth = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
        return Ec2Handler(Connection("ec2", settings, auth, call_timeout or 30.0))

    def request(self, token, owner, kind="plain"):
        resource = {
            "endpoint": self.ec2.endpoint,
            "regionname": REGION,
            "image_id": "ami-00000000" if kind == "missing" else IMAGE,
            "instance_type": "t3.micro",
        }
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))

    def absent_ids(self, count):
        return [f"i-ffff{number:013x}" for number in range(count)]

    def settle(self):
        time.sleep(0.02)

    def provider_calls(self):
        return sum(self.ec2.calls().values())

    def received(self, id, sent):
        answer = self.ec2.client().describe_instance_attribute(InstanceId=id, Attribute="userData")
        encoded = answer["UserData"].get("Value")
        return Context(user_data=encoded and base64.b64decode(encoded).decode())

    def impose(self, id, state):
        if state is InstanceState.STOPPED:
            self.ec2.client().stop_instances(InstanceIds=[id])
        else:
            self.ec2.set_state(id, "hibernating")


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, ec2, monkeypatch):
        for limit in ("_PAGE", "_VALUES"):
            monkeypatch.setattr(f"occopus_resource_ec2.handler.{limit}", Ec2Harness.page_size)
        ec2.set_times(boot_seconds=0.05, delete_seconds=0.05)
        harness = Ec2Harness(ec2)
        yield harness
        harness.close()
        assert ec2.inventory() == []
