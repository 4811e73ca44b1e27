"""The checker of exchanges: accepts valid ones and finds violations."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError

from occopus_resource_azure.testing import GROUP, REGION, AzureCloud
from occopus_resource_azure.testing.clients import clients
from occopus_resource_azure.testing.contract import checker
from occopus_resource_azure.testing.wire import Answer, Path, Request

pytestmark = pytest.mark.skipif(checker() is None, reason="Microsoft's OpenAPI documents are not beside the project")

HERE = f"/subscriptions/s/resourceGroups/{GROUP}/providers"
ADDRESS = f"{HERE}/Microsoft.Network/publicIPAddresses/ip"
MACHINE = f"{HERE}/Microsoft.Compute/virtualMachines/vm"
GOOD = {"location": REGION, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}


def found(method, path, status, answer=None, *, body=None, headers=None, **query):
    query = {"api-version": "2024-01-01", **query}
    request = Request(method, path, query, {}, body, Path.parse(path))
    return checker().check(request, Answer(status, answer, headers or {}))


def test_valid_exchanges_pass():
    assert found("PUT", ADDRESS, 201, {**GOOD, "name": "ip"}, body=GOOD) == []
    assert found("DELETE", ADDRESS, 202, headers={"Location": "https://localhost/"}) == []
    assert found("GET", ADDRESS, 404, {"error": {"code": "NotFound", "message": "gone"}}) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({**GOOD, "propertys": {}}, "propertys"),
        ({**GOOD, "properties": {"public_ip_allocation_method": "Static"}}, "public_ip_allocation_method"),
        ({**GOOD, "properties": {"publicIPAllocationMethod": "Fixed"}}, "Fixed"),
        ({**GOOD, "properties": {"idleTimeoutInMinutes": "4"}}, "'4'"),
        ({**GOOD, "tags": {"a": 1}}, "1 is not of type"),
        ({**GOOD, "etag": "x"}, "etag"),
        (None, "no body"),
    ],
)
def test_an_invalid_request_is_found(body, word):
    (line,) = found("PUT", ADDRESS, 201, GOOD, body=body)
    assert line.startswith(f"PUT {ADDRESS}: request:")
    assert word in line


def test_a_read_only_property_in_a_request_is_found():
    body = {"location": REGION, "properties": {"provisioningState": "Succeeded"}}
    assert "provisioningState" in found("PUT", MACHINE, 201, {"location": REGION}, body=body)[0]


@pytest.mark.parametrize(
    ("method", "status", "answer", "word"),
    [
        ("GET", 200, {"location": REGION, "unheard": 1}, "unheard"),
        ("GET", 200, {"properties": {}}, "location"),
        ("GET", 201, {"location": REGION}, "status 201 is not documented"),
        ("DELETE", 202, None, "leads to no operation"),
        ("DELETE", 204, {"location": REGION}, "for which none is documented"),
        ("GET", 404, {"code": "NotFound"}, "'error' is a required property"),
    ],
)
def test_an_invalid_answer_is_found(method, status, answer, word):
    (line,) = found(method, MACHINE, status, answer)
    assert "answer:" in line
    assert word in line


def test_an_invalid_address_is_found():
    assert "no document" in found("GET", f"{HERE}/Microsoft.Compute/unheard/x", 200, {})[0]
    assert "'$expand'" in found("GET", ADDRESS.rpartition("/")[0], 200, {"value": []}, **{"$expand": "x"})[0]
    assert "api-version is missing" in found("GET", ADDRESS, 200, GOOD, **{"api-version": None})[0]
    operation = "/subscriptions/s/providers/Microsoft.Compute/locations/x/operations/1"
    assert "'Done'" in found("GET", operation, 200, {"status": "Done"})[0]


def test_the_cloud_answers_500_and_raises_at_its_end():
    body = {**GOOD, "properties": {**GOOD["properties"], "public_ip_allocation_method": "Static"}}
    cloud = AzureCloud()
    cloud.start()
    with clients(cloud) as sdk, pytest.raises(HttpResponseError, match="AgainstTheContract"):
        sdk.network.public_ip_addresses.begin_create_or_update(GROUP, "ip", body)
    assert [line.rpartition(": ")[0].split(": ")[1] for line in cloud.violations] == ["request", "answer"]
    with pytest.raises(AssertionError, match="public_ip_allocation_method"):
        cloud.__exit__(None, None, None)
