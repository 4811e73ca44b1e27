"""The life cycle of infrastructures on a real OpenStack, with typical descriptions."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path

import yaml
from desk import until
from faults import Fault

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/openstack"
DEFINITIONS = """\
'node_def:nova_receiver':
  -
    resource:
      type: nova
      endpoint: {endpoint}
      project_id: {project_id}
      user_domain_name: Default
      image_id: {image_id}
      network_id: {network_id}
      flavor_name: '{flavor_id}'
      server_name: myreceiver
      key_name: my-key
      security_groups:
        -
          ping
      floating_ip: yes
      floating_ip_pool: public
    contextualisation:
      type: cloudinit
      context_template: !yaml_import
        url: file://receiver.yaml
    health_check: &unreachable
      ping: false
'node_def:nova_sender':
  -
    resource:
      type: nova
      endpoint: {endpoint}/v3
      project_id: {project_id}
      image_id: {image_id}
      network_id: {network_id}
      flavor_name: '{flavor_id}'
      server_name: mysender
      volume_size: 1
    contextualisation:
      type: cloudinit
      context_template: !yaml_import
        url: file://sender.yaml
    health_check: *unreachable
"""
MESSAGE = """\
write_files:
- content: "{{variables.message}}\\n"
  path: /tmp/message.txt
"""
PING = """\
#cloud-config
runcmd:
- ping {{getip(variables.targetnode)}} -c 5 > /tmp/ping-result.txt 2>&1
"""
INFRASTRUCTURE = """\
infra_name: nova-ping
user_id: somebody@example.org
nodes:
  - &R
    name: ping-receiver
    type: nova_receiver
    scaling: {max: 3}
    variables:
      message: I am the receiver.
  - &S
    name: ping-sender
    type: nova_sender
    variables:
      message: I am the sender.
      targetnode: ping-receiver
dependencies:
  -
    connection: [ *S, *R ]
"""


def names(account):
    return sorted(server.name for server in account.servers())


def user_data(proxy, server_name):
    """What servers of this name were given at their creation, as it arrived."""
    bodies = [json.loads(each.body)["server"] for each in proxy.requests if each.creates_server]
    return [base64.b64decode(body["user_data"]).decode() for body in bodies if body["name"] == server_name]


def test_ping(desk, account, proxy):
    """Import, build, report, scale, heal a deleted server, destroy; the fixture checks that nothing is left."""
    with account.key_pair("my-key"), account.security_group("ping"):
        desk.write("nodes/receiver.yaml", MESSAGE)
        desk.write("nodes/sender.yaml", PING + MESSAGE)
        imported = desk.ready("import", desk.write("nodes/definitions.yaml", DEFINITIONS.format(**account.ids)))
        assert imported.stdout == "Successfully imported nodes: nova_receiver, nova_sender\n"
        desk.ready("build", desk.write("infra.yaml", INFRASTRUCTURE), "-i", "ping")
        nodes = desk.instances("ping")
        (receiver,) = nodes["ping-receiver"]
        assert receiver["resource_address"].startswith("203.0.113.")
        assert [each["state"] for each in nodes["ping-sender"]] == ["ready"]
        assert names(account) == ["myreceiver", "mysender"]
        made = next(server for server in account.servers() if server.name == "myreceiver")
        assert (made.key_name, [group["name"] for group in made.security_groups]) == ("my-key", ["ping"])
        (sent,) = user_data(proxy, "mysender")
        assert f"ping {receiver['resource_address']} -c 5" in sent
        assert "I am the sender." in sent

        desk.ready("scale", "-i", "ping", "-n", "ping-receiver", "-s", "2")
        desk.ready("maintain", "-i", "ping")
        assert names(account) == ["myreceiver", "myreceiver", "mysender"]

        account.delete_server(made)

        def healed():
            desk.ready("maintain", "-i", "ping")
            return names(account) == ["myreceiver", "myreceiver", "mysender"]

        until(healed)  # a missing youngest instance may only be invisible yet
        assert made.id not in [server.id for server in account.servers()]
        desk.ready("destroy", "-i", "ping")


def test_the_example(desk, account):
    """As published, except for the values that every user has to fill in."""
    parsed = yaml.safe_load((EXAMPLE / "nodes.yaml").read_text())
    for (implementation,) in parsed.values():
        assert set(account.resource()) <= set(implementation["resource"])
        implementation["resource"] |= account.resource()
        implementation["resource"].pop("key_name")
    parsed["node_def:openstack_receiver"][0]["health_check"] = {"ping": False}  # there is no guest
    desk.ready("import", desk.write("nodes.yaml", yaml.safe_dump(parsed)))
    desk.ready("build", "--parallelize", "-i", "ping", str(EXAMPLE / "infra.yaml"))
    assert [each["state"] for each in desk.instances("ping")["ping-sender"]] == ["ready"]
    assert names(account) == ["openstack-ping-ping-receiver", "openstack-ping-ping-sender"]
    desk.ready("destroy", "-i", "ping")


def test_a_volume_that_persists_is_left_and_a_floating_ip_that_was_there(desk, account):
    kept = account.cloud.network.create_ip(floating_network_id=account.ids["pool_id"])
    desk.define(account.resource(volume_size=1, volume_persist=True, floating_ip="yes"))
    desk.ready("build", *desk.describe())
    assert [each["resource_address"] for each in desk.instances("trial")["web"]] == [kept.floating_ip_address]
    desk.ready("destroy", "-i", "trial")
    until(lambda: set(account.left()) == {"volumes", "floating IPs"})
    (volume,) = account.cloud.block_storage.volumes()
    assert not any(key.startswith("occopus:") for key in volume.metadata)
    until(lambda: account.cloud.block_storage.get_volume(volume).status == "available")
    account.cloud.block_storage.delete_volume(volume)
    assert account.cloud.network.get_ip(kept).port_id is None
    account.cloud.network.delete_ip(kept)


def test_a_deletion_whose_answer_is_lost_leaves_nothing(desk, account, proxy):
    desk.define(account.resource(floating_ip="yes", volume_size=1))
    desk.ready("build", *desk.describe())
    lost = set()

    def lose_each_once(request):
        if request.method == "DELETE" and request.path not in lost:
            lost.add(request.path)
            return Fault.LOST_REPLY
        return None

    proxy.rule = lose_each_once
    desk.ready("destroy", "-i", "trial")
    assert len(lost) == 2, "a floating IP and a server were to be deleted"


def test_a_creation_whose_answer_is_lost_is_made_once(desk, account, proxy):
    """Of everything that is made: the volume, the server, the floating IP."""
    desk.define(account.resource(floating_ip="yes", volume_size=1))
    lost = set()

    def lose_each_once(request):
        if request.method == "POST" and request.service != "keystone" and request.path not in lost:
            lost.add(request.path)
            return Fault.LOST_REPLY
        return None

    proxy.rule = lose_each_once
    desk.ready("build", *desk.describe())
    assert len(lost) == 3
    assert {kind: len(ids) for kind, ids in account.left().items()} == {
        "servers": 1,
        "volumes": 1,
        "floating IPs": 1,
        "ports": 1,
    }
    desk.ready("destroy", "-i", "trial")


def test_a_build_that_was_killed_leaves_nothing_once_it_is_destroyed(desk, account):
    desk.define(account.resource(volume_size=1, floating_ip="yes"))
    with desk.start("build", "--parallelize", *desk.describe(min=2)) as build:
        until(account.left)
        build.send_signal(signal.SIGKILL)
    desk.ready("destroy", "-i", "trial")
