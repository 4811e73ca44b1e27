"""A simulated Azure, and handlers on it."""

from __future__ import annotations

import importlib.util

import pytest

from occopus_core.api import Connection, Context, CreateRequest, Owner
from occopus_resource_azure import AzureAciHandler, AzureVmHandler

LOCATION = "westeurope"
VM = {
    "location": LOCATION,
    "vm_size": "Standard_B1s",
    "publisher": "Canonical",
    "offer": "ubuntu-24_04-lts",
    "sku": "server",
    "version": "latest",
    "username": "occopus",
    "password": "correct-Horse-7",
}
ACI = {
    "location": LOCATION,
    "image": "nginx:alpine",
    "network_type": "Public",
    "memory": 1,
    "cpu_cores": 1,
    "os_type": "linux",
    "ports": [80],
}
HANDLERS = {"azure_vm": (AzureVmHandler, VM), "azure_aci": (AzureAciHandler, ACI)}


def account():
    from occopus_resource_azure.testing import CLIENT_ID, CLIENT_SECRET, SUBSCRIPTION, TENANT  # noqa: PLC0415

    return {
        "tenant_id": TENANT,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "subscription_id": SUBSCRIPTION,
    }


@pytest.fixture(scope="session")
def azure_server():
    missing = [name for name in ("trustme", "jsonschema") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"{missing[0]} is not installed: pip install './plugins/resource/azure[testing]' in a checkout of Occopus"
        )
    from occopus_resource_azure.testing import AzureCloud  # noqa: PLC0415

    with AzureCloud() as cloud:
        yield cloud


@pytest.fixture
def azure(request, monkeypatch):
    """An Azure with one empty resource group; its time is virtual for tests that use `virtual_azure`."""
    virtual = "virtual_azure" in request.fixturenames
    cloud = request.getfixturevalue("virtual_azure_server" if virtual else "azure_server")
    cloud.reset()
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    return cloud


@pytest.fixture
def virtual_azure(azure):
    """The same Azure, with `advance(seconds)`."""
    return azure


@pytest.fixture
def connect(azure):
    """Makes handlers on the account."""

    def connect(type="azure_vm", *, auth=None, timeout=30.0, group="occopus-tests", **settings):
        settings = {"endpoint": azure.endpoint, "resource_group": group, **settings}
        settings = {key: value for key, value in settings.items() if value is not None}
        return HANDLERS[type][0](Connection(type, settings, account() if auth is None else auth, timeout))

    return connect


@pytest.fixture
def order(azure):
    """Makes requests."""

    def order(token="occopus-1", type="azure_vm", *, context=None, group="occopus-tests", **resource):
        section = {"endpoint": azure.endpoint, "resource_group": group, **HANDLERS[type][1], **resource}
        section = {key: value for key, value in section.items() if value is not None}
        return CreateRequest(token, Owner("here", "shop", "web", f"id-{token}"), section, context or Context())

    return order


class VirtualTime:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def virtual_azure_server():
    from occopus_resource_azure.testing import AzureCloud  # noqa: PLC0415

    clock = VirtualTime()
    with AzureCloud(clock=clock) as cloud:
        cloud.advance = lambda seconds: setattr(clock, "now", clock.now + seconds)
        yield cloud
