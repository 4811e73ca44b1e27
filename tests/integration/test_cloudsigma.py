"""The commands on a CloudSigma: a life cycle, and every mistake and refusal as one clear line."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from occopus_resource_cloudsigma.testing import EMAIL, LIBRARY_DRIVE, PASSWORD, CloudSigma, Fault

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "cloudsigma"
INFRASTRUCTURE = """\
infra_name: cloudsigma-ping
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
    variables: {message: "I am the sender."}
dependencies:
  - connection: [*S, *R]
"""
DEFINITIONS = """\
'node_def:receiver':
  - resource: &resource
      name: my_cloudsigma_cloud
      type: cloudsigma
      endpoint: %(endpoint)s
      libdrive_id: %(drive)s
      description:
        cpu: 2000
        mem: 1073741824
        vnc_password: a-vnc-password
        pubkeys:
          - 8f5c2a4e-7b1d-4f0e-9c3a-2d6b8e0f1a4c
        nics:
          - firewall_policy: f7a3d9c1-0e5d-4d0a-9a8e-3c1f0d2b4e6a
            ip_v4_conf:
              conf: dhcp
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
- ping {{getip('ping-receiver')}} -c 5 > /tmp/ping-result.txt 2>&1
"""


@pytest.fixture
def cloud():
    with CloudSigma() as cloud:
        times = ("clone_seconds", "start_lag", "start_seconds", "address_lag", "stop_seconds")
        cloud.reset(**dict.fromkeys(times, 0.3))
        yield cloud


@pytest.fixture
def user(workspace):
    """A user with credentials for two accounts, the second of which are invalid."""
    entries = [
        {"type": "cloudsigma", "name": "my_cloudsigma_cloud", "auth_data": {"email": EMAIL, "password": PASSWORD}},
        {"type": "cloudsigma", "name": "stranger", "auth_data": {"email": EMAIL, "password": "not-this-password"}},
    ]
    auth_data = workspace.home / ".occopus" / "auth_data.yaml"
    auth_data.parent.mkdir()
    auth_data.write_text(json.dumps({"resource": entries}))
    auth_data.chmod(0o600)
    return workspace


def running(cloud):
    """The running servers, by the node that each belongs to."""
    found = [one["meta"]["occopus-node_name"] for one in cloud.servers() if one["status"] == "running"]
    return sorted(found)


def user_data(server):
    return base64.b64decode(server["meta"]["cloudinit-user-data"]).decode()


def delete_behind_our_back(cloud, server, recurse):
    cloud.behaviour.stop_seconds = 0.0
    cloud.model.stop(server)
    cloud.model.delete_server(server, recurse)


FULL = ["ping-receiver", "ping-receiver", "ping-sender"]


def test_a_life(user, cloud, until):
    user.write("receiver.yaml", RECEIVER)
    user.write("sender.yaml", SENDER)
    definitions = DEFINITIONS % {"endpoint": f"{cloud.url}/api/2.0/", "drive": LIBRARY_DRIVE}
    ended = user.ready("import", user.write("nodes.yaml", definitions))
    assert ended.stdout == "Successfully imported nodes: receiver, sender\n"
    user.ready("build", user.write("infra.yaml", INFRASTRUCTURE), "-i", "ping")
    report = user.report("ping")
    (receiver,) = report["ping-receiver"]["instances"].values()
    assert running(cloud) == ["ping-receiver", "ping-sender"]
    (sender,) = [one for one in cloud.servers() if one["meta"]["occopus-node_name"] == "ping-sender"]
    assert f"- ping {receiver['resource_address']} -c 5" in user_data(sender)
    assert sender["pubkeys"][0]["uuid"] == "8f5c2a4e-7b1d-4f0e-9c3a-2d6b8e0f1a4c"
    assert sender["nics"][0]["firewall_policy"] == "f7a3d9c1-0e5d-4d0a-9a8e-3c1f0d2b4e6a"

    user.ready("scale", "-i", "ping", "-n", "ping-receiver", "-s", "2")
    user.ready("maintain", "-i", "ping")
    assert running(cloud) == FULL

    for recurse in ("", "all_drives"):  # a server alone leaves its drive
        gone = next(one for one in cloud.servers() if one["meta"]["occopus-node_name"] == "ping-receiver")
        delete_behind_our_back(cloud, gone, recurse)

        def healed():
            user.ready("maintain", "-i", "ping")
            return running(cloud) == FULL and len(cloud.drives()) == len(FULL)

        until(healed)  # a missing youngest instance may only be invisible yet

    user.ready("scale", "-i", "ping", "-n", "ping-receiver", "-s", "1")
    user.ready("maintain", "-i", "ping")
    assert running(cloud) == ["ping-receiver", "ping-sender"]
    user.ready("destroy", "-i", "ping")
    assert cloud.inventory() == []
    assert user.rows("ping") == 0


def definition(cloud, timeout=600, description=None, **resource):
    server = {"cpu": 2000, "mem": 2**30, "vnc_password": "a-vnc-password", **(description or {})}
    settings = {"type": "cloudsigma", "name": "my_cloudsigma_cloud", "endpoint": cloud.url}
    section = {**settings, "libdrive_id": LIBRARY_DRIVE, "description": server, **resource}
    return {"resource": section, "health_check": {"ping": False, "timeout": timeout}}


def write_infrastructure(user, name, type="worker", count=1):
    nodes = [{"name": "web", "type": type, "scaling": {"min": count}}]
    return user.write(f"{name}.yaml", json.dumps({"user_id": "me", "infra_name": name, "nodes": nodes}))


def test_the_definition_of_a_micado_adaptor(user, cloud):
    """It repeats the endpoint in the description, and has a field that CloudSigma does not know."""
    one = definition(
        cloud,
        description={
            "vnc_password": "secret",
            "nics": [{"firewall_policy": "a-policy", "ip_v4_conf": {"conf": "dhcp", "ip": None}}],
            "cpu": 2000,
            "mem": 1073741824,
            "pubkeys": ["a-key"],
            "host_name": "micado",
            "hv_relaxed": False,
            "hv_tsc": False,
            "endpoint": f"{cloud.url}/api/2.0",
        },
    )
    one["resource"]["endpoint"] = f"{cloud.url}/api/2.0"
    one["contextualisation"] = {"type": "cloudinit", "context_template": "#cloud-config\nhostname: micado\n"}
    ended = user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": [one]})))
    assert "Successfully imported nodes" in ended.stdout
    assert ended.complaint == []
    ended = user.ready("build", write_infrastructure(user, "micado"), "-i", "micado", "--parallelize")
    (server,) = cloud.servers()
    assert (server["cpu"], server["hv_tsc"], server["host_name"]) == (2000, False, "micado")
    assert "endpoint" not in server
    assert user_data(server) == "#cloud-config\nhostname: micado\n"
    user.ready("destroy", "-i", "micado")
    assert cloud.inventory() == []


def test_the_example_is_built(user, cloud):
    for file in EXAMPLE.glob("*.yaml"):
        user.write(file.name, file.read_text().replace("http://127.0.0.1:5300", cloud.url))
    auth_data = {"resource": [{"type": "cloudsigma", "auth_data": {"email": EMAIL, "password": PASSWORD}}]}
    words = ("--auth_data_path", user.write("auth_data.yaml", json.dumps(auth_data)))
    user.ready("import", "nodes.yaml")
    user.ready("build", *words, "infra.yaml", "-i", "example")
    report = user.report("example")
    assert [len(report[name]["instances"]) for name in ("web", "reader")] == [2, 1]
    user.ready("destroy", *words, "-i", "example")
    assert cloud.inventory() == []


def test_a_storm_of_503_makes_nothing_twice_and_leaves_nothing(user, cloud):
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": [definition(cloud)]})))
    storm = {"status": 503, "error_type": "concurrency", "message": "The object is being modified"}
    cloud.fail(Fault("refuse", probability=0.15, count=30, **storm), Fault("lost_reply", probability=0.05, count=8))
    ended = user.ready("build", write_infrastructure(user, "storm", count=6), "-i", "storm", "--parallelize")
    assert any("The object is being modified" in line for line in ended.complaint)
    assert (len(running(cloud)), len(cloud.servers()), len(cloud.drives())) == (6, 6, 6)
    user.ready("destroy", "-i", "storm")
    assert cloud.inventory() == []


REFUSALS = {
    "credit": ({"credit": False}, "Starting the guest needs burst credit for 5 days, and the account has less"),
    "capacity": ({"capacity": 0}, "We currently cannot provide enough resources to start the guest"),
}


@pytest.mark.parametrize(("behaviour", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_start_is_undone_or_made_elsewhere(behaviour, words, user, cloud):
    cloud.reset(clone_seconds=0.3, **behaviour)
    definitions = {"node_def:worker": [definition(cloud)]}
    with CloudSigma() as another:
        definitions["node_def:both"] = [definition(cloud), definition(another)]
        user.ready("import", user.write("nodes.yaml", json.dumps(definitions)))
        ended = user.run("build", write_infrastructure(user, "refused"), "-i", "refused")
        assert ended.code == 1
        (line,) = [line for line in ended.complaint if line.startswith("error: ")]
        assert line == f"error: node 'web' (my_cloudsigma_cloud): CloudSigma {cloud.url}: {words}"
        assert cloud.inventory() == []
        user.ready("build", write_infrastructure(user, "moved", "both"), "-i", "moved")
        assert (len(running(another)), cloud.inventory()) == (1, [])
        user.ready("destroy", "-i", "moved")
        assert another.inventory() == []


MISTAKES = {
    "wrong-password": ({"name": "stranger"}, "the e-mail or the password is refused (auth_data of type cloudsigma)"),
    "drive": ({"libdrive_id": "no-such-drive"}, "Drive no-such-drive does not exist (resource.libdrive_id)"),
    "slow": ({}, "not created within 1 s: its drive is being cloned"),
}


def test_mistakes_are_one_line_each(user, cloud):
    cloud.behaviour.clone_seconds = 3.0
    definitions = {f"node_def:{name}": [definition(cloud, 1, **given)] for name, (given, _) in MISTAKES.items()}
    builds = {}
    user.ready("import", user.write("nodes.yaml", json.dumps(definitions)))
    for name in MISTAKES:
        builds[name] = user.start("build", write_infrastructure(user, name, name), "-i", name)
    for name, (_, words) in MISTAKES.items():
        ended = user.end(builds[name])
        assert ended.code == 1, (name, ended)
        (line,) = [line for line in ended.complaint if line.startswith("error: ")]
        assert line.partition("; the credentials are those at ")[0].endswith(words)
        assert "not-this-password" not in ended.stderr
        assert ended.complaint[-1] == "the build failed and was undone"
        assert user.rows(name) == 0
    assert cloud.inventory() == []


def test_fields_that_are_set_elsewhere_are_refused_by_the_import(user, cloud):
    definitions = {"node_def:worker": [definition(cloud, description={"drives": []})]}
    ended = user.run("import", user.write("nodes.yaml", json.dumps(definitions)))
    assert ended.code != 0
    assert "The server gets the clone of `libdrive_id` as its drive." in ended.stderr
