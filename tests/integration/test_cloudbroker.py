"""The commands on a CloudBroker Platform: a life cycle, kills, mistakes, and the number of calls."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from occopus_resource_cloudbroker import label
from occopus_resource_cloudbroker.testing import (
    DEPLOYMENT,
    EMAIL,
    INSTANCE_TYPE,
    KEY_PAIR,
    PASSWORD,
    Fault,
    Platform,
    Server,
)

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "cloudbroker"
INFRASTRUCTURE = """\
infra_name: cloudbroker-ping-infra
user_id: somebody@somewhere.com
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
  - [*S, *R]
"""
DEFINITIONS = """\
'node_def:receiver':
  -
    resource:
      type: cloudbroker
      endpoint: %(endpoint)s
      description:
        deployment_id: %(deployment)s
        instance_type_id: %(type)s
        key_pair_id: %(key)s
        opened_port: 22,80
    contextualisation:
      type: cloudinit
      context_template: !yaml_import
        url: file://receiver.yaml
'node_def:sender':
  -
    resource:
      type: cloudbroker
      endpoint: %(endpoint)s
      description:
        deployment_id: %(deployment)s
        instance_type_id: %(type)s
        key_pair_id: %(key)s
        opened_port: 22,80
    contextualisation:
      type: cloudinit
      context_template: !yaml_import
        url: file://sender.yaml
"""
RECEIVER = """\
#cloud-config
write_files:
- content: "{{variables.message}}\\n"
  path: /tmp/message.txt
  permissions: '0644'
"""
SENDER = """\
#cloud-config
runcmd:
    - ping {{getip("ping-receiver")}} -c 5 > /tmp/ping-result.txt 2>&1
"""
MICADO = {
    "deployment_id": DEPLOYMENT,
    "instance_type_id": INSTANCE_TYPE,
    "key_pair_id": KEY_PAIR,
    "opened_port": "22,80,443",
    "infrastructure_component_id": "4a3f7f0e-0000-4000-8000-000000000001",
    "firewall_rule_set_id": "4a3f7f0e-0000-4000-8000-000000000002",
    "dynamic_domain_names": "web.example.org",
}
"""The description that the MiCADO adaptor writes."""


@pytest.fixture
def cloud():
    with Server(Platform()) as server:
        yield server


@pytest.fixture
def user(workspace):
    entry = {"type": "cloudbroker", "auth_data": {"email": EMAIL, "password": PASSWORD}}
    auth_data = workspace.home / ".occopus" / "auth_data.yaml"
    auth_data.parent.mkdir()
    auth_data.write_text(json.dumps({"resource": [entry]}))
    auth_data.chmod(0o600)
    return workspace


def nodes(cloud):
    """The number of running instances of each node."""
    owners = [label.read(machine.name)[0] for machine in cloud.platform.running()]
    return Counter(owner.node_name for owner in owners)


def definition(cloud, timeout=60, **description):
    wanted = {"deployment_id": DEPLOYMENT, "instance_type_id": INSTANCE_TYPE, **description}
    resource = {"type": "cloudbroker", "endpoint": cloud.endpoint, "description": wanted}
    return [{"resource": resource, "health_check": {"ping": False, "timeout": timeout}}]


def files(user, cloud, count, **description):
    """Write a definition and the description of so many machines."""
    definitions = user.write("nodes.yaml", json.dumps({"node_def:worker": definition(cloud, **description)}))
    described = [{"name": "web", "type": "worker", "scaling": {"min": count}}]
    infrastructure = {"user_id": "me", "infra_name": "crowd", "nodes": described}
    return definitions, user.write("infra.yaml", json.dumps(infrastructure))


def crowd(user, cloud, count, **how):
    """Import a definition and write the description of so many machines."""
    definitions, description = files(user, cloud, count, **how)
    user.ready("import", definitions)
    return description


def test_a_life(user, cloud, until):
    cloud.platform.boot_seconds = cloud.platform.stop_seconds = 0.5
    values = {"endpoint": cloud.endpoint, "deployment": DEPLOYMENT, "type": INSTANCE_TYPE, "key": KEY_PAIR}
    user.write("receiver.yaml", RECEIVER)
    user.write("sender.yaml", SENDER)
    ended = user.ready("import", user.write("nodes.yaml", DEFINITIONS % values))
    assert ended.stdout == "Successfully imported nodes: receiver, sender\n"
    user.ready("build", user.write("infra.yaml", INFRASTRUCTURE), "-i", "ping")
    (receiver,) = user.report("ping")["ping-receiver"]["instances"].values()
    machines = {label.read(machine.name)[0].node_name: machine for machine in cloud.platform.running()}
    assert set(machines) == {"ping-receiver", "ping-sender"}
    assert receiver["resource_address"] == machines["ping-receiver"].addresses["external-ip-address"]
    assert f"- ping {receiver['resource_address']} -c 5" in machines["ping-sender"].user_data
    assert "I am the receiver." in machines["ping-receiver"].user_data
    assert machines["ping-sender"].fields["opened-port"] == "22,80"

    user.ready("scale", "-i", "ping", "-n", "ping-receiver", "-s", "2")
    user.ready("maintain", "-i", "ping")
    assert nodes(cloud) == {"ping-receiver": 2, "ping-sender": 1}

    cloud.platform.lose(machines["ping-receiver"].id)  # as a user may
    user.ready("maintain", "-i", "ping")
    assert nodes(cloud) == {"ping-receiver": 2, "ping-sender": 1}

    cloud.platform.remove(machines["ping-sender"].id)  # and a user deletes the record of one

    def healed():
        user.ready("maintain", "-i", "ping")
        return nodes(cloud) == {"ping-receiver": 2, "ping-sender": 1}

    until(healed)  # a missing youngest instance may only be invisible yet

    user.ready("destroy", "-i", "ping")
    assert cloud.platform.running() == []
    assert user.rows("ping") == 0
    assert set(cloud.calls()) == {"create", "list", "stop"}


def test_the_definition_of_the_micado_adaptor(user, cloud):
    infra = crowd(user, cloud, 1, **MICADO)
    user.ready("build", infra, "-i", "micado", "--parallelize")
    (machine,) = cloud.platform.running()
    assert {key.replace("_", "-"): value for key, value in MICADO.items()}.items() <= machine.fields.items()
    assert (machine.fields["disable-autostop"], machine.fields["isolated"]) == ("true", "true")


def test_the_example_is_built(user, cloud):
    for file in EXAMPLE.glob("*.yaml"):
        user.write(file.name, file.read_text().replace("http://127.0.0.1:5400", cloud.endpoint))
    user.ready("import", "nodes.yaml")
    user.ready("build", "infra.yaml", "-i", "example")
    assert nodes(cloud) == {"receiver": 2, "sender": 1}
    receivers = user.report("example")["receiver"]["instances"].values()
    (sender,) = [each for each in cloud.platform.running() if label.read(each.name)[0].node_name == "sender"]
    for receiver in receivers:
        assert f"ping -c 5 {receiver['resource_address']}" in sender.user_data


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_build_that_is_killed_at_a_creation(user, cloud, moment):
    """Its second creation has taken effect or not, and was not answered; the next build carries on."""
    build = []

    def kill(operation, now):
        if (operation, now) == ("create", moment) and len(build) == 1 and cloud.calls()["create"] == 2:
            build.pop().kill()

    infra = crowd(user, cloud, 3)
    cloud.during = kill
    process = user.start("build", infra, "-i", "crowd")
    build.append(process)
    ended = user.end(process)
    assert ended.code == 128 + signal.SIGKILL
    assert not build
    user.ready("build", infra, "-i", "crowd")
    assert nodes(cloud) == {"web": 3}
    tokens = [label.read(machine.name)[1] for machine in cloud.platform.machines.values()]
    assert len(tokens) == len(set(tokens)) == 3, "none was made twice, nor in place of another"
    user.ready("destroy", "-i", "crowd")
    assert cloud.platform.running() == []
    assert user.rows("crowd") == 0


def test_a_destruction_that_is_killed_at_a_deletion(user, cloud):
    """Some of its deletions have taken effect, and the next destruction ends the rest."""
    destroy = []

    def kill(operation, now):
        if (operation, now) == ("stop", "after") and destroy:
            destroy.pop().kill()

    user.ready("build", crowd(user, cloud, 3), "-i", "crowd")
    cloud.during = kill
    process = user.start("destroy", "-i", "crowd")
    destroy.append(process)
    ended = user.end(process)
    assert ended.code == 128 + signal.SIGKILL
    assert user.rows("crowd") == 4
    user.ready("destroy", "-i", "crowd")
    assert cloud.platform.running() == []
    assert user.rows("crowd") == 0


def test_a_bad_day_makes_nothing_twice_and_leaves_nothing(user, cloud):
    cloud.set_faults(
        Fault("lost_reply", "create", count=2),
        Fault("cut_reply", "create", count=1),
        Fault("foreign_reply", "create", count=1),
        Fault("refuse", "create", count=2, status=429, message="Slow down", retry_after=1),
        Fault("html", "list", count=2, after=4, status=502),
        Fault("no_id", "list", count=1, after=9),
        Fault("lost_reply", "stop", count=2),
        Fault("refuse", "stop", count=1, status=200, type="wrong status", message="It is resizing"),
    )
    user.ready("build", crowd(user, cloud, 8, timeout=120), "-i", "crowd", "--parallelize")
    tokens = [label.read(machine.name)[1] for machine in cloud.platform.machines.values()]
    assert len(tokens) == len(set(tokens)) == 8
    user.ready("destroy", "-i", "crowd")
    assert cloud.platform.running() == []
    assert user.rows("crowd") == 0


def test_a_second_instance_of_a_token_is_swept_and_the_first_goes_on(user, cloud):
    """The platform has carried out a creation long after it was given up, beside the one that was made in its place."""
    user.ready("build", crowd(user, cloud, 2), "-i", "crowd")
    first, other = cloud.platform.running()
    late = dataclasses.replace(first, id="late-1", created=first.created - 1)
    cloud.platform.machines[late.id] = late
    assert "late-1" in user.ready("maintain", "--sweep").stdout
    assert {machine.id for machine in cloud.platform.running()} == {first.id, other.id}
    late.stopped = None
    user.ready("destroy", "-i", "crowd")
    assert cloud.platform.running() == []


def test_no_room_undoes_the_build(user, cloud):
    cloud.platform.quota = 2
    ended = user.run("build", crowd(user, cloud, 3), "-i", "crowd")
    assert ended.code == 1
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert "maximum number of instances is exceeded" in line
    assert cloud.platform.running() == []
    assert user.rows("crowd") == 0


MISTAKES = [
    ({"deployment_id": "x"}, r"Deployment could not be found \(resource\.description\.deployment_id\)"),
    ({"cloud-init": "x"}, r"resource\.description\.cloud-init: the contextualisation gives it"),
]


@pytest.mark.parametrize(("description", "words"), MISTAKES)
def test_a_mistake_is_one_clear_line(user, cloud, description, words):
    ended = user.run("build", "--nodes", *files(user, cloud, 1, **description), "-i", "crowd")
    assert ended.code in (1, 2)
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert re.search(words, line)
    assert (cloud.platform.running(), user.run("maintain", "-r", "-i", "crowd").code) == ([], 3)


def test_a_wrong_password_is_one_clear_line(user, cloud):
    cloud.credentials = f"{EMAIL}:another"
    ended = user.run("build", crowd(user, cloud, 1), "-i", "crowd")
    assert ended.code == 1
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert line.startswith(
        f"error: node 'web' (cloudbroker {cloud.endpoint}): CloudBroker {cloud.endpoint}: the e-mail address or the "
        "password is wrong (auth_data of type cloudbroker: email, password); the credentials are those at "
    )
    assert PASSWORD not in ended.stderr
    assert user.rows("crowd") == 0


@pytest.mark.parametrize("count", [1, 10, 50])
def test_what_building_and_looking_cost_in_calls(user, cloud, count):
    """With 25 instances on a page: the numbers in the README of the plugin."""
    user.ready("build", crowd(user, cloud, count), "-i", "crowd", "--parallelize")
    built = cloud.calls()
    pages = -(-count // 25)
    assert built["create"] == count == len(cloud.platform.running())
    user.ready("maintain", "-i", "crowd")
    tick = cloud.calls() - built
    assert tick == {"list": pages}
    assert built["list"] <= 2 * count * (pages + 1)
