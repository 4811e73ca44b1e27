"""The commands on an EC2: a life cycle, and every mistake and outage as one clear line."""

from __future__ import annotations

import base64
import json
import re
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "ec2"
INFRASTRUCTURE = """\
infra_name: ec2-ping
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
      name: my_ec2_cloud
      type: ec2
      endpoint: %(endpoint)s
      regionname: %(region)s
      image_id: %(image)s
      instance_type: t3.micro
      key_name: my-key
      security_group_ids: [%(group)s]
      subnet_id: %(subnet)s
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
- ping {{getip('ping-receiver')}} -c 5 > /tmp/ping-result.txt 2>&1
"""


class Account:
    """An EC2 with only a network, and the user's files."""

    def __init__(self, cloud):
        import boto3  # noqa: PLC0415

        from occopus_resource_ec2 import testing  # noqa: PLC0415

        self.cloud = cloud
        self.client = boto3.client(
            "ec2",
            endpoint_url=cloud.endpoint,
            region_name=testing.REGION,
            aws_access_key_id=testing.ACCESS_KEY,
            aws_secret_access_key=testing.SECRET_KEY,
        )
        self.client.create_key_pair(KeyName="my-key")
        self.secret = testing.SECRET_KEY
        self.keys = {"accesskey": testing.ACCESS_KEY, "secretkey": testing.SECRET_KEY}
        self.values = {
            "endpoint": cloud.endpoint,
            "region": testing.REGION,
            "image": testing.IMAGE,
            "group": self.client.describe_security_groups()["SecurityGroups"][0]["GroupId"],
            "subnet": self.client.describe_subnets()["Subnets"][0]["SubnetId"],
        }

    def instances(self):
        return [thing for thing in self.cloud.inventory() if thing["id"].startswith("i-")]

    def user_data(self, id):
        answer = self.client.describe_instance_attribute(InstanceId=id, Attribute="userData")
        return base64.b64decode(answer["UserData"]["Value"]).decode()


@pytest.fixture
def account(ec2_process):
    ec2_process.reset()
    return Account(ec2_process)


@pytest.fixture
def user(workspace, account):
    """A user with credentials for two accounts, the second of which are invalid."""
    others = {"accesskey": "AKIANOBODY", "secretkey": account.secret}
    entries = [
        {"type": "ec2", "name": "my_ec2_cloud", "auth_data": account.keys},
        {"type": "ec2", "name": "stranger", "auth_data": others},
    ]
    auth_data = workspace.home / ".occopus" / "auth_data.yaml"
    auth_data.parent.mkdir()
    auth_data.write_text(json.dumps({"resource": entries}))
    auth_data.chmod(0o600)
    return workspace


def names(account):
    """The tags `Name` of the instances that are not being deleted."""
    return sorted(thing["tags"]["Name"] for thing in account.instances() if thing["state"] in ("pending", "running"))


def test_a_life(user, account, until):
    account.cloud.set_times(boot_seconds=0.5, delete_seconds=0.5)
    user.write("receiver.yaml", RECEIVER)
    user.write("sender.yaml", SENDER)
    ended = user.ready("import", user.write("nodes.yaml", DEFINITIONS % account.values))
    assert ended.stdout == "Successfully imported nodes: receiver, sender\n"
    user.ready("build", user.write("infra.yaml", INFRASTRUCTURE), "-i", "ping")
    report = user.report("ping")
    (receiver,) = report["ping-receiver"]["instances"].values()
    machines = {machine["id"]: machine for machine in account.instances()}
    assert len(machines) == 2
    assert all(machine["tags"]["project"] == "ping" for machine in machines.values())
    (sender,) = [machine["id"] for machine in machines.values() if machine["tags"]["Name"] == "ping-ping-sender"]
    assert f"- ping {receiver['resource_address']} -c 5" in account.user_data(sender)

    user.ready("scale", "-i", "ping", "-n", "ping-receiver", "-s", "2")
    user.ready("maintain", "-i", "ping")
    assert names(account) == ["ping-ping-receiver", "ping-ping-receiver", "ping-ping-sender"]

    account.client.terminate_instances(InstanceIds=[next(iter(machines))])

    def healed():
        user.ready("maintain", "-i", "ping")
        return names(account) == ["ping-ping-receiver", "ping-ping-receiver", "ping-ping-sender"]

    until(healed)  # a missing youngest instance may only be invisible yet

    user.ready("destroy", "-i", "ping")
    assert account.cloud.inventory() == []
    assert user.rows("ping") == 0


def test_a_sweep_deletes_no_instance_that_is_recorded_when_its_tags_are_lost(user, account):
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:vm": definition(account, timeout=60)})))
    infrastructure = {"infra_name": "two", "user_id": "me", "nodes": [{"name": "vm", "type": "vm"}]}
    user.ready("build", user.write("infra.yaml", json.dumps(infrastructure)), "-i", "two")
    (machine,) = account.instances()
    token = {"Key": "occopus:token", "Value": machine["tags"]["occopus:token"]}
    account.client.delete_tags(Resources=[machine["id"]], Tags=[token])
    planned = user.ready("maintain", "--sweep", "--plan")
    assert "stray" not in planned.stdout
    swept = user.ready("maintain", "--sweep", "-o", "json")
    said = json.loads(swept.stdout)
    assert said["strays"] == []
    (line,) = said["untagged"]
    assert machine["id"] in line
    assert line.endswith("has lost its tags; they were written again")
    assert account.instances() == [machine]


def definition(account, timeout=1, **resource):
    """One implementation, whose node must be created within a second unless set otherwise."""
    values = account.values
    settings = {
        "name": "my_ec2_cloud",
        "type": "ec2",
        "endpoint": values["endpoint"],
        "regionname": values["region"],
        "image_id": values["image"],
        "instance_type": "t3.micro",
        **resource,
    }
    return [{"resource": settings, "health_check": {"ping": False, "timeout": timeout}}]


def test_the_example_is_built(user, account):
    for file in EXAMPLE.glob("*.yaml"):
        user.write(file.name, file.read_text().replace("http://127.0.0.1:5200", account.cloud.endpoint))
    auth_data = user.write("auth_data.yaml", json.dumps({"resource": [{"type": "ec2", "auth_data": account.keys}]}))
    user.ready("import", "nodes.yaml")
    user.ready("build", "--auth_data_path", auth_data, "infra.yaml", "-i", "example")
    report = user.report("example")
    assert [len(report[name]["instances"]) for name in ("web", "reader")] == [2, 1]
    (reader,) = [thing["id"] for thing in account.instances() if thing["tags"]["Name"] == "example-reader"]
    for web in report["web"]["instances"].values():
        assert f"http://{web['resource_address']}:8080/" in account.user_data(reader)


BAD_DAY = [
    {"kind": "lost_reply"},
    {"kind": "refuse", "status": 503, "code": "RequestLimitExceeded", "message": "Slow down.", "retry_after": 1},
    {"kind": "refuse", "status": 500, "code": "InternalError", "message": "An internal error has occurred"},
    {"kind": "html", "status": 502},
]


def test_a_bad_day_makes_nothing_twice_and_leaves_nothing(user, account):
    actions = ("RunInstances", "DescribeInstances", "TerminateInstances")
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": definition(account, timeout=60)})))
    nodes = [{"name": "web", "type": "worker", "scaling": {"min": 12}}]
    description = user.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "bad-day", "nodes": nodes}))
    account.cloud.set_times(boot_seconds=0.5, delete_seconds=0.5)
    account.cloud.set_faults([{**fault, "action": action, "count": 2} for action in actions for fault in BAD_DAY])
    user.ready("build", description, "-i", "bad-day", "--parallelize")
    made = account.instances()
    assert len({machine["tags"]["occopus:token"] for machine in made}) == len(made) == 12
    assert account.cloud.calls()["RunInstances"] == 12 + 2 * len(BAD_DAY)
    user.ready("destroy", "-i", "bad-day")
    assert account.cloud.calls()["TerminateInstances"] > 2 * len(BAD_DAY)
    assert account.cloud.inventory() == []


NO_ROOM = {
    "at once": {"kind": "refuse", "status": 500, "code": "InsufficientInstanceCapacity", "message": "No capacity."},
    "later": {"kind": "take_back", "code": "Server.InsufficientInstanceCapacity", "message": "No capacity."},
}


@pytest.mark.parametrize("fault", NO_ROOM.values(), ids=NO_ROOM)
def test_where_there_is_no_room_the_next_implementation_is_taken(user, account, fault):
    account.cloud.set_faults([{**fault, "action": "RunInstances", "count": 1}])
    both = definition(account, timeout=60, name="one") + definition(account, timeout=60, name="another")
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": both})))
    auth_data = user.write("auth_data.yaml", json.dumps({"resource": [{"type": "ec2", "auth_data": account.keys}]}))
    description = {"user_id": "me", "infra_name": "full", "nodes": [{"name": "web", "type": "worker"}]}
    words = ("--auth_data_path", auth_data, user.write("infra.yaml", json.dumps(description)))
    ended = user.ready("build", *words, "-i", "full")
    (line,) = [line for line in ended.complaint if "No capacity." in line and "trying" in line]
    assert re.search(r": No capacity\.( \(request \S+\))?: trying (one|another)$", line)
    assert len(account.instances()) == 1
    assert user.rows("full") == 2  # the infrastructure, and the one instance


MISTAKES = {
    "wrong-key": ({"name": "stranger"}, "AuthFailure: AWS was not able to validate the provided access credentials"),
    "expired": ({"instance_type": "t3.expired"}, "RequestExpired: Request has expired."),
    "image": (
        {"image_id": "ami-00000000"},
        "InvalidAMIID.NotFound: The image id '[ami-00000000]' does not exist (resource.image_id)",
    ),
    "subnet": (
        {"subnet_id": "subnet-0"},
        "InvalidSubnetID.NotFound: The subnet ID 'subnet-0' does not exist (resource.subnet_id)",
    ),
    "html": (
        {"instance_type": "t3.html"},
        "answered HTTP 200, not as EC2 does: is it the endpoint of the EC2 API?",
    ),
    "hang": ({"instance_type": "t3.hang"}, "not created within 1 s: EC2 {endpoint}: no answer within 30 s"),
}
FAULTS = [
    {
        "kind": "refuse",
        "value": "t3.expired",
        "status": 400,
        "code": "RequestExpired",
        "message": "Request has expired.",
    },
    {"kind": "html", "value": "t3.html", "status": 200},
    {"kind": "hang", "value": "t3.hang"},
]


def test_mistakes_and_outages_are_one_line_each(user, account):
    """Side by side, as most of the time is waiting: for a time limit, or for what a refused call may have made."""
    account.cloud.set_faults(FAULTS)
    definitions = {f"node_def:{name}": definition(account, **resource) for name, (resource, _) in MISTAKES.items()}
    user.ready("import", user.write("nodes.yaml", json.dumps(definitions)))
    builds = {}
    for name in MISTAKES:
        description = {"user_id": "me", "infra_name": name, "nodes": [{"name": "web", "type": name}]}
        builds[name] = user.start("build", user.write(f"{name}.yaml", json.dumps(description)), "-i", name)
    for name, (resource, words) in MISTAKES.items():
        ended = user.end(builds[name])
        assert ended.code == 1, (name, ended)
        (line,) = [line for line in ended.complaint if line.startswith("error: ")]
        assert line.startswith(f"error: node 'web' ({resource.get('name', 'my_ec2_cloud')}): ")
        assert words.format(endpoint=account.cloud.endpoint) in line
        assert ended.complaint[-1] == "the build failed and was undone"
        assert account.secret not in ended.stderr
        assert user.rows(name) == 0
    assert account.cloud.inventory() == []


def test_an_endpoint_that_refuses_and_comes_back(user, account, held_port):
    from occopus_resource_ec2.testing import Ec2Cloud  # noqa: PLC0415

    endpoint = f"http://127.0.0.1:{held_port}"
    user.ready(
        "import", user.write("nodes.yaml", json.dumps({"node_def:away": definition(account, endpoint=endpoint)}))
    )
    description = {"user_id": "me", "infra_name": "away", "nodes": [{"name": "web", "type": "away"}]}
    cloud = Ec2Cloud()
    cloud.endpoint = endpoint
    with user.start("build", user.write("away.yaml", json.dumps(description)), "-i", "away") as build:
        said = []
        while not said or "not created within" not in said[-1]:
            said.append(build.stderr.readline())
            assert said[-1], said
        with cloud:
            ended = user.end(build)
            assert cloud.inventory() == []
    assert ended.code == 1
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert re.fullmatch(
        rf"error: node 'web' \(my_ec2_cloud\): not created within 1 s: EC2 {endpoint}: it cannot be reached, nothing "
        "listens there",
        line,
    )
    assert user.rows("away") == 0


EXPIRED = {
    "kind": "refuse",
    "session": "first-session",
    "status": 400,
    "code": "ExpiredToken",
    "message": "The security token included in the request is expired",
}


def session(user, account, name):
    """Replace the file with temporary credentials, as a program that renews them does."""
    entry = {"type": "ec2", "auth_data": {**account.keys, "sessiontoken": name}}
    auth_data = user.home / ".occopus" / "auth_data.yaml"
    new = auth_data.with_name("new")
    new.write_text(json.dumps({"resource": [entry]}))
    new.chmod(0o600)
    new.replace(auth_data)


@pytest.fixture
def temporary(user, account):
    """A user with temporary credentials, and a description of eight machines."""
    session(user, account, "first-session")
    user.ready("import", user.write("nodes.yaml", json.dumps({"node_def:worker": definition(account, timeout=60)})))
    nodes = [{"name": "web", "type": "worker", "scaling": {"min": 8}}]
    user.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "temporary", "nodes": nodes}))
    return user


def test_credentials_that_expire_during_a_build(temporary, account, until):
    """What they cannot undo any more is undone with the next ones."""
    account.cloud.set_times(boot_seconds=0.5)
    build = temporary.start("build", "infra.yaml", "-i", "temporary")
    until(lambda: len(account.instances()) >= 3)
    account.cloud.set_faults([EXPIRED])
    ended = temporary.end(build)
    assert ended.code == 1
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert re.match(
        r"error: node 'web' \(my_ec2_cloud\): EC2 \S+: ExpiredToken: The security token .* is expired", line
    )
    assert "the build failed; what could be undone was undone" in ended.complaint
    assert len(account.instances()) >= 3
    for stale in (True, False):
        again = temporary.run("destroy", "-i", "temporary")
        assert "first-session" not in ended.stderr + again.stderr
        if stale:
            assert again.code == 5, again
            assert all("ExpiredToken" in line for line in again.complaint if line.startswith("unconfirmed: "))
            session(temporary, account, "second-session")
    assert again.code == 0, again
    assert account.cloud.inventory() == []
    assert temporary.rows("temporary") == 0


def test_maintenance_goes_on_with_credentials_that_were_renewed(temporary, account, until):
    """Whoever renews them writes the file; nothing is started anew, nor waited for."""
    temporary.ready("build", "infra.yaml", "-i", "temporary", "--parallelize")
    maintenance = temporary.start("maintain", "-c", "-i", "temporary", "-t", "1", "--parallelize")
    try:
        account.cloud.set_faults([EXPIRED])
        until(lambda: temporary.query("SELECT 1 FROM instances WHERE condition <> 'well'"))
        account.client.terminate_instances(InstanceIds=[account.instances()[0]["id"]])
        session(temporary, account, "second-session")
        until(lambda: len(names(account)) == 8)
        until(lambda: not temporary.query("SELECT 1 FROM instances WHERE condition <> 'well' OR stage <> 'ready'"))
    finally:
        maintenance.send_signal(signal.SIGTERM)
        stopped = temporary.end(maintenance)
    assert stopped.code == 0
    assert "Traceback" not in stopped.stderr
    assert "-session" not in stopped.stderr
    temporary.ready("destroy", "-i", "temporary")
    assert account.cloud.inventory() == []
