"""The harnesses of both handlers for the conformance suite: a simulated Azure in threads of this process."""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from unittest import mock

from occopus_core.api import Connection, Context, CreateRequest, InstanceId, InstanceState, Owner, ResourceHandler
from occopus_core.testing.conformance import PRINTED, Fault, FaultInjector, Kind, Operation, ResourceHarness
from occopus_resource_azure import AzureAciHandler, AzureVmHandler
from occopus_resource_azure.aci import inventory
from occopus_resource_azure.testing.account import SUBSCRIPTION, TENANT
from occopus_resource_azure.testing.cloud import GROUP, REGION, AzureCloud
from occopus_resource_azure.testing.faults import Fault as Rule
from occopus_resource_azure.testing.login import CLIENT_ID, CLIENT_SECRET

TYPES = (
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Compute/disks",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.ContainerInstance/containerGroups",
)
METHODS: Mapping[Operation, Sequence[str]] = {
    "create": ["PUT"],
    "describe": ["GET"],
    "list_owned": ["GET"],
    "delete": ["GET", "DELETE"],
    "stop": ["GET", "POST"],
}
REFUSALS: Mapping[Fault, Mapping[str, Any]] = {
    Fault.AUTH: {"status": 403, "code": "AuthorizationFailed"},
    Fault.QUOTA: {"status": 409, "code": "SkuNotAvailable"},
    Fault.THROTTLE: {"status": 429, "code": "SubscriptionRequestsThrottled", "headers": {"Retry-After": "2"}},
    Fault.PERMANENT: {"status": 400, "code": "InvalidParameter"},
    Fault.SERVER_ERROR: {"status": 503, "code": "ServerTimeout"},
}
KINDS = {
    Fault.HANG: "hang",
    Fault.LOST_REPLY: "lost_reply",
    Fault.CUT_REPLY: "cut_reply",
    Fault.FOREIGN_REPLY: "foreign_reply",
}
STOP_SECONDS = 30.0
"""The time limit for an instance to shut down."""


class AzureFaults(FaultInjector):
    """Fault rules of the cloud; for an unreachable provider it stops the server."""

    faults: ClassVar[frozenset[Fault]] = frozenset(Fault)

    def __init__(self, azure: AzureCloud) -> None:
        self._azure = azure

    def inject(self, fault: Fault, operation: Operation) -> None:
        """Add rules for all calls of the operation, or stop the server."""
        if fault is Fault.REFUSED_CONNECTION:
            self._azure.stop()
            return
        answer: dict[str, Any] = (
            {"kind": "refuse", "message": fault.value, **REFUSALS[fault]}
            if fault in REFUSALS
            else {"kind": KINDS[fault]}
        )
        if operation == "logs":
            for action in ("retrieveBootDiagnosticsData", "logs"):
                self._azure.add_fault(Rule(action=action, **answer))
            return
        for method in METHODS[operation]:
            listing = True if method == "GET" else None
            for type in TYPES:
                self._azure.add_fault(Rule(method=method, type=type, listing=listing, **answer))
        if operation == "create":  # one call makes a container group; a repeat first requests its state
            self._azure.add_fault(Rule(method="GET", type=TYPES[-1], listing=False, skip=1, **answer))

    def refuse_deletion(self, id: InstanceId) -> None:
        """Make the deletion of the instance fail."""
        refusal: dict[str, Any] = {"status": 409, "code": "ScopeLocked", "message": "locked"}
        self._azure.add_fault(Rule(kind="refuse", method="DELETE", name=id, **refusal))

    def clear(self) -> None:
        """Start the server again and remove all rules."""
        self._azure.start()
        self._azure.set_faults([])


class AzureHarness(ResourceHarness):
    """A given cloud, whose certificate is already trusted, or one of its own, which is stopped at the end."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("azure", "azure.core", "msal", "requests")
    page_size: ClassVar[int | None] = 8
    handler_class: ClassVar[type[ResourceHandler]]
    type: ClassVar[str]
    kind: ClassVar[str]
    """The resource type of an instance."""

    def __init__(self, azure: AzureCloud | None = None) -> None:
        super().__init__()
        self._own = contextlib.ExitStack()
        self._closed = False
        self.azure = azure if azure is not None else self._started()
        self.faults = AzureFaults(self.azure)
        self.asked: list[str] = []
        self.azure.observe(lambda exchange: self.asked.append(exchange.url))
        self.azure.limits.page_size = self.page_size or 1
        self._printing: set[str] = set()

    def _started(self) -> AzureCloud:
        azure = self._own.enter_context(AzureCloud())
        self._own.enter_context(mock.patch.dict(os.environ, azure.environment))
        os.environ.pop("AZURE_SUBSCRIPTION_ID", None)  # until the environment is restored
        return azure

    def handler(self, *, call_timeout: float | None = None) -> ResourceHandler:
        """A new handler on the account."""
        auth = {
            "tenant_id": TENANT,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "subscription_id": SUBSCRIPTION,
        }
        settings = {"endpoint": self.azure.endpoint, "resource_group": GROUP}
        return self.handler_class(Connection(self.type, settings, auth, call_timeout or 30.0))

    def absent_ids(self, count: int) -> Sequence[InstanceId]:
        """Names of instances that do not exist."""
        return [InstanceId(f"occopus-ffff{number:04}") for number in range(count)]

    def settle(self) -> None:
        """Wait a little; print pending output."""
        time.sleep(0.02)
        for each in self.azure.inventory():
            if each["name"] in self._printing and each["type"] in (TYPES[0], TYPES[-1]):
                self.azure.print_lines(each["id"], PRINTED)

    def prepare(self, token: str, kind: Kind) -> None:
        """Prepare what a kind of request needs besides its resource section."""
        if kind == "graceful":
            seconds = self.short_timeout + self.grace + 0.2
            self.azure.account.times.update(vm_power=seconds, container_power=seconds)
        if kind == "printing":
            self._printing.add(token)

    def whole_id(self, id: InstanceId) -> str:
        """The id of the resource that an instance is."""
        found = (each["id"] for each in self.azure.inventory() if (each["type"], each["name"]) == (self.kind, id))
        return str(next(found))

    def shut_down(self, id: InstanceId) -> bool:
        """Whether it was shut down. A machine that loses power never completes its power-off."""
        patience = time.monotonic() + STOP_SECONDS
        while time.monotonic() < patience:
            if self.ended(id):
                return True
            time.sleep(0.02)
        return False

    def ended(self, id: InstanceId) -> bool:
        """Whether an instance has shut down by itself."""
        raise NotImplementedError

    def provider_calls(self) -> int | None:
        """The number of calls to the cloud."""
        return sum(self.azure.calls().values())

    def close(self) -> None:
        """Delete the instances, and stop a cloud of its own. Idempotent."""
        if not self._closed:
            self._closed = True
            with self._own:
                super().close()


class VmHarness(AzureHarness):
    """Virtual machines."""

    handler_class: ClassVar[type[ResourceHandler]] = AzureVmHandler
    type: ClassVar[str] = "azure_vm"
    kind: ClassVar[str] = TYPES[0]

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The user data that the cloud has stored."""
        data = self.azure.secrets_of(self.whole_id(id))["customData"]
        return Context(user_data=base64.b64decode(data).decode())

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Let it fail, or set its power state without the handler."""
        if state is InstanceState.FAILED:
            self.azure.set_state(self.whole_id(id), "Failed")
        else:
            self.azure.set_power(self.whole_id(id), "stopped" if state is InstanceState.STOPPED else "hibernated")

    def ended(self, id: InstanceId) -> bool:
        """Whether it is stopped after a shutdown."""
        raw_state = self.handler().describe([id])[id].raw_state
        asked = [one for one in self.asked if "/powerOff" in one]
        return raw_state == "Succeeded/stopped" and not any("skipShutdown=true" in one for one in asked)

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A small machine with an address."""
        self.prepare(token, kind)
        resource = {
            "endpoint": self.azure.endpoint,
            "resource_group": GROUP,
            "location": REGION,
            "vm_size": "Standard_B1s",
            "publisher": "no-such-publisher" if kind == "missing" else "Canonical",
            "offer": "ubuntu-24_04-lts",
            "sku": "server",
            "version": "latest",
            "username": "occopus",
            "ssh_key_data": "ssh-ed25519 AAAA me@here",
            "public_ip_needed": True,
            "open_ports": [22, "icmp"],
        }
        return CreateRequest(token, owner, resource, Context(user_data="#cloud-config\npassword: hush-hush\n"))


class AciHarness(AzureHarness):
    """Container groups."""

    handler_class: ClassVar[type[ResourceHandler]] = AzureAciHandler
    type: ClassVar[str] = "azure_aci"
    kind: ClassVar[str] = TYPES[-1]

    def __init__(self, azure: AzureCloud | None = None) -> None:
        super().__init__(azure)
        self._own.enter_context(mock.patch.object(inventory, "LOOK_AGAIN_SECONDS", 0.0))

    def received(self, id: InstanceId, sent: Context) -> Context:  # noqa: ARG002 - for overriding
        """The environment and the command that the cloud has stored."""
        whole = self.whole_id(id)
        environment = self.azure.secrets_of(whole)["environment"]
        group = self.azure.account.find(whole)
        assert group is not None, f"{id} does not exist"
        container = group.properties["containers"][0]["properties"]
        return Context(env=tuple(f"{name}={value}" for name, value in environment), command=tuple(container["command"]))

    def impose(self, id: InstanceId, state: InstanceState) -> None:
        """Set the state of its processes."""
        words = {InstanceState.STOPPED: "Stopped", InstanceState.FAILED: "Failed", InstanceState.UNKNOWN: "Odd"}
        self.azure.set_state(self.whole_id(id), words[state])

    def ended(self, id: InstanceId) -> bool:
        """Whether its processes have stopped."""
        return self.handler().describe([id])[id].raw_state == "Succeeded/Stopped"

    def request(self, token: str, owner: Owner, kind: Kind = "plain") -> CreateRequest:
        """A small group; a ``stepwise`` one has a network of its own."""
        self.prepare(token, kind)
        resource = {
            "endpoint": self.azure.endpoint,
            "resource_group": GROUP,
            "location": REGION,
            "image": "no-such-image" if kind == "missing" else "nginx:alpine",
            "network_type": "Private" if kind == "stepwise" else "Public",
            "memory": "1.5",
            "cpu_cores": 1,
            "os_type": "linux",
            "ports": [80, "53/UDP"],
        }
        context = Context(env=("PASSWORD=hush-hush",), command=("serve-quietly", "--key=hush-hush"))
        return CreateRequest(token, owner, resource, context)
