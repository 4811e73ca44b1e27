"""The harness of the handler for the conformance suite: a platform in threads of this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance import Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_resource_cloudbroker import CloudBrokerHandler
from occopus_resource_cloudbroker.testing.faults import Fault as Rule
from occopus_resource_cloudbroker.testing.platform import DEPLOYMENT, EMAIL, INSTANCE_TYPE, PASSWORD, Platform
from occopus_resource_cloudbroker.testing.server import Server

OPERATIONS: Mapping[Operation, Any] = {"create": "create", "describe": "list", "list_owned": "list", "delete": "stop"}
REFUSALS: Mapping[Fault, Mapping[str, Any]] = {
    Fault.AUTH: {"status": 401, "type": "authentication"},
    Fault.QUOTA: {"status": 422, "message": "The maximum number of instances is exceeded"},
    Fault.THROTTLE: {"status": 429, "retry_after": 2},
    Fault.PERMANENT: {"status": 422, "message": "Isolated is not included in the list"},
    Fault.SERVER_ERROR: {"status": 500, "message": "We're sorry, but something went wrong"},
}
KINDS: Mapping[Fault, Any] = {
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}


class CloudBrokerFaults(FaultInjector):
    """Fault rules of the platform; for an unreachable provider it stops the platform."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    def __init__(self, cloud: Server) -> None:
        self._cloud = cloud
        self._rules: list[Rule] = []
        self._away = False

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add a rule for the calls of the operation, or stop the platform."""
        wanted = OPERATIONS[operation]
        if fault is Fault.REFUSED_CONNECTION:
            self._cloud.stop()
            self._away = True
        elif fault in REFUSALS:
            self._add(Rule("refuse", wanted, **REFUSALS[fault]))
        else:  # a repeated creation first requests the list, which gets no usable answer either
            self._add(Rule(KINDS[fault], wanted, spreads=operation == "create"))

    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of the instance fail."""
        self._add(Rule("refuse", "stop", id=id, status=422, message="The instance is protected"))

    def clear(self) -> None:
        """Start the platform again and remove all rules."""
        if self._away:
            self._cloud.start()
            self._away = False
        self._rules = []
        self._cloud.set_faults()

    def _add(self, rule: Rule) -> None:
        self._rules.append(rule)
        self._cloud.set_faults(*self._rules)


class CloudBrokerHarness(ResourceHarness):
    """A given platform, or one of its own, which is stopped at the end."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("requests", "defusedxml")
    page_size: ClassVar[int | None] = 25
    not_applicable: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("half_made_is_listed", "half_made_is_continued", "half_made_can_be_deleted"),
            "CloudBroker makes an instance with all it has in one call",
        ),
        "stopped_is_stopped": "CloudBroker has no status for an instance that may run again: 'halted' is its end",
        "failed_is_failed": "CloudBroker has no known status for an instance that it gave up",
        "longest_owner": "a name is given 255 characters, and this mark takes 300 with a token that does not end with "
        "the node id; the longest that Occopus makes has 245: test_the_longest_possible_request",
    }

    def __init__(self, cloud: Server | None = None) -> None:
        super().__init__()
        self._own = contextlib.ExitStack()
        self._closed = False
        self.cloud = cloud if cloud is not None else self._own.enter_context(Server(Platform()))
        self.cloud.platform.boot_seconds = self.cloud.platform.stop_seconds = 0.05
        self.faults = CloudBrokerFaults(self.cloud)

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler on the account."""
        auth = {"email": EMAIL, "password": PASSWORD}
        connection = Connection("cloudbroker", {"endpoint": self.cloud.endpoint}, auth, call_timeout or 30.0)
        return CloudBrokerHandler(connection)

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """An instance of the only deployment."""
        deployment = "no-such-deployment" if kind == "missing" else DEPLOYMENT
        description = {"deployment_id": deployment, "instance_type_id": INSTANCE_TYPE, "opened_port": "22,80"}
        resource = {"endpoint": self.cloud.endpoint, "description": description}
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Valid ids without an instance."""
        return [InstanceId(f"ffffffff-0000-4000-8000-{number:012x}") for number in range(count)]

    def settle(self) -> None:
        """A fraction of the time that an instance takes to start."""
        time.sleep(0.02)

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The user data that the platform has stored."""
        return Context(user_data=self.cloud.platform.machines[id].user_data)

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Put the instance into another state."""
        assert state is InstanceState.UNKNOWN, "the platform has no word for another one"
        self.cloud.platform.machines[id].raw_status = "levitating"

    def provider_calls(self) -> int | None:
        """The number of calls to the platform."""
        return sum(self.cloud.calls().values())

    def close(self) -> None:
        """Delete the instances, and stop a platform of its own. Idempotent."""
        if not self._closed:
            self._closed = True
            with self._own:
                super().close()
