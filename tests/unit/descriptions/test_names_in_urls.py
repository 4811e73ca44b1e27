"""Names and ids that become parts of URLs: what would change the path is refused, with its place."""

from __future__ import annotations

import json

import pytest

from occopus_core.api import Connection, Context, CreateRequest, Owner, PermanentError
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import Registry

REGISTRY = Registry()
SUBSCRIPTION = "0cc0b005-0000-4000-8000-000000000001"
AZURE = {"endpoint": "https://management.azure.com", "location": "westeurope", "resource_group": "g"}
VM = {
    **AZURE,
    "type": "azure_vm",
    "vm_size": "s",
    "username": "me",
    "password": "correct-Horse-7",
    "publisher": "Canonical",
    "offer": "ubuntu-24_04-lts",
    "sku": "server",
    "version": "latest",
}
CONTAINERS = {
    **AZURE,
    "type": "azure_aci",
    "image": "nginx",
    "network_type": "Private",
    "memory": 1,
    "cpu_cores": 1,
    "os_type": "linux",
}
NOVA = {"type": "nova", "endpoint": "https://nova.example:5000/v3", "image_id": "i", "flavor_name": "f"}
SIGMA = {
    "type": "cloudsigma",
    "endpoint": "https://zrh.cloudsigma.com/api/2.0",
    "libdrive_id": "d",
    "description": {"cpu": 1, "mem": 1, "vnc_password": "p"},
}
DEVIOUS = ["..", ".", "../x", "a/b", "a?b", "a#b", "a%2Fb", "a\\b", "a\n"]
AZURE_KEYS = ["resource_group", "subscription_id", "location", "vnet_name", "subnet_name"]
CASES = [
    *(
        (VM, key, value)
        for key in [*AZURE_KEYS, "nic_name", "publisher", "offer", "sku", "version"]
        for value in DEVIOUS
    ),
    *((CONTAINERS, key, value) for key in AZURE_KEYS for value in DEVIOUS),
    *((SIGMA, "libdrive_id", value) for value in DEVIOUS),
    *((NOVA, key, value) for key in ("image_id", "flavor_name", "network_id", "key_name") for value in ("..", ".")),
    (VM, "resource_group", "ends."),
    (VM, "resource_group", "g" * 91),
    (VM, "vnet_name", "_net"),
    (VM, "vnet_name", "n" * 81),
    (VM, "subscription_id", "mine"),
]


def load(section):
    lines = [f"    {key}: {json.dumps(value)}" for key, value in section.items()]
    text = "\n".join(["node_def:web:", "- resource:", *lines])
    return load_node_definitions(text.encode(), REGISTRY, name="nodes.yaml", imports=False)


@pytest.mark.parametrize(("section", "key", "value"), CASES)
def test_refused_at_import_with_the_place(section, key, value):
    wrong = {**section, key: value}
    with pytest.raises(DescriptionError) as refused:
        load(wrong)
    (problem,) = refused.value.problems
    line = [*wrong].index(key) + 3
    assert str(problem).startswith(f"nodes.yaml:{line}:{len(key) + 7}: node_def:web[0].resource.{key}: ")


@pytest.mark.parametrize(
    ("section", "right"),
    [
        (VM, {"resource_group": "my_Group.1(test)-ü", "subscription_id": SUBSCRIPTION, "location": "West Europe"}),
        (VM, {"vnet_name": "net-1.x_", "subnet_name": "default", "nic_name": "n"}),
        (VM, {"sku": 16.04, "version": "16.04.202109281", "resource_group": "{{ variables.group }}"}),
        (CONTAINERS, {"vnet_name": "net", "subnet_name": "{{ variables.subnet }}"}),
        (NOVA, {"image_id": "Ubuntu 24.04 / Noble", "key_name": "me@home", "network_id": "..."}),
        (SIGMA, {"libdrive_id": "d446038b-784d-4ae4-9a4d-46c7b51b403d"}),
    ],
)
def test_what_clouds_allow_is_accepted(section, right):
    assert load({**section, **right})


@pytest.mark.parametrize(
    ("section", "key"),
    [
        *((VM, key) for key in AZURE_KEYS),
        (VM, "sku"),
        *((CONTAINERS, key) for key in AZURE_KEYS),
        (SIGMA, "libdrive_id"),
    ],
)
def test_what_a_template_has_become_is_refused_before_anything_is_made(section, key):
    made = {**section, key: ".."}
    settings = {
        name: value for name, value in made.items() if name in ("endpoint", "subscription_id", "resource_group")
    }
    handler = REGISTRY.resource(section["type"])(Connection(section["type"], settings, {"username": "u"}))
    request = CreateRequest("occopus-1", Owner("here", "i", "web", "n"), made, Context())
    calls = [handler.check] if section is SIGMA else [handler.check, handler.create]
    for call in calls:
        with pytest.raises(PermanentError, match=rf"resource\.{key}: '\.\.' is not "):
            call(request)
