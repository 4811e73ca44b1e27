"""States and addresses of machines."""

from __future__ import annotations

import pytest

from occopus_core.api import AddressKind, InstanceState
from occopus_resource_azure import tags
from occopus_resource_azure.vm.view import Network, Parts, instance, no_room

ID = "/subscriptions/s/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/occopus-1"
NIC = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces/occopus-1"
IP = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/publicIPAddresses/occopus-1"
MARKS = {"occopus-installation": "here", "Occopus-Token": "occopus-1", "occopus-type": "azure_vm"}
NETWORK = Network(
    {
        NIC.lower(): {
            "id": NIC,
            "properties": {
                "ipConfigurations": [{"properties": {"privateIPAddress": "10.0.0.4", "publicIPAddress": {"id": IP}}}]
            },
        }
    },
    {IP.lower(): {"id": IP, "properties": {"ipAddress": "20.0.0.1"}}},
)


def machine(provisioning, *codes, message=""):
    statuses = [{"code": code, "message": message} for code in codes]
    properties = {
        "provisioningState": provisioning,
        "networkProfile": {"networkInterfaces": [{"id": NIC.upper()}]},
        "instanceView": {"statuses": statuses} if codes else None,
    }
    return {"id": ID, "tags": MARKS, "properties": properties}


def seen(*arguments, **more):
    return instance("occopus-1", Parts(vms=[machine(*arguments, **more)]), NETWORK)


@pytest.mark.parametrize(
    ("provisioning", "power", "state"),
    [
        ("Creating", "", InstanceState.PENDING),
        ("Succeeded", "starting", InstanceState.PENDING),
        ("Succeeded", "running", InstanceState.READY),
        ("Updating", "running", InstanceState.READY),
        ("Succeeded", "stopping", InstanceState.READY),
        ("Succeeded", "stopped", InstanceState.STOPPED),
        ("Succeeded", "deallocating", InstanceState.STOPPED),
        ("Succeeded", "deallocated", InstanceState.STOPPED),
        ("Succeeded", "unknown", InstanceState.UNKNOWN),
        ("Succeeded", "", InstanceState.UNKNOWN),
        ("Deleting", "running", InstanceState.DELETING),
        ("Failed", "running", InstanceState.FAILED),
        ("Canceled", "", InstanceState.FAILED),
    ],
)
def test_states(provisioning, power, state):
    found = seen(provisioning, *([f"PowerState/{power}"] if power else []))
    assert found.state is state
    assert found.raw_state == (f"{provisioning}/{power}" if power else provisioning)


def test_a_failed_machine_says_why():
    found = seen("Failed", "ProvisioningState/failed/OSProvisioningTimedOut", message="OS Provisioning did not\nfinish")
    assert found.state is InstanceState.FAILED
    assert found.reason == "OSProvisioningTimedOut: OS Provisioning did not finish"


@pytest.mark.parametrize("code", ["AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest"])
def test_no_capacity_is_raised_by_the_next_create(code):
    found = seen("Failed", f"ProvisioningState/failed/{code}", message="Allocation failed.")
    assert found.state is InstanceState.PROVISIONING
    assert code in found.reason


def test_a_machine_that_ran_had_room():
    failed = machine("Failed", "ProvisioningState/failed/AllocationFailed", "PowerState/deallocated")
    assert no_room(failed) == ""
    assert instance("occopus-1", Parts(vms=[failed]), NETWORK).state is InstanceState.FAILED


def test_addresses_are_found_in_any_case_of_their_ids():
    found = seen("Succeeded", "PowerState/running")
    assert [(each.value, each.kind) for each in found.addresses] == [
        ("20.0.0.1", AddressKind.PUBLIC),
        ("10.0.0.4", AddressKind.PRIVATE),
    ]


def test_a_machine_without_an_address_is_not_ready_yet():
    parts = Parts(vms=[machine("Succeeded", "PowerState/running")])
    assert instance("occopus-1", parts, Network({}, {})).state is InstanceState.PENDING


def test_parts_without_a_machine_are_unfinished_or_a_loss():
    vnet = {"id": "/x", "tags": MARKS, "properties": {}}
    assert instance("occopus-1", Parts(vnets=[vnet]), NETWORK).state is InstanceState.PROVISIONING
    marked = {**vnet, "tags": tags.with_stage(MARKS, tags.MADE)}
    found = instance("occopus-1", Parts(vnets=[marked]), NETWORK)
    assert found.state is InstanceState.FAILED
    assert found.owner is not None


def test_no_parts_are_absent():
    assert instance("occopus-1", Parts(), NETWORK).may_be_hidden
