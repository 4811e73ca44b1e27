"""The harness of the handler for the conformance suite: moto's EC2 in a separate process."""

from __future__ import annotations

import base64
import contextlib
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from unittest import mock

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance import PRINTED, Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_core.testing.standing import require_modules, until_exit
from occopus_resource_ec2 import Ec2Handler
from occopus_resource_ec2.testing.process import ACCESS_KEY, IMAGE, REGION, SECRET_KEY, Ec2Cloud

ACTIONS: Mapping[Operation, str] = {
    "create": "RunInstances",
    "describe": "DescribeInstances",
    "list_owned": "DescribeInstances",
    "delete": "TerminateInstances",
    "logs": "GetConsoleOutput",
}
REFUSALS: Mapping[Fault, Mapping[str, Any]] = {
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
SERVER_MODULES = ("moto", "flask", "flask_cors")
"""The instance type that the harness requests."""


class Ec2Faults(FaultInjector):
    """Fault rules of the server; for an unreachable provider it stops the server."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    def __init__(self, ec2: Ec2Cloud) -> None:
        self._ec2 = ec2
        self._rules: list[dict[str, Any]] = []
        self._away = False

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add a rule for the action of the operation, or stop the server."""
        if fault is Fault.REFUSED_CONNECTION:
            self._ec2.stop()
            self._away = True
        elif fault in REFUSALS:
            self._add(kind="refuse", action=ACTIONS[operation], message=fault.value, **REFUSALS[fault])
        else:
            self._add(kind=KINDS[fault], action=ACTIONS[operation])

    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of the instance fail."""
        refusal = {"status": 400, "code": "OperationNotPermitted", "message": "protected"}
        self._add(kind="refuse", action=ACTIONS["delete"], value=id, **refusal)

    def clear(self) -> None:
        """Start the server again and remove all rules."""
        if self._away:
            self._ec2.start()
            self._away = False
        self._rules = []
        self._ec2.set_faults([])

    def _add(self, **rule: Any) -> None:
        self._rules.append(rule)
        self._ec2.set_faults(self._rules)


class Ec2Harness(ResourceHarness):
    """Small pages, so that the clauses about pages need few instances.

    Without `ec2` it uses one server for the whole process.
    """

    sdk_modules: ClassVar[tuple[str, ...]] = ("boto3", "botocore")
    page_size: ClassVar[int | None] = 5
    not_applicable: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("half_made_is_listed", "half_made_is_continued", "half_made_can_be_deleted"),
            "EC2 makes an instance with all it has in one call",
        ),
        "failed_is_failed": "EC2 has no such state: it terminates an instance that it gives up",
    }

    def __init__(self, ec2: Ec2Cloud | None = None) -> None:
        super().__init__()
        self.ec2 = ec2 if ec2 is not None else _shared_cloud()
        self.ec2.set_times(boot_seconds=0.05, delete_seconds=0.05)
        self.faults = Ec2Faults(self.ec2)
        self._pages = contextlib.ExitStack()
        for limit in ("_PAGE", "_VALUES"):
            self._pages.enter_context(mock.patch(f"occopus_resource_ec2.handler.{limit}", self.page_size))

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler on the account."""
        settings = {"endpoint": self.ec2.endpoint, "regionname": REGION}
        auth = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
        return Ec2Handler(Connection("ec2", settings, auth, call_timeout or 30.0))

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A small instance of the only image."""
        resource = {
            "endpoint": self.ec2.endpoint,
            "regionname": REGION,
            "image_id": "ami-00000000" if kind == "missing" else IMAGE,
            "instance_type": "t3.micro",
        }
        user_data = "#cloud-config\npassword: hush-hush\n"
        if kind == "printing":
            user_data = "".join(("#!/bin/sh\n", *(f"echo '{line}'\n" for line in PRINTED)))
        return CreateRequest(token, owner, resource, Context(user_data=user_data))

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Valid EC2 ids without an instance."""
        return [InstanceId(f"i-ffff{number:013x}") for number in range(count)]

    def settle(self) -> None:
        """A fraction of the time that an instance takes to boot."""
        time.sleep(0.02)

    def provider_calls(self) -> int | None:
        """The number of calls to the server."""
        return sum(self.ec2.calls().values())

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The user data that EC2 returns."""
        answer = self.ec2.client().describe_instance_attribute(InstanceId=id, Attribute="userData")
        encoded = answer["UserData"].get("Value")
        return Context(user_data=encoded and base64.b64decode(encoded).decode())

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Stop the instance, or put it into another state."""
        if state is InstanceState.STOPPED:
            self.ec2.client().stop_instances(InstanceIds=[id])
        else:
            self.ec2.set_state(id, "hibernating")

    def lose_tags(self, id: InstanceId) -> None:
        """Delete all tags of the instance."""
        self.ec2.client().delete_tags(Resources=[id])

    def close(self) -> None:
        """Delete the instances that were made and restore the page sizes. Idempotent."""
        super().close()
        self._pages.close()


@functools.cache
def _shared_cloud() -> Ec2Cloud:
    require_modules(*SERVER_MODULES)
    return until_exit(Ec2Cloud())
