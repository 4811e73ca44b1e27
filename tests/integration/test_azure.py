"""The commands on an Azure: life cycles of machines and containers, missing capacity, and every mistake as one line."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import socket
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "azure"
PING = """\
infra_name: azure-ping
user_id: somebody@example.org
nodes:
  - &R
    name: ping-receiver
    type: receiver
    scaling: {min: 1, max: 3}
    variables: {message: "I am the receiver."}
  - &S
    name: ping-sender
    type: sender
    variables: {message: "I am the sender.", targetnode: ping-receiver}
dependencies:
  - connection: [*S, *R]
"""
MACHINES = """\
'node_def:receiver':
  - resource: &resource
      type: azure_vm
      endpoint: %(endpoint)s
      resource_group: %(group)s
      location : %(region)s
      vm_size: Standard_B1s
      publisher : Canonical
      offer : ubuntu-24_04-lts
      sku : server
      version : latest
      username : occopus
      password : correct-Horse-7
      public_ip_needed : True
      open_ports: [icmp]
      tags: {project: ping}
    contextualisation:
      type: cloudinit
      context_template: !yaml_import {url: file://receiver.yaml}
'node_def:sender':
  - resource: *resource
    contextualisation:
      type: cloudinit
      context_template: !yaml_import {url: file://sender.yaml}
"""
RECEIVER = """\
write_files:
- content: "{{variables.message}}\\n"
  path: /tmp/message.txt
"""
SENDER = """\
runcmd:
- ping {{getip(variables.targetnode)}} -c 5 > /tmp/ping-result.txt 2>&1
"""
NGINX = """\
infra_name: azure-nginx
user_id: somebody@example.org
nodes:
  - &R
    name: nginx-server
    type: nginx
    scaling: {min: 1, max: 3}
  - &S
    name: nginx-client
    type: client
    variables: {message: "I am the client.", targetnode: nginx-server}
dependencies:
  - connection: [*S, *R]
"""
CONTAINERS = """\
'node_def:nginx':
  - resource: &resource
      type: azure_aci
      endpoint: %(endpoint)s
      resource_group: %(group)s
      location: %(region)s
      memory: 1
      cpu_cores: 0.5
      os_type: linux
      image: nginx:alpine
      network_type: Public
      ports: [%(port)s]
    health_check:
      ping: False
      ports: [%(port)s]
'node_def:client':
  - resource: {<<: *resource, image: alpine, ports: [8080]}
    contextualisation:
      type: docker
      env: ["message={{variables.message}}"]
      command: ["sh", "-c", "wget -O /tmp/page {{getip(variables.targetnode)}}; while true; do sleep 1000; done"]
    health_check:
      ping: False
"""
VM, ACI = "Microsoft.Compute/virtualMachines", "Microsoft.ContainerInstance/containerGroups"


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


class Account:
    """An Azure with a resource group and a network of the user, and the user's files."""

    def __init__(self, cloud):
        from occopus_resource_azure import testing  # noqa: PLC0415

        self.cloud = cloud
        cloud.reset()
        cloud.add_network("net", machines="10.0.1.0/24")
        self.users = cloud.inventory()
        self.values = {"endpoint": cloud.endpoint, "group": testing.GROUP, "region": testing.REGION}
        self.auth = {
            "tenant_id": testing.TENANT,
            "client_id": testing.CLIENT_ID,
            "client_secret": testing.CLIENT_SECRET,
            "subscription_id": testing.SUBSCRIPTION,
        }

    def of(self, type):
        return [each for each in self.cloud.inventory() if each["type"] == type and each["state"] != "Deleting"]

    def left(self):
        """Everything except what the user had before."""
        return [each for each in self.cloud.inventory() if each["id"] not in {one["id"] for one in self.users}]


@pytest.fixture
def account(azure_server):
    return Account(azure_server)


@pytest.fixture
def user(workspace, account):
    """A user with credentials for the account, in a file, and with invalid ones for others."""
    wrong = {
        "wrong-secret": {**account.auth, "client_secret": "not~the~secret"},
        "wrong-tenant": {**account.auth, "tenant_id": "0cc0b005-0000-4000-8000-0000000000ff"},
        "half": {"tenant_id": account.auth["tenant_id"], "client_id": "x"},
    }
    entries = [{"type": type, "name": "mine", "auth_data": account.auth} for type in ("azure_vm", "azure_aci")]
    entries += [{"type": "azure_vm", "name": name, "auth_data": auth} for name, auth in wrong.items()]
    auth_data = workspace.home / ".occopus" / "auth_data.yaml"
    auth_data.parent.mkdir()
    auth_data.write_text(json.dumps({"resource": entries}))
    auth_data.chmod(0o600)
    workspace.environ.update(account.cloud.environment)
    return workspace


@pytest.fixture
def listening():
    """A port at which every address of this machine is listened at."""
    with socket.create_server(("", 0), backlog=64) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    server.accept()[0].close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


def live(user, account, until, type, node, infra):
    """From scaling to destruction, with a lost machine."""
    count = len(account.of(type))
    user.ready("scale", "-i", infra, "-n", node, "-s", "2")
    user.ready("maintain", "-i", infra)
    assert len(account.of(type)) == count + 1

    (lost, *_) = user.report(infra)[node]["instances"]
    victim = next(each for each in account.of(type) if each["tags"]["occopus-node_id"] == lost)
    account.cloud.lose(victim["id"])

    def healed():
        user.ready("maintain", "-i", infra)
        known = user.report(infra)[node]["instances"]
        return lost not in known and len(known) == 2 and len(account.of(type)) == count + 1

    until(healed)
    user.ready("destroy", "-i", infra)
    assert account.left() == []
    assert user.rows(infra) == 0


def test_a_life_of_machines(user, account, until):
    import base64  # noqa: PLC0415

    definitions = MACHINES.replace("type: azure_vm", "name: mine\n      type: azure_vm") % account.values
    user.write("receiver.yaml", RECEIVER)
    user.write("sender.yaml", SENDER)
    ended = user.ready("import", user.write("nodes.yaml", definitions))
    assert ended.stdout == "Successfully imported nodes: receiver, sender\n"
    user.ready("build", user.write("infra.yaml", PING), "-i", "ping")
    (receiver,) = user.report("ping")["ping-receiver"]["instances"].values()
    machines = account.of(VM)
    assert len(machines) == 2
    assert all(machine["tags"]["project"] == "ping" for machine in machines)
    (sender,) = [each["id"] for each in machines if each["tags"]["occopus-node_name"] == "ping-sender"]
    given = base64.b64decode(account.cloud.secrets_of(sender)["customData"]).decode()
    assert f"- ping {receiver['resource_address']} -c 5" in given
    live(user, account, until, VM, "ping-receiver", "ping")


def test_a_life_of_containers(user, account, until, listening):
    values = {**account.values, "port": listening}
    definitions = CONTAINERS.replace("type: azure_aci", "name: mine\n      type: azure_aci") % values
    user.ready("import", user.write("nodes.yaml", definitions))
    user.ready("build", user.write("infra.yaml", NGINX), "-i", "nginx")
    (server,) = user.report("nginx")["nginx-server"]["instances"].values()
    (client,) = [each for each in account.of(ACI) if each["tags"]["occopus-node_name"] == "nginx-client"]
    assert ("message", "I am the client.") in account.cloud.secrets_of(client["id"])["environment"]
    container = account.cloud.account.find(client["id"]).properties["containers"][0]["properties"]
    assert f"wget -O /tmp/page {server['resource_address']};" in container["command"][-1]
    live(user, account, until, ACI, "nginx-server", "nginx")


def implementation(account, **resource):
    values = {
        "name": "mine",
        "type": "azure_vm",
        "endpoint": account.values["endpoint"],
        "resource_group": account.values["group"],
        "location": account.values["region"],
        "vm_size": "Standard_B1s",
        "publisher": "Canonical",
        "offer": "ubuntu-24_04-lts",
        "sku": "server",
        "version": "latest",
        "username": "occopus",
        "ssh_key_data": "ssh-ed25519 AAAA",
        **resource,
    }
    return {
        "resource": {key: value for key, value in values.items() if value is not None},
        "health_check": {"ping": False, "timeout": 60},
    }


DESCRIPTION = json.dumps({"user_id": "me", "infra_name": "full", "nodes": [{"name": "web", "type": "worker"}]})
NO_ROOM = {
    "allocation": {"kind": "fail_operation", "code": "AllocationFailed", "message": "Allocation failed."},
    "size": {"kind": "refuse", "status": 409, "code": "SkuNotAvailable", "message": "Not available in westeurope."},
    "quota": {
        "kind": "refuse",
        "status": 409,
        "code": "OperationNotAllowed",
        "message": "Operation results in exceeding quota limits of Core. Maximum allowed: 4",
    },
}


@pytest.mark.parametrize("why", NO_ROOM)
def test_what_finds_no_room_in_one_region_is_built_in_another(user, account, why):
    from occopus_resource_azure.testing import Fault  # noqa: PLC0415

    fault = NO_ROOM[why]
    account.cloud.set_faults([Fault(method="PUT", type=VM, region="westeurope", **fault)])
    both = [implementation(account, location=location) for location in ("westeurope", "northeurope")]
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": both})))
    description = user.write("infra.yaml", DESCRIPTION)
    for number in range(40):  # the first implementation is chosen at random
        ended = user.ready("build", description, "-i", f"full-{number}")
        (machine,) = account.of(VM)
        assert account.cloud.account.find(machine["id"]).location == "northeurope"
        reported = [line for line in ended.complaint if fault["code"] in line and "trying" in line]
        events = user.ready("maintain", "--events", "-i", f"full-{number}").stdout
        user.ready("destroy", "-i", f"full-{number}")
        assert account.left() == []
        if reported:
            assert fault["code"] in events
            return
    raise AssertionError("the region without room was never tried")


def test_what_finds_no_room_is_built_on_another_cloud(user, account):
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask_cors") is None:
        pytest.skip("moto is not installed: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus")
    from occopus_resource_azure.testing import Fault  # noqa: PLC0415
    from occopus_resource_ec2 import testing as ec2  # noqa: PLC0415

    account.cloud.set_faults(
        [Fault(kind="fail_operation", method="PUT", type=VM, code="AllocationFailed", message="Allocation failed.")]
    )
    with ec2.Ec2Cloud() as cloud:
        keys = {"accesskey": ec2.ACCESS_KEY, "secretkey": ec2.SECRET_KEY}
        there = {
            "type": "ec2",
            "endpoint": cloud.endpoint,
            "regionname": ec2.REGION,
            "image_id": ec2.IMAGE,
            "instance_type": "t3.micro",
        }
        entries = [
            {"type": "ec2", "auth_data": keys},
            {"type": "azure_vm", "auth_data": account.auth},
        ]
        auth_data = user.write("auth_data.yaml", json.dumps({"resource": entries}))
        (user.folder / "auth_data.yaml").chmod(0o600)
        both = [implementation(account), {"resource": there, "health_check": {"ping": False, "timeout": 60}}]
        user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": both})))
        description = user.write("infra.yaml", DESCRIPTION)
        reported = []
        for number in range(40):  # the first implementation is chosen at random
            words = ("--auth_data_path", auth_data)
            ended = user.ready("build", *words, description, "-i", f"full-{number}")
            reported += [line for line in ended.complaint if "AllocationFailed" in line and "trying" in line]
            assert account.left() == []
            assert len([one for one in cloud.inventory() if one["id"].startswith("i-")]) == 1
            user.ready("destroy", *words, "-i", f"full-{number}")
            if reported:
                return
    raise AssertionError("Azure was never tried")


MISTAKES = {
    "secret": ({"name": "wrong-secret"}, "AADSTS7000215: Invalid client secret provided"),
    "tenant": ({"name": "wrong-tenant"}, "AADSTS90002: the login knows no such tenant"),
    "half": ({"name": "half"}, "auth_data has no client_secret"),
    "group": ({"resource_group": "nowhere"}, "ResourceGroupNotFound: Resource group 'nowhere' could not be found."),
    "image": ({"publisher": "no-such-publisher"}, "there is no image no-such-publisher:ubuntu-24_04-lts:server:latest"),
    "network": ({"vnet_name": "nothing"}, "(resource.vnet_name)"),
    "subnet": ({"vnet_name": "net", "subnet_name": "x"}, "'net' has no subnet 'x' (resource.subnet_name)"),
    "interface": ({"nic_name": "nothing"}, "(resource.nic_name)"),
    "location": ({"location": "mars"}, "LocationNotAvailableForResourceType"),
    "rules": ({"open_ports": [22]}, "resource.open_ports is for machines with public_ip_needed"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(user, account, mistake):
    resource, words = MISTAKES[mistake]
    definition = json.dumps({"node_def:worker": [implementation(account, **resource)]})
    nodes = user.write("nodes.yaml", definition)
    ended = user.run("build", "--nodes", nodes, user.write("infra.yaml", DESCRIPTION), "-i", "full")
    assert ended.code in (1, 2)
    lines = [line for line in ended.complaint if words in line]
    assert lines, ended.stderr
    assert account.left() == []
    shown = ended.stdout + ended.stderr
    assert not [value for value in account.auth.values() if value in shown]


REFUSALS = {
    "role": (403, "AuthorizationFailed", "does not have authorization to perform action"),
    "expired": (401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier"),
    "provider": (409, "MissingSubscriptionRegistration", "The subscription is not registered to use namespace"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_one_line_with_its_code(user, account, refusal):
    from occopus_resource_azure.testing import Fault  # noqa: PLC0415

    status, code, message = REFUSALS[refusal]
    account.cloud.set_faults([Fault(kind="refuse", method="PUT", status=status, code=code, message=message)])
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": [implementation(account)]})))
    ended = user.run("build", user.write("infra.yaml", DESCRIPTION), "-i", "full")
    assert ended.code == 1
    assert [line for line in ended.complaint if re.search(f"{code}: {message}", line)], ended.stderr
    assert account.left() == []


def test_the_example_is_built(user, account):
    for file in EXAMPLE.glob("*.yaml"):
        user.write(file.name, file.read_text().replace("https://localhost:5400", account.cloud.endpoint))
    (block,) = re.findall(r"```yaml\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    auth_data = user.write("auth_data.yaml", block)
    (user.folder / "auth_data.yaml").chmod(0o600)
    words = ("--auth_data_path", auth_data)
    user.ready("import", "nodes.yaml")
    user.ready("build", *words, "infra.yaml", "-i", "example")
    report = user.report("example")
    assert [len(report[name]["instances"]) for name in ("receiver", "web", "sender")] == [1, 1, 1]
    user.ready("destroy", *words, "-i", "example")
    assert account.left() == []
