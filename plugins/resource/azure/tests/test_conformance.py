"""The contract's own suite on both handlers."""

from __future__ import annotations

import base64
import time
from typing import ClassVar

import pytest

from occopus_core.api import Connection, Context, CreateRequest, InstanceState
from occopus_core.testing.conformance import (
    PRINTED,
    Fault,
    FaultInjector,
    ResourceHandlerConformance,
    ResourceHarness,
)
from occopus_resource_azure import AzureAciHandler, AzureVmHandler
from occopus_resource_azure.aci import inventory
from occopus_resource_azure.testing import CLIENT_ID, CLIENT_SECRET, GROUP, SUBSCRIPTION, TENANT
from occopus_resource_azure.testing import Fault as Rule

pytestmark = pytest.mark.integration

TYPES = (
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Compute/disks",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.ContainerInstance/containerGroups",
)
METHODS = {
    "create": ["PUT"],
    "describe": ["GET"],
    "list_owned": ["GET"],
    "delete": ["GET", "DELETE"],
    "stop": ["GET", "POST"],
}
REFUSALS = {
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


class AzureFaults(FaultInjector):
    faults = frozenset(Fault)

    def __init__(self, azure) -> None:
        self._azure = azure

    def inject(self, fault, operation):
        if fault is Fault.REFUSED_CONNECTION:
            self._azure.stop()
            return
        answer = (
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
        if operation == "create":  # a container group is made by one call: its repeat asks for it first
            self._azure.add_fault(Rule(method="GET", type=TYPES[-1], listing=False, skip=1, **answer))

    def refuse_deletion(self, id):
        self._azure.add_fault(
            Rule(kind="refuse", method="DELETE", name=id, status=409, code="ScopeLocked", message="locked")
        )

    def clear(self):
        self._azure.start()
        self._azure.set_faults([])


class AzureHarness(ResourceHarness):
    sdk_modules = ("azure", "azure.core", "msal", "requests")
    page_size = 8
    handler_class: ClassVar[type]
    type: ClassVar[str]

    def __init__(self, azure) -> None:
        super().__init__()
        self.azure = azure
        self.faults = AzureFaults(azure)
        self.asked = []
        azure.observe(lambda exchange: self.asked.append(exchange.url))
        azure.limits.page_size = self.page_size
        self._printing = set()

    def handler(self, *, call_timeout=None):
        auth = {
            "tenant_id": TENANT,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "subscription_id": SUBSCRIPTION,
        }
        settings = {"endpoint": self.azure.endpoint, "resource_group": GROUP}
        return self.handler_class(Connection(self.type, settings, auth, call_timeout or 30.0))

    def absent_ids(self, count):
        return [f"occopus-ffff{number:04}" for number in range(count)]

    def settle(self):
        time.sleep(0.02)
        for each in self.azure.inventory():
            if each["name"] in self._printing and each["type"] in (TYPES[0], TYPES[-1]):
                self.azure.print_lines(each["id"], PRINTED)

    def kind_of(self, token, kind):
        """What a kind of request takes besides its resource section."""
        if kind == "graceful":
            seconds = self.short_timeout + self.grace + 0.2
            self.azure.account.times.update(vm_power=seconds, container_power=seconds)
        if kind == "printing":
            self._printing.add(token)

    def whole_id(self, id):
        return next(each["id"] for each in self.azure.inventory() if (each["type"], each["name"]) == (self.kind, id))

    def shut_down(self, id):
        """A machine that is cut off is never seen to be stopped: its power-off has not come to its end."""
        patience = time.monotonic() + 30
        while time.monotonic() < patience:
            if self.ended(id):
                return True
            time.sleep(0.02)
        return False

    def provider_calls(self):
        return sum(self.azure.calls().values())


class VmHarness(AzureHarness):
    handler_class = AzureVmHandler
    type = "azure_vm"
    kind = TYPES[0]

    def received(self, id, sent):
        data = self.azure.secrets_of(self.whole_id(id))["customData"]
        return Context(user_data=base64.b64decode(data).decode())

    def impose(self, id, state):
        if state is InstanceState.FAILED:
            self.azure.set_state(self.whole_id(id), "Failed")
        else:
            self.azure.set_power(self.whole_id(id), "stopped" if state is InstanceState.STOPPED else "hibernated")

    def ended(self, id):
        raw_state = self.handler().describe([id])[id].raw_state
        asked = [one for one in self.asked if "/powerOff" in one]
        return raw_state == "Succeeded/stopped" and not any("skipShutdown=true" in one for one in asked)

    def request(self, token, owner, kind="plain"):
        self.kind_of(token, kind)
        resource = {
            "endpoint": self.azure.endpoint,
            "resource_group": GROUP,
            "location": "westeurope",
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
    handler_class = AzureAciHandler
    type = "azure_aci"
    kind = TYPES[-1]

    def received(self, id, sent):
        environment = self.azure.secrets_of(self.whole_id(id))["environment"]
        container = self.azure.account.find(self.whole_id(id)).properties["containers"][0]["properties"]
        return Context(env=tuple(f"{name}={value}" for name, value in environment), command=tuple(container["command"]))

    def impose(self, id, state):
        words = {InstanceState.STOPPED: "Stopped", InstanceState.FAILED: "Failed", InstanceState.UNKNOWN: "Odd"}
        self.azure.set_state(self.whole_id(id), words[state])

    def ended(self, id):
        return self.handler().describe([id])[id].raw_state == "Succeeded/Stopped"

    def request(self, token, owner, kind="plain"):
        self.kind_of(token, kind)
        resource = {
            "endpoint": self.azure.endpoint,
            "resource_group": GROUP,
            "location": "westeurope",
            "image": "no-such-image" if kind == "missing" else "nginx:alpine",
            "network_type": "Private" if kind == "stepwise" else "Public",
            "memory": "1.5",
            "cpu_cores": 1,
            "os_type": "linux",
            "ports": [80, "53/UDP"],
        }
        return CreateRequest(
            token, owner, resource, Context(env=("PASSWORD=hush-hush",), command=("serve-quietly", "--key=hush-hush"))
        )


class TestVm(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, azure):
        harness = VmHarness(azure)
        yield harness
        harness.close()
        assert azure.inventory() == []


class TestAci(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, azure, monkeypatch):
        monkeypatch.setattr(inventory, "LOOK_AGAIN_SECONDS", 0.0)
        harness = AciHarness(azure)
        yield harness
        harness.close()
        assert azure.inventory() == []
