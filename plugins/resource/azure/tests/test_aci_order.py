"""The request bodies of containers, and descriptions that are refused."""

from __future__ import annotations

import pytest

from occopus_core.api import Context, CreateRequest, Owner, PermanentError
from occopus_resource_azure import AzureAciHandler
from occopus_resource_azure.aci import order

BASE = {
    "endpoint": "https://management.azure.com",
    "resource_group": "mine",
    "location": "westeurope",
    "image": "nginx:alpine",
    "network_type": "Public",
    "memory": "1.5",
    "cpu_cores": 1,
    "os_type": "linux",
    "ports": [80, "53/UDP"],
}


def request(context=None, **resource):
    section = {key: value for key, value in {**BASE, **resource}.items() if value is not None}
    return CreateRequest("occopus-1", Owner("here", "shop", "web", "id-1"), section, context or Context())


def container(context=None, **resource):
    return order.group_body(request(context, **resource), None)["properties"]["containers"][0]["properties"]


def test_ports_are_in_both_places():
    found = order.group_body(request(), None)["properties"]
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    assert found["ipAddress"] == {"type": "Public", "ports": ports, "dnsNameLabel": "occopus-1"}
    assert found["containers"][0]["properties"]["ports"] == ports


def test_a_network_is_named_by_its_subnet_and_gives_no_public_name():
    found = order.group_body(request(network_type="pRivate"), "/subnet")["properties"]
    assert found["subnetIds"] == [{"id": "/subnet"}]
    assert found["ipAddress"]["type"] == "Private"
    assert "dnsNameLabel" not in found["ipAddress"]


def test_values_of_the_environment_are_secret():
    found = container(Context(env=("A=b=c", "EMPTY=")))["environmentVariables"]
    assert found == [{"name": "A", "secureValue": "b=c"}, {"name": "EMPTY", "value": ""}]


@pytest.mark.parametrize(
    ("command", "words"), [(("sh", "-c", "a b"), ["sh", "-c", "a b"]), ("sh -c 'a b'", ["sh", "-c", "a b"])]
)
def test_commands(command, words):
    assert container(Context(command=command))["command"] == words
    assert "command" not in container()


def test_resources():
    assert container()["resources"]["requests"] == {"cpu": 1.0, "memoryInGB": 1.5}
    found = container(gpu_type="V100", gpu_count="2")["resources"]["requests"]
    assert found["gpu"] == {"count": 2, "sku": "V100"}


def test_gpus_give_a_warning_that_azure_retired_them():
    schema = AzureAciHandler.schema()["properties"]
    for key in ("gpu_type", "gpu_count"):
        assert schema[key]["deprecated"] is True
        assert "retired" in schema[key]["description"]


def test_keywords_are_accepted_in_any_case():
    found = order.group_body(request(os_type="WINDOWS", restart_policy="onfailure"), None)["properties"]
    assert (found["osType"], found["restartPolicy"]) == ("Windows", "OnFailure")


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"ports": None}, "resource.ports"),
        ({"ports": ["80-90"]}, "no port"),
        ({"network_type": "Other"}, "Public or Private"),
        ({"os_type": "bsd"}, "Linux or Windows"),
        ({"memory": "much"}, "memory"),
        ({"cpu_cores": 0}, "cpu_cores"),
        ({"vnet_name": "net"}, "Private"),
        ({"network_type": "Private", "vnet_name": "net", "resource_group": None}, "resource_group"),
        ({"restart_policy": "Sometimes"}, "restart_policy"),
        ({"gpu_type": "V100", "gpu_count": 9}, "gpu_count"),
    ],
)
def test_invalid_values_are_refused_with_their_key(resource, words):
    with pytest.raises(PermanentError, match=words):
        order.check(request(**resource))


@pytest.mark.parametrize("context", [Context(env=("NAME",)), Context(env=("1A=x",)), Context(command="sh -c 'x")])
def test_invalid_contexts_are_refused(context):
    with pytest.raises(PermanentError, match="contextualisation"):
        order.check(request(context))
