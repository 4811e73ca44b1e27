"""The stand-in's login, faults, lists and container groups, through Microsoft's own clients."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from occopus_resource_azure.testing import CLIENT_ID, GROUP, REGION, AzureCloud, Fault, known
from occopus_resource_azure.testing.clients import clients

SERVICE = "Microsoft.ContainerInstance/containerGroups"
ADDRESS = "Microsoft.Network/publicIPAddresses"
STANDARD = {"location": REGION, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}


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
    def later(seconds=10.0):
        clock.now += seconds

    return later


def refusal(call, *arguments, **options):
    with pytest.raises(HttpResponseError) as caught:
        list(call(*arguments, **options) or [])  # lists are lazy
    return caught.value.status_code, caught.value.error.code


def address(sdk, name="ip", tags=None):
    body = {**STANDARD, "tags": tags or {}}
    return sdk.network.public_ip_addresses.begin_create_or_update(GROUP, name, body).result()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"secret": "wrong"}, "AADSTS7000215"),
        ({"client": "0cc0b005-0000-4000-8000-0000000000ff"}, "AADSTS700016"),
        ({"tenant": "0cc0b005-0000-4000-8000-0000000000ff"}, "AADSTS90002|Unable to get authority"),
    ],
)
def test_wrong_credentials(azure, options, code):
    with clients(azure, **options) as sdk, pytest.raises((ClientAuthenticationError, ValueError), match=code):
        list(sdk.resources.resource_groups.list())


def test_an_expired_secret_and_an_expired_token(azure, sdk):
    list(sdk.resources.resource_groups.list())
    azure.arm.login.forget()
    assert refusal(sdk.resources.resource_groups.list) == (401, "ExpiredAuthenticationToken")
    azure.arm.login.expired.add(CLIENT_ID)
    with clients(azure) as other, pytest.raises(ClientAuthenticationError, match="AADSTS7000222"):
        list(other.resources.resource_groups.list())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("ArmThrottled", (429, "429")),
        ("AuthorizationFailed", (403, "AuthorizationFailed")),
        ("ServerTimeout", (503, "ServerTimeout")),
        ("PublicIPCountLimitReached", (400, "PublicIPCountLimitReached")),
    ],
)
def test_a_refused_call_has_no_effect(azure, sdk, name, answer):
    azure.set_faults([known(name, type=ADDRESS)])
    assert refusal(address, sdk) == answer
    azure.set_faults([])
    assert azure.inventory() == []


@pytest.mark.parametrize("kind", ["lost_reply", "cut_reply", "foreign_reply"])
def test_a_call_with_a_broken_reply_takes_effect(azure, sdk, kind):
    azure.set_faults([Fault(kind, method="PUT", type=ADDRESS, count=1)])
    with pytest.raises((HttpResponseError, ServiceRequestError, ServiceResponseError, ValueError)):
        address(sdk)
    assert [each["name"] for each in azure.inventory()] == ["ip"]
    assert address(sdk).name == "ip"
    assert azure.calls()[f"PUT {ADDRESS}"] == 2


def test_a_subscription_without_remaining_calls_is_throttled(azure, sdk):
    azure.limits.calls = 1
    address(sdk)
    with pytest.raises(HttpResponseError) as caught:
        address(sdk)
    assert (caught.value.status_code, caught.value.error.code) == (429, "SubscriptionRequestsThrottled")
    assert caught.value.response.headers["Retry-After"] == "6"
    azure.limits.calls = None
    assert address(sdk).name == "ip"


def test_faults_match_their_selectors(azure, sdk):
    azure.set_faults([Fault("refuse", type=ADDRESS, name="b*", skip=1, count=1, status=503, code="ServerTimeout")])
    assert address(sdk, "a").name == "a"
    assert address(sdk, "b1").name == "b1"
    assert refusal(address, sdk, "b2") == (503, "ServerTimeout")
    assert address(sdk, "b3").name == "b3"


def test_a_restarted_server_keeps_its_content(azure, sdk):
    address(sdk)
    azure.stop()
    with pytest.raises(ServiceRequestError):
        address(sdk, "other")
    azure.start()
    assert [each.name for each in sdk.network.public_ip_addresses.list(GROUP)] == ["ip"]


def test_the_list_of_resources_lags(azure, sdk, later):
    azure.account.times.update(index_lag=60.0, index_forget=60.0)
    wanted = {"filter": "tagName eq 'token' and tagValue eq 't'"}
    address(sdk, "mine", {"Token": "t"})
    address(sdk, "other", {"Token": "u"})
    assert list(sdk.resources.resources.list(**wanted)) == []
    later(100)
    assert [each.name for each in sdk.resources.resources.list(**wanted)] == ["mine"]
    sdk.network.public_ip_addresses.begin_delete(GROUP, "mine")
    later()
    assert [each["name"] for each in azure.inventory()] == ["other"]
    assert [each.name for each in sdk.resources.resources.list(**wanted)] == ["mine"]
    later(100)
    assert list(sdk.resources.resources.list(**wanted)) == []
    mixed = "tagName eq 'token' and name eq 'mine'"
    assert refusal(sdk.resources.resources.list, filter=mixed) == (400, "InvalidFilterInQueryString")


def test_a_group_is_deleted_with_its_content(azure, sdk, later):
    groups = sdk.resources.resource_groups
    groups.create_or_update("mine", {"location": REGION})
    sdk.network.public_ip_addresses.begin_create_or_update("mine", "ip", STANDARD)
    groups.begin_delete("mine")
    assert groups.get("mine").properties.provisioning_state == "Deleting"
    assert refusal(groups.create_or_update, "mine", {"location": REGION}) == (409, "ResourceGroupBeingDeleted")
    later()
    assert refusal(groups.get, "mine") == (404, "ResourceGroupNotFound")
    delete = sdk.network.public_ip_addresses.begin_delete
    assert refusal(delete, "mine", "ip") == (404, "ResourceGroupNotFound")
    assert delete(GROUP, "absent").result() is None
    assert azure.inventory() == []


def container(sdk, name="cg", **properties):
    body = {
        "location": REGION,
        "containers": [
            {
                "name": "main",
                "image": "nginx",
                "ports": [{"port": 80}],
                "environment_variables": [{"name": "A", "value": "a"}, {"name": "B", "secure_value": "hush"}],
                "resources": {"requests": {"cpu": 1, "memory_in_gb": 1.5}},
            }
        ],
        "os_type": "Linux",
        "ip_address": {"type": "Public", "ports": [{"port": 80}], "dns_name_label": "label"},
        **properties,
    }
    return sdk.containers.container_groups.begin_create_or_update(GROUP, name, body).result()


def test_a_container_group_runs_and_is_deleted(azure, sdk, later):
    assert container(sdk).provisioning_state == "Pending"
    later()
    group = sdk.containers.container_groups.get(GROUP, "cg")
    assert (group.provisioning_state, group.instance_view.state) == ("Succeeded", "Running")
    assert group.ip_address.fqdn == f"label.{REGION}.azurecontainer.io"
    variables = group.containers[0].environment_variables
    assert [(each.value, each.secure_value) for each in variables] == [("a", None), (None, None)]
    (listed,) = sdk.containers.container_groups.list_by_resource_group(GROUP)
    assert listed.instance_view is None
    assert sdk.containers.containers.list_logs(GROUP, "cg", "main").content == "started nginx\n"
    sdk.containers.container_groups.stop(GROUP, "cg")
    later()
    assert sdk.containers.container_groups.get(GROUP, "cg").instance_view.state == "Stopped"
    last = sdk.containers.container_groups.begin_delete(GROUP, "cg").result()
    assert last.provisioning_state == "Succeeded"
    assert azure.inventory() == []


@pytest.mark.parametrize(
    ("behaviour", "policy", "state", "current", "detail"),
    [
        ("complete", "Never", "Succeeded", "Terminated", "Completed"),
        ("crash", "Never", "Failed", "Terminated", "Error"),
        ("crash", "Always", "Running", "Waiting", "CrashLoopBackOff"),
        ("no_image", "Always", "Pending", "Waiting", "ImagePullBackOff"),
    ],
)
def test_behaviours_of_processes(azure, sdk, later, behaviour, policy, state, current, detail):
    azure.account.behaviours["cg"] = behaviour
    container(sdk, restart_policy=policy)
    later()
    group = sdk.containers.container_groups.get(GROUP, "cg")
    now = group.containers[0].instance_view.current_state
    assert (group.instance_view.state, now.state, now.detail_status) == (state, current, detail)


def test_a_private_group_needs_a_delegated_subnet(azure, sdk, later):
    private = {"type": "Private", "ports": [{"port": 80}]}
    delegated = {"addressPrefix": "10.0.1.0/24"}
    delegated["delegations"] = [{"name": "aci", "properties": {"serviceName": SERVICE}}]
    net = azure.add_network("net", plain="10.0.0.0/24", aci=delegated)
    plain, aci = [{"id": each["id"]} for each in net["properties"]["subnets"]]
    create = {"ip_address": private, "subnet_ids": [plain]}
    with pytest.raises(HttpResponseError, match="SubnetDelegationRequired"):
        container(sdk, **create)
    assert container(sdk, **{**create, "subnet_ids": [aci]}).ip_address is None
    later()
    assert sdk.containers.container_groups.get(GROUP, "cg").ip_address.ip == "10.0.1.4"
    delete = sdk.network.virtual_networks.begin_delete
    assert refusal(delete, GROUP, "net") == (400, "InUseSubnetCannotBeDeleted")
    sdk.containers.container_groups.begin_delete(GROUP, "cg")
    delete(GROUP, "net")
    later()
    assert azure.inventory() == []


def test_a_container_group_without_room(azure, sdk):
    azure.limits.container_cores = 1
    container(sdk)
    with pytest.raises(HttpResponseError, match="ContainerGroupQuotaReached"):
        container(sdk, "other")
