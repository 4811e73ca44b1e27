"""The stand-in's virtual machines and their parts, through Microsoft's own clients."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest
from azure.core.exceptions import HttpResponseError

from occopus_resource_azure.testing import GROUP, REGION, AzureCloud, Fault, known
from occopus_resource_azure.testing.clients import clients

MACHINE = "Microsoft.Compute/virtualMachines"


@pytest.fixture
def clock():
    return SimpleNamespace(now=1000.0)


@pytest.fixture
def azure(clock):
    with AzureCloud(lambda: clock.now) as cloud:
        yield cloud


@pytest.fixture
def sdk(azure):
    with clients(azure) as made:
        yield made


@pytest.fixture
def later(clock):
    """Ends all operations in progress."""

    def later(seconds=10.0):
        clock.now += seconds

    return later


def refusal(call, *arguments, **options):
    with pytest.raises(HttpResponseError) as caught:
        list(call(*arguments, **options) or [])  # lists are lazy
    return caught.value.status_code, caught.value.error.code


class Parts:
    """Makes the parts of a machine."""

    def __init__(self, azure, sdk, later):
        self.azure, self.sdk, self.later = azure, sdk, later
        self.subnet = azure.add_network("net", default="10.0.0.0/24")["properties"]["subnets"][0]["id"]

    def address(self, name="ip"):
        body = {"location": REGION, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}
        return self.sdk.network.public_ip_addresses.begin_create_or_update(GROUP, name, body).result()

    def group(self, name="nsg"):
        rule = {"protocol": "Tcp", "access": "Allow", "priority": 100, "direction": "Inbound"}
        rule |= {"sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*"}
        rules = [{"name": "ssh", "properties": {**rule, "destinationPortRange": "22"}}]
        body = {"location": REGION, "properties": {"securityRules": rules}}
        return self.sdk.network.network_security_groups.begin_create_or_update(GROUP, name, body).result()

    def nic(self, name="nic", address=None, group=None, delete_option="Delete"):
        properties = {"subnet": {"id": self.subnet}}
        if address:
            properties["publicIPAddress"] = {"id": address, "properties": {"deleteOption": delete_option}}
        body = {"location": REGION, "properties": {"ipConfigurations": [{"name": "c", "properties": properties}]}}
        if group:
            body["properties"]["networkSecurityGroup"] = {"id": group}
        return self.sdk.network.network_interfaces.begin_create_or_update(GROUP, name, body).result()

    def body(self, nic, delete_option="Delete", **properties):
        image = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
        os_disk = {"createOption": "FromImage", "deleteOption": delete_option}
        whole = {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "storageProfile": {"imageReference": image, "osDisk": os_disk},
            "osProfile": {"computerName": "m", "adminUsername": "azureuser", "adminPassword": "Secret-123456"},
            "networkProfile": {"networkInterfaces": [{"id": nic, "properties": {"deleteOption": delete_option}}]},
            **properties,
        }
        return {"location": REGION, "tags": {"occopus-token": "t"}, "properties": whole}

    def machine(self, name="vm", **properties):
        nic = self.nic(f"{name}-nic").id
        body = self.body(nic, **properties)
        return self.sdk.compute.virtual_machines.begin_create_or_update(GROUP, name, body).result()


@pytest.fixture
def parts(azure, sdk, later):
    return Parts(azure, sdk, later)


def codes(machine):
    return [status.code for status in machine.instance_view.statuses]


def test_a_machine_is_made_and_runs(azure, sdk, parts, later):
    assert parts.machine().provisioning_state == "Creating"
    view = sdk.compute.virtual_machines.get(GROUP, "vm", expand="instanceView")
    assert codes(view) == ["ProvisioningState/creating"]
    later()
    view = sdk.compute.virtual_machines.get(GROUP, "vm", expand="instanceView")
    assert codes(view) == ["ProvisioningState/succeeded", "PowerState/running"]
    assert view.storage_profile.os_disk.managed_disk.id.endswith(view.storage_profile.os_disk.name)
    assert sdk.network.network_interfaces.get(GROUP, "vm-nic").virtual_machine.id == view.id
    assert sdk.compute.virtual_machines.get(GROUP, "vm").instance_view is None


def test_the_poller_follows_an_operation_to_its_end(azure, sdk, parts, later):
    azure.account.poll_seconds = 1
    poller = sdk.compute.virtual_machines.begin_create_or_update(GROUP, "vm", parts.body(parts.nic().id), polling=True)
    later()
    assert poller.result().provisioning_state == "Succeeded"
    poller = sdk.compute.virtual_machines.begin_delete(GROUP, "vm", polling=True)
    later()
    assert poller.result() is None


def test_a_failed_allocation_fails_the_operation_and_leaves_the_machine(azure, sdk, parts, later):
    azure.account.poll_seconds = 1
    azure.set_faults([known("AllocationFailed")])
    poller = sdk.compute.virtual_machines.begin_create_or_update(GROUP, "vm", parts.body(parts.nic().id), polling=True)
    later()
    with pytest.raises(HttpResponseError) as caught:
        poller.result()
    assert (caught.value.status_code, caught.value.error.code) == (200, "AllocationFailed")
    view = sdk.compute.virtual_machines.get(GROUP, "vm", expand="instanceView")
    assert view.provisioning_state == "Failed"
    assert codes(view) == ["ProvisioningState/failed/AllocationFailed"]
    sdk.compute.virtual_machines.begin_delete(GROUP, "vm")
    later()
    later()
    assert [each["type"] for each in azure.inventory()] == ["Microsoft.Network/virtualNetworks"]


def test_a_put_is_repeated_without_a_second_machine(azure, sdk, parts, later):
    parts.machine()
    first = sdk.compute.virtual_machines.get(GROUP, "vm").vm_id
    assert parts.machine().vm_id == first
    later()
    assert parts.machine().vm_id == first
    assert len([each for each in azure.inventory() if each["type"] == MACHINE]) == 1


def test_unchangeable_properties_are_refused(azure, sdk, parts, later):
    machine = parts.machine()
    later()
    nic = machine.network_profile.network_interfaces[0].id
    other = {"computerName": "m", "adminUsername": "somebody", "adminPassword": "Secret-123456"}
    create = sdk.compute.virtual_machines.begin_create_or_update
    assert refusal(create, GROUP, "vm", parts.body(nic, osProfile=other)) == (409, "PropertyChangeNotAllowed")
    elsewhere = {**parts.body(nic), "location": "eastus"}
    assert refusal(create, GROUP, "vm", elsewhere) == (409, "InvalidResourceLocation")


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"hardwareProfile": {"vmSize": "huge"}}, (400, "InvalidParameter")),
        ({"osProfile": {"adminUsername": "root", "adminPassword": "Secret-123456"}}, (400, "InvalidParameter")),
        ({"osProfile": {"adminUsername": "azureuser", "adminPassword": "weak"}}, (400, "InvalidParameter")),
        ({"osProfile": {"adminUsername": "azureuser"}}, (400, "InvalidParameter")),
        ({"storageProfile": {}}, (400, "InvalidParameter")),
        (
            {"storageProfile": {"imageReference": {"publisher": "no-such", "offer": "o", "sku": "s", "version": "v"}}},
            (404, "PlatformImageNotFound"),
        ),
        ({"storageProfile": {"imageReference": {"id": "/subscriptions/s/no-such"}}}, (404, "NotFound")),
        ({"networkProfile": {"networkInterfaces": []}}, (400, "InvalidParameter")),
        ({"networkProfile": {"networkInterfaces": [{"id": "/subscriptions/s/x"}]}}, (404, "NotFound")),
        ({"evictionPolicy": "Delete"}, (400, "InvalidParameter")),
    ],
)
def test_an_invalid_machine_is_refused(azure, sdk, parts, later, change, answer):
    body = parts.body(parts.nic().id, **change)
    assert refusal(sdk.compute.virtual_machines.begin_create_or_update, GROUP, "vm", body) == answer
    assert MACHINE not in [each["type"] for each in azure.inventory()]


@pytest.mark.parametrize(("size", "accepted"), [(65535, True), (65536, False)])
def test_custom_data_has_a_limit_and_is_never_returned(azure, sdk, parts, size, accepted):
    profile = {"computerName": "m", "adminUsername": "azureuser", "adminPassword": "Secret-123456"}
    profile["customData"] = base64.b64encode(b"x" * size).decode()
    body = parts.body(parts.nic().id, osProfile=profile)
    create = sdk.compute.virtual_machines.begin_create_or_update
    if not accepted:
        assert refusal(create, GROUP, "vm", body) == (400, "InvalidParameter")
        return
    made = create(GROUP, "vm", body).result()
    assert made.os_profile.custom_data is None
    assert made.os_profile.admin_password is None
    assert azure.secrets_of(made.id)["customData"] == profile["customData"]


def test_power_states(sdk, parts, later):
    machines = sdk.compute.virtual_machines
    parts.machine()
    later()
    for call, during, after in (
        (machines.begin_power_off, "stopping", "stopped"),
        (machines.begin_start, "starting", "running"),
        (machines.begin_deallocate, "deallocating", "deallocated"),
    ):
        call(GROUP, "vm")
        assert codes(machines.get(GROUP, "vm", expand="instanceView"))[1] == f"PowerState/{during}"
        assert refusal(machines.begin_restart, GROUP, "vm") == (409, "Conflict")
        later()
        assert codes(machines.get(GROUP, "vm", expand="instanceView"))[1] == f"PowerState/{after}"
        assert machines.instance_view(GROUP, "vm").statuses[1].code == f"PowerState/{after}"


def test_a_deletion_follows_the_delete_options(azure, sdk, parts, later):
    address = parts.address().id
    later()
    nic = parts.nic(address=address).id
    sdk.compute.virtual_machines.begin_create_or_update(GROUP, "vm", parts.body(nic))
    later()
    sdk.compute.virtual_machines.begin_delete(GROUP, "vm")
    assert sdk.compute.virtual_machines.get(GROUP, "vm").provisioning_state == "Deleting"
    later()
    later()
    assert [each["type"] for each in azure.inventory()] == ["Microsoft.Network/virtualNetworks"]
    assert refusal(sdk.compute.virtual_machines.get, GROUP, "vm") == (404, "ResourceNotFound")


def test_a_deletion_keeps_detached_parts(azure, sdk, parts, later):
    address = parts.address().id
    later()
    nic = parts.nic(address=address, delete_option="Detach").id
    sdk.compute.virtual_machines.begin_create_or_update(GROUP, "vm", parts.body(nic, delete_option="Detach"))
    later()
    sdk.compute.virtual_machines.begin_delete(GROUP, "vm")
    later()
    later()
    types = {each["type"].rpartition("/")[2] for each in azure.inventory()}
    assert types == {"virtualNetworks", "networkInterfaces", "publicIPAddresses", "disks"}


def test_parts_in_use_cannot_be_deleted(azure, sdk, parts, later):
    network = sdk.network
    address, group = parts.address().id, parts.group().id
    later()
    nic = parts.nic(address=address, group=group).id
    machine = sdk.compute.virtual_machines.begin_create_or_update(
        GROUP, "vm", parts.body(nic, delete_option="Detach")
    ).result()
    later()
    disk = sdk.compute.virtual_machines.get(GROUP, "vm").storage_profile.os_disk.name
    assert refusal(network.network_interfaces.begin_delete, GROUP, "nic") == (400, "NicInUse")
    assert refusal(sdk.compute.disks.begin_delete, GROUP, disk) == (409, "OperationNotAllowed")
    sdk.compute.virtual_machines.begin_delete(GROUP, machine.name)
    assert refusal(network.network_interfaces.begin_delete, GROUP, "nic") == (400, "NicInUse")
    later()
    network.network_interfaces.begin_delete(GROUP, "nic")
    for call, name, code in (
        (network.public_ip_addresses.begin_delete, "ip", "PublicIPAddressCannotBeDeleted"),
        (network.network_security_groups.begin_delete, "nsg", "InUseNetworkSecurityGroupCannotBeDeleted"),
        (network.virtual_networks.begin_delete, "net", "InUseSubnetCannotBeDeleted"),
    ):
        assert refusal(call, GROUP, name) == (400, code)  # until the deletion of the NIC has ended
    later()
    later()
    network.network_security_groups.begin_delete(GROUP, "nsg")
    network.virtual_networks.begin_delete(GROUP, "net")
    sdk.compute.disks.begin_delete(GROUP, disk)
    later()
    assert azure.inventory() == []


def test_a_nic_waits_for_its_references(sdk, parts, later):
    address = parts.address().id
    create = sdk.network.network_interfaces.begin_create_or_update
    configuration = {"name": "c", "properties": {"subnet": {"id": parts.subnet}, "publicIPAddress": {"id": address}}}
    body = {"location": REGION, "properties": {"ipConfigurations": [configuration]}}
    with pytest.raises(HttpResponseError) as caught:
        create(GROUP, "nic", body)
    assert (caught.value.status_code, caught.value.error.code) == (429, "RetryableError")
    assert caught.value.error.details[0].code == "ReferencedResourceNotProvisioned"
    later()
    assert create(GROUP, "nic", body).result().provisioning_state == "Succeeded"
    body["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]["id"] = f"{address}-absent"
    assert refusal(create, GROUP, "other", body) == (400, "InvalidResourceReference")


def test_a_failed_machine_keeps_its_nic_reserved(azure, sdk, parts, later):
    azure.account.times["nic_reserved"] = 180.0
    azure.set_faults([known("AllocationFailed")])
    nic = parts.nic().id
    sdk.compute.virtual_machines.begin_create_or_update(GROUP, "vm", parts.body(nic, delete_option="Detach"))
    later()
    sdk.compute.virtual_machines.begin_delete(GROUP, "vm")
    later()
    assert refusal(sdk.network.network_interfaces.begin_delete, GROUP, "nic") == (400, "NicReservedForAnotherVm")
    later(200)
    sdk.network.network_interfaces.begin_delete(GROUP, "nic")
    later()
    assert "nic" not in [each["name"] for each in azure.inventory()]


def test_limits_of_the_region(azure, sdk, parts, later):
    create = sdk.compute.virtual_machines.begin_create_or_update
    azure.limits.cores = 3
    parts.machine("one")
    assert refusal(create, GROUP, "two", parts.body(parts.nic("two-nic").id)) == (409, "OperationNotAllowed")
    azure.limits.cores = None
    azure.limits.sizes = {REGION: ["Standard_B2s"]}
    assert refusal(create, GROUP, "two", parts.body(parts.nic("two-nic").id)) == (409, "SkuNotAvailable")
    azure.limits.public_ips = 0
    with pytest.raises(HttpResponseError) as caught:
        parts.address()
    assert (caught.value.status_code, caught.value.error.code) == (400, "PublicIPCountLimitReached")


def test_only_the_list_of_the_subscription_has_run_time_status(azure, sdk, parts, later):
    azure.limits.page_size = 2
    for name in ("a", "b", "c", "d", "e"):
        parts.machine(name)
    later()
    listed = list(sdk.compute.virtual_machines.list(GROUP))
    assert [each.name for each in listed] == ["a", "b", "c", "d", "e"]
    assert {each.instance_view for each in listed} == {None}
    status = list(sdk.compute.virtual_machines.list_all(status_only="true"))
    assert [codes(each)[1] for each in status] == ["PowerState/running"] * 5
    assert azure.calls()["GET Microsoft.Compute/virtualMachines (list)"] == 6
    assert refusal(sdk.compute.virtual_machines.list, GROUP, expand="instanceView") == (400, "BadRequest")


def test_boot_diagnostics(azure, sdk, parts, later):
    parts.machine("plain")
    parts.machine("logged", diagnosticsProfile={"bootDiagnostics": {"enabled": True}})
    later()
    data = sdk.compute.virtual_machines.retrieve_boot_diagnostics_data
    assert refusal(data, GROUP, "plain") == (409, "OperationNotAllowed")
    assert data(GROUP, "logged").serial_console_log_blob_uri.startswith(azure.endpoint)


def test_a_spot_machine_can_be_evicted(azure, sdk, parts, later):
    parts.machine("kept", priority="Spot")
    parts.machine("gone", priority="Spot", evictionPolicy="Delete", billingProfile={"maxPrice": 0.1})
    later()
    for name in ("kept", "gone"):
        sdk.compute.virtual_machines.simulate_eviction(GROUP, name)
    later()
    kept = sdk.compute.virtual_machines.get(GROUP, "kept", expand="instanceView")
    assert codes(kept)[1] == "PowerState/deallocated"
    assert kept.eviction_policy == "Deallocate"
    assert "gone" not in [each["name"] for each in azure.inventory()]


def test_a_stuck_operation_never_ends(azure, sdk, parts, later):
    azure.set_faults([Fault("stuck", method="PUT", type=MACHINE, name="vm")])
    parts.machine()
    later(3000)
    assert sdk.compute.virtual_machines.get(GROUP, "vm").provisioning_state == "Creating"
    sdk.compute.virtual_machines.begin_delete(GROUP, "vm")
    later()
    assert MACHINE not in [each["type"] for each in azure.inventory()]
