"""The contract's own suite on both handlers."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest

from occopus_core.api import Connection, Context, CreateRequest
from occopus_core.testing.conformance import Fault, FaultInjector, ResourceHandlerConformance, ResourceHarness
from occopus_resource_azure import AzureAciHandler, AzureVmHandler
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
METHODS = {"create": ["PUT"], "describe": ["GET"], "list_owned": ["GET"], "delete": ["GET", "DELETE"]}
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
    # What has no machine is looked for among the kinds of resources that one consists of: more lists, for any number.
    page_size = 25
    handler_class: ClassVar[type]
    type: ClassVar[str]

    def __init__(self, azure) -> None:
        super().__init__()
        self.azure = azure
        self.faults = AzureFaults(azure)

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

    def provider_calls(self):
        return sum(self.azure.calls().values())


class VmHarness(AzureHarness):
    handler_class = AzureVmHandler
    type = "azure_vm"

    def request(self, token, owner, kind="plain"):
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

    def request(self, token, owner, kind="plain"):
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
    def harness(self, azure):
        harness = AciHarness(azure)
        yield harness
        harness.close()
        assert azure.inventory() == []
