"""The process is killed after any changing call: another one continues, and nothing is left over or lost."""

from __future__ import annotations

import itertools

import pytest

from occopus_core.api import Context, InstanceState, Owner
from occopus_resource_azure import connect as connecting

pytestmark = pytest.mark.integration

CHANGES = ("PUT", "PATCH", "POST", "DELETE")
PATIENCE = 200
CASES = {
    "vm, network of its own": ("azure_vm", {}),
    "vm, public address": ("azure_vm", {"public_ip_needed": True, "open_ports": [22]}),
    "vm, the user's network": ("azure_vm", {"vnet_name": "net", "subnet_name": "machines", "public_ip_needed": True}),
    "vm, the user's interface": ("azure_vm", {"nic_name": "nic"}),
    "vm, group of its own": ("azure_vm", {"group": None, "public_ip_needed": True}),
    "container, public": ("azure_aci", {}),
    "container, network of its own": ("azure_aci", {"network_type": "Private"}),
    "container, the user's network": (
        "azure_aci",
        {"network_type": "Private", "vnet_name": "net", "subnet_name": "containers"},
    ),
    "container, group of its own": ("azure_aci", {"group": None}),
}


class KilledError(BaseException):
    """Stands for the end of the process: handlers cannot catch it."""


@pytest.fixture
def stage(virtual_azure, connect, order, monkeypatch):
    return Stage(virtual_azure, connect, order, monkeypatch)


class Stage:
    """An Azure with resources of a user, and handlers that are killed after a number of changes."""

    def __init__(self, azure, connect, order, monkeypatch) -> None:
        self.azure, self.connect, self.order = azure, connect, order
        self._left = None
        passed = connecting.Answers.on_response

        def on_response(policy, request, response) -> None:
            passed(policy, request, response)
            if request.http_request.method in CHANGES:
                self._count()

        monkeypatch.setattr(connecting.Answers, "on_response", on_response)

    def _count(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._left = None
                raise KilledError

    def begin(self, case):
        self.type, changed = CASES[case]
        self.group = changed.get("group", "occopus-tests")
        self.azure.reset()
        delegated = {
            "addressPrefix": "10.0.2.0/24",
            "delegations": [
                {"name": "c", "properties": {"serviceName": "Microsoft.ContainerInstance/containerGroups"}}
            ],
        }
        net = self.azure.add_network("net", machines="10.0.1.0/24", containers=delegated)
        subnet = {"id": f"{net['id']}/subnets/machines"}
        configurations = [{"name": "one", "properties": {"subnet": subnet}}]
        for name in ("nic", "other"):
            self.azure.add(
                f"occopus-tests/Microsoft.Network/networkInterfaces/{name}",
                {"location": "westeurope", "properties": {"ipConfigurations": configurations}},
            )
        self.users = self.things()
        context = Context() if self.type == "azure_vm" else Context(env=("A=1",))
        self.request = self.order("occopus-1", self.type, context=context, **changed)

    def things(self):
        groups = {("group", name) for name in self.azure.account.groups}
        return {(each["type"], each["name"]) for each in self.azure.inventory()} | groups

    def handler(self):
        return self.connect(self.type, group=self.group)

    def until(self, done):
        for _ in range(PATIENCE):
            if done():
                return
            self.azure.advance(0.03)
        raise AssertionError("it never came to its end")

    def make(self, handler, changes=None):
        """Call `create` until the instance is ready, or the process is killed."""
        self._left = changes
        latest = []

        def made():
            if not latest or latest[-1].state is InstanceState.PROVISIONING:
                latest.append(handler.create(self.request))
            else:
                latest.append(handler.describe([latest[-1].id])[latest[-1].id])
            return latest[-1].state is InstanceState.READY

        self.until(made)
        return latest[-1]

    def remove(self, handler, id, changes=None):
        self._left = changes

        def removed():
            if handler.describe([id])[id].state is InstanceState.ABSENT:
                return True
            assert handler.delete([id]) == {id: None}
            return False

        self.until(removed)

    def sweep(self, handler):
        """Delete everything with the owner's tags, like a sweep without database rows."""

        def swept():
            left = [each.id for each in handler.list_owned(Owner("here"))]
            handler.delete(left)
            return not left

        self.until(swept)
        self.azure.advance(1)  # parts deleted with a machine are deleted a little later


@pytest.mark.parametrize("case", CASES)
def test_creation_killed_after_each_change_continues(stage, case):
    for changes in itertools.count():
        stage.begin(case)
        try:
            stage.make(stage.handler(), changes)
            break
        except KilledError:
            ready = stage.make(stage.handler())
        assert ready.addresses
        kinds = [each["type"] for each in stage.azure.inventory() if each["name"] == "occopus-1"]
        assert len(kinds) == len(set(kinds)), "a part was made twice"
        stage.remove(stage.handler(), ready.id)
        assert stage.things() == stage.users, f"after {changes} changes"
    assert changes >= 1


@pytest.mark.parametrize("case", CASES)
def test_creation_killed_after_each_change_is_swept(stage, case):
    for changes in itertools.count():
        stage.begin(case)
        try:
            stage.make(stage.handler(), changes)
            break
        except KilledError:
            stage.sweep(stage.handler())
        assert stage.things() == stage.users, f"after {changes} changes"
    assert changes >= 1


@pytest.mark.parametrize("case", CASES)
def test_deletion_killed_after_each_change_continues(stage, case):
    for changes in itertools.count():
        stage.begin(case)
        id = stage.make(stage.handler()).id
        try:
            stage.remove(stage.handler(), id, changes)
            break
        except KilledError:
            stage.remove(stage.handler(), id)
        assert stage.things() == stage.users, f"after {changes} changes"
    assert changes >= 1
