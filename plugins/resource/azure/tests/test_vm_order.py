"""The request bodies of machines, and descriptions that are refused."""

from __future__ import annotations

import base64

import pytest

from occopus_core.api import Context, CreateRequest, Owner, PermanentError
from occopus_resource_azure.vm import order

OWNER = Owner("here", "shop", "web", "id-1")
BASE = {
    "endpoint": "https://management.azure.com",
    "resource_group": "mine",
    "location": "westeurope",
    "vm_size": "Standard_B1s",
    "publisher": "Canonical",
    "offer": "ubuntu",
    "sku": "server",
    "version": "latest",
    "username": "me",
    "password": "correct-Horse-7",
}


def request(token="occopus-1", user_data=None, **resource):
    section = {key: value for key, value in {**BASE, **resource}.items() if value is not None}
    return CreateRequest(token, OWNER, section, Context(user_data=user_data))


def properties(**resource):
    return order.vm_body(request(**resource), "/nic")["properties"]


def test_all_parts_are_deleted_with_the_machine():
    body = order.vm_body(request(), "/nic")
    assert body["properties"]["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
    assert body["properties"]["networkProfile"]["networkInterfaces"][0]["properties"]["deleteOption"] == "Delete"
    address = order.nic_body(request(), "/subnet", {"id": "/publicIPAddresses/x"})["properties"]["ipConfigurations"][0]
    assert address["properties"]["publicIPAddress"]["properties"]["deleteOption"] == "Delete"


def test_an_interface_of_the_user_is_kept():
    interfaces = properties(nic_name="mine")["networkProfile"]["networkInterfaces"]
    assert interfaces[0]["properties"]["deleteOption"] == "Detach"


def test_owner_and_token_are_on_everything():
    asked = request(tags={"project": "shop"})
    for body in (
        order.vm_body(asked, "/nic"),
        order.nic_body(asked, "/subnet", None),
        order.ip_body(asked),
        order.nsg_body(asked),
    ):
        assert body["tags"] == {
            "project": "shop",
            "occopus-installation": "here",
            "occopus-infra_id": "shop",
            "occopus-node_name": "web",
            "occopus-node_id": "id-1",
            "occopus-token": "occopus-1",
            "occopus-type": "azure_vm",
        }


def test_custom_data_is_encoded_and_limited():
    body = order.vm_body(request(user_data="#cloud-config\n"), "/nic")["properties"]
    assert base64.b64decode(body["osProfile"]["customData"]) == b"#cloud-config\n"
    order.check(request(user_data="x" * 65535))
    with pytest.raises(PermanentError, match="65536 bytes"):
        order.check(request(user_data="x" * 65536))
    with pytest.raises(PermanentError, match="customdata makes 65536"):
        order.check(request(customdata="x" * 65536))


def test_customdata_is_used_without_a_contextualisation():
    assert base64.b64decode(properties(customdata="echo")["osProfile"]["customData"]) == b"echo"
    with pytest.raises(PermanentError, match="customdata"):
        order.check(request(customdata="echo", user_data="#cloud-config"))


def test_with_a_key_alone_passwords_are_disabled():
    linux = properties(password=None, ssh_key_data="ssh-ed25519 AAAA\n")["osProfile"]["linuxConfiguration"]
    assert linux["disablePasswordAuthentication"] is True
    assert linux["ssh"]["publicKeys"] == [{"path": "/home/me/.ssh/authorized_keys", "keyData": "ssh-ed25519 AAAA"}]
    both = properties(ssh_key_data="ssh-ed25519 AAAA")["osProfile"]
    assert both["linuxConfiguration"]["disablePasswordAuthentication"] is False
    assert both["adminPassword"] == "correct-Horse-7"


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ({}, "occopus-1"),
        ({"server_name": "web"}, "web"),
        ({"publisher": "MicrosoftWindowsServer", "offer": "WindowsServer"}, "occopus-1"),
    ],
)
def test_host_names(resource, name):
    assert properties(**resource)["osProfile"]["computerName"] == name


def test_windows_has_short_host_names():
    token = "occopus-0123456789ab-cdef-0123"
    windows = {"publisher": "MicrosoftWindowsServer", "offer": "WindowsServer"}
    name = order.vm_body(request(token, **windows), "/nic")["properties"]["osProfile"]["computerName"]
    assert len(name) == 15
    with pytest.raises(PermanentError, match="1 to 15"):
        order.check(request(server_name="a-name-of-16-chr", **windows))


def test_options():
    body = order.vm_body(
        request(os_disk_size="64", os_disk_type="Premium_LRS", zone=2, boot_diagnostics="false", identity="system"),
        "/nic",
    )
    disk = body["properties"]["storageProfile"]["osDisk"]
    assert (disk["diskSizeGB"], disk["managedDisk"]) == (64, {"storageAccountType": "Premium_LRS"})
    assert body["zones"] == ["2"]
    assert body["identity"] == {"type": "SystemAssigned"}
    assert body["properties"]["diagnosticsProfile"] == {"bootDiagnostics": {"enabled": False}}
    nic = order.nic_body(request(accelerated_networking="True"), "/subnet", None)
    assert nic["properties"]["enableAcceleratedNetworking"] is True


def test_a_gallery_image_replaces_the_marketplace_image():
    assert properties(image_id="/x/galleries/g")["storageProfile"]["imageReference"] == {"id": "/x/galleries/g"}


@pytest.mark.parametrize(
    ("spot", "price"),
    [(True, -1.0), ("true", -1.0), ({"max_price": 0.05}, 0.05), ({"priority": "spot", "max_price": -1}, -1.0)],
)
def test_spot_machines_are_deleted_when_they_are_evicted(spot, price):
    found = properties(spot=spot)
    assert (found["priority"], found["evictionPolicy"], found["billingProfile"]) == (
        "Spot",
        "Delete",
        {"maxPrice": price},
    )


def test_regular_machines_are_not_spot():
    assert "priority" not in properties()
    assert "priority" not in properties(spot={"priority": "Regular"})


def test_rules_open_the_named_ports():
    rules = order.nsg_body(request(public_ip_needed=True, open_ports=[22, "8000-8100", "53/UDP", "icmp"]))
    found = [(rule["properties"]["protocol"], rule["properties"]["destinationPortRange"]) for rule in _rules(rules)]
    assert found == [("Tcp", "22"), ("Tcp", "8000-8100"), ("Udp", "53"), ("Icmp", "*")]
    assert len({rule["properties"]["priority"] for rule in _rules(rules)}) == 4


def _rules(body):
    return body["properties"]["securityRules"]


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"open_ports": [22]}, "public_ip_needed"),
        ({"public_ip_needed": "perhaps"}, "true or false"),
        ({"public_ip_needed": True, "open_ports": ["70000"]}, "no port"),
        ({"public_ip_needed": True, "nic_name": "mine"}, "nic_name"),
        ({"resource_group": None, "vnet_name": "mine"}, "resource_group"),
        ({"os_disk_size": "big"}, "os_disk_size"),
        ({"spot": {"priority": "Cheap"}}, "priority"),
        ({"spot": {"max_price": "x"}}, "max_price"),
        ({"identity": ["me"]}, "identity"),
        ({"server_name": "a_b"}, "server_name"),
        ({"tags": {"Occopus-token": "x"}}, "reserved"),
        ({"tags": {"a/b": "x"}}, "tags"),
        ({"tags": {str(number): "x" for number in range(45)}}, "50"),
    ],
)
def test_invalid_values_are_refused_with_their_key(resource, words):
    with pytest.raises(PermanentError, match=words):
        order.check(request(**resource))


def test_a_token_that_is_no_valid_name_of_a_container_group_gets_a_digest():
    body = order.vm_body(request("t--1-"), "/nic")
    assert body["properties"]["storageProfile"]["osDisk"]["name"].startswith("occopus-")
    assert body["tags"]["occopus-token"] == "t--1-"
