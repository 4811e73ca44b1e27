"""The commands with nodes of a Chef server: a life cycle on EC2, and every failure as one line that leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from occopus_config_chef.testing import ChefClient, Goiardi, installed
from occopus_core.testing.web import answering
from tests.forking import SCRIPTS
from tests.integration.conftest import LONGEST
from tests.integration.test_ec2 import Account

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DESCRIPTIONS = Path(os.environ.get("OCCOPUS_DESCRIPTIONS", ROOT.parent / "shared" / "descriptions"))
EXAMPLE = ROOT / "examples" / "chef"
SECONDS = 60.0

INFRASTRUCTURE = """\
infra_name: ec2-chef
user_id: somebody@example.org
nodes:
  - name: db
    type: chef_node
    variables: {recipe: postgresql, port: 5432}
  - name: web
    type: chef_node
    scaling: {min: 1, max: 3}
    variables: {recipe: apache2, port: 80}
dependencies:
  - connection: [web, db]
    mappings:
      - attributes: [ipaddress, database.host]
        synch: true
"""
DEFINITIONS = """\
'node_def:chef_node':
  - resource:
      type: ec2
      endpoint: %(endpoint)s
      regionname: %(region)s
      image_id: %(image)s
      instance_type: t3.micro
    contextualisation:
      type: cloudinit
      context_template: !yaml_import {url: file://cloud_init_chef.yaml}
      attributes:
        service: {port: "{{variables.port}}"}
    config_management:
      type: chef
      endpoint: %(chef)s
      run_list:
        - recipe[{{variables.recipe}}]
"""
CLOUD_INIT = """\
#cloud-config
chef:
    install_type: omnibus
    server_url: "%(chef)s"
    environment: "{{infra_id}}"
    node_name: "{{node_id}}"
    validation_name: "chef-validator"
    validation_key: |
%(validation_key)s
runcmd:
    - [ sh, -xc, "/usr/bin/chef-client" ]
"""


@pytest.fixture(scope="module")
def goiardi_process():
    if not installed():
        pytest.skip("goiardi is not installed: apt-get install goiardi")
    with Goiardi() as server:
        yield server


@pytest.fixture
def goiardi(goiardi_process):
    """An empty Chef server, which must be empty at the end."""
    assert goiardi_process.left() == []
    yield goiardi_process
    assert goiardi_process.left() == []


def credentials(goiardi, **entries):
    entry = {"type": "chef", "auth_data": {"client_name": "admin", "client_key": goiardi.key}}
    return {"config_management": [entry], **entries}


def keep(user, content):
    """Write the credentials file of a user."""
    file = user.home / ".occopus" / "auth_data.yaml"
    file.parent.mkdir(exist_ok=True)
    new = file.with_name("new")
    new.write_text(json.dumps(content))
    new.chmod(0o600)
    new.replace(file)


def indented(text):
    return "".join(f"        {line}\n" for line in text.splitlines()).rstrip("\n")


# On EC2


@pytest.fixture
def account(ec2_process):
    ec2_process.reset()
    return Account(ec2_process)


@pytest.fixture
def user(workspace, account, goiardi):
    keep(workspace, credentials(goiardi, resource=[{"type": "ec2", "auth_data": account.keys}]))
    return workspace


class Clients(threading.Thread):
    """Simulated software on the machines of an account: it follows the user data, as cloud-init and chef-client would.

    A client converges repeatedly, like the daemon.
    """

    def __init__(self, account):
        super().__init__()
        self._account = account
        self._ended = threading.Event()
        self._clients = {}
        self.errors = []

    def run(self):
        while not self._ended.wait(0.3):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001
                self.errors.append(error)

    def _look(self):
        for reservation in self._account.client.describe_instances()["Reservations"]:
            for machine in reservation["Instances"]:
                if machine["State"]["Name"] == "running":
                    self._run(machine["InstanceId"], machine["PrivateIpAddress"])

    def _run(self, id, address):
        import yaml  # noqa: PLC0415

        if id not in self._clients:
            text = self._account.user_data(id)
            assert text.startswith("#cloud-config\n")
            self._clients[id] = ChefClient(yaml.safe_load(text)["chef"], address)
        self._clients[id].run()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()


def chef_nodes(goiardi):
    """The nodes of the server, by the name that Occopus gives them."""
    found = {}
    for name in goiardi.names("nodes"):
        node = goiardi.server.get("nodes", name)
        found.setdefault(node["normal"]["occopus"]["node_name"], []).append(node)
    return found


def test_a_life(user, account, goiardi, until):
    account.cloud.set_times(boot_seconds=0.3, delete_seconds=0.3)
    values = {**account.values, "chef": goiardi.endpoint, "validation_key": indented(goiardi.validation_key)}
    user.write("cloud_init_chef.yaml", CLOUD_INIT % values)
    user.ready("import", user.write("nodes.yaml", DEFINITIONS % values))
    with Clients(account):
        user.ready("build", user.write("infra.yaml", INFRASTRUCTURE), "-i", "shop")
        nodes = chef_nodes(goiardi)
        assert {name: len(each) for name, each in nodes.items()} == {"db": 1, "web": 1}
        (db,), (web,) = nodes["db"], nodes["web"]
        assert web["chef_environment"] == "shop"
        assert web["run_list"] == ["role[shop_web]", "recipe[apache2]"]
        assert web["normal"]["service"] == {"port": "80"}
        assert web["normal"]["database"] == {"host": db["automatic"]["ipaddress"]}
        assert goiardi.names("roles") == {"shop_db", "shop_web"}

        user.ready("scale", "-i", "shop", "-n", "web", "-s", "3")
        user.ready("maintain", "-i", "shop")
        assert {name: len(each) for name, each in chef_nodes(goiardi).items()} == {"db": 1, "web": 3}

        user.write("infra.yaml", INFRASTRUCTURE.replace("port: 80", "port: 8080"))
        before = {one["id"] for one in account.instances()}
        user.ready("build", "infra.yaml", "-i", "shop")
        assert {node["normal"]["service"]["port"] for node in chef_nodes(goiardi)["web"]} == {"8080"}
        assert {one["id"] for one in account.instances()} == before

        (lost,) = user.report("shop")["db"]["instances"]
        machine = next(one["id"] for one in account.instances() if one["tags"]["occopus:node_id"] == lost)
        account.client.terminate_instances(InstanceIds=[machine])

        def healed():
            user.ready("maintain", "-i", "shop")
            nodes = chef_nodes(goiardi)
            new = {node["automatic"].get("ipaddress") for node in nodes["db"]}
            return [node["name"] for node in nodes["db"]] != [lost] and all(
                {node["normal"]["database"]["host"]} == new for node in nodes["web"]
            )

        until(healed)
        assert lost not in goiardi.names("nodes") | goiardi.names("clients")
        assert goiardi.names("nodes") == {name for name in goiardi.names("clients") if not name.startswith("chef-")}
        user.ready("destroy", "-i", "shop")
    assert account.cloud.inventory() == []
    assert goiardi.left() == []
    assert user.rows("shop") == 0


PLACEHOLDERS = {
    "endpoint_of_ec2_interface_of_your_cloud": "endpoint",
    "regionname_of_your_ec2_interface": "region",
    "id_of_your_image_on_your_target_cloud": "image",
    "key_name_on_your_target_cloud": "key",
    "security_group_id1_on_your_target_cloud": "group",
    "security_group_id2_on_your_target_cloud": "another_group",
    "subnet_id_on_your_target_cloud": "subnet",
    "instance_type_of_your_image_on_your_target_cloud": "size",
    "url_of_chef_server": "chef",
    "your_chef_server_url": "chef",
    "chef_validation_client_name": "validator",
}


@pytest.mark.skipif(not (DESCRIPTIONS / "chef-apache2").is_dir(), reason=f"no descriptions in {DESCRIPTIONS}")
def test_the_life_of_a_published_description(user, account, goiardi, until):
    """Unchanged but for its placeholders."""
    account.cloud.set_times(boot_seconds=0.3, delete_seconds=0.3)
    values = {**account.values, "key": "my-key", "size": "t3.micro", "chef": goiardi.endpoint}
    values["validator"] = "chef-validator"
    made = account.client.create_security_group(GroupName="another", Description="another")
    values["another_group"] = made["GroupId"]
    for file in (DESCRIPTIONS / "chef-apache2").rglob("*.yaml"):
        text = re.sub(
            r"( *)replace_with_chef_validation_client_key", indented(goiardi.validation_key), file.read_text()
        )
        text = re.sub(r"replace_with_(\w+)", lambda match: values[PLACEHOLDERS[match[1]]], text)
        user.write(f"described/{file.name}", text)
    user.ready("import", "described/node_definitions.yaml")
    with Clients(account):
        user.ready("build", "described/infra-chef-apache2.yaml", "-i", "published")
        (node,) = chef_nodes(goiardi)["apache2"]
        assert node["run_list"] == ["role[published_apache2]", "recipe[apache2]"]
        assert node["name"] in goiardi.names("clients")
        assert "(the maximum is 1)" in user.ready("scale", "-i", "published", "-n", "apache2", "-c", "1").stderr
        user.ready("maintain", "-i", "published")
        assert len(account.instances()) == 1
        account.client.terminate_instances(InstanceIds=[account.instances()[0]["id"]])

        def healed():
            user.ready("maintain", "-i", "published")
            return goiardi.names("nodes").isdisjoint({node["name"]}) and len(goiardi.names("nodes")) == 1

        until(healed)
        user.ready("destroy", "-i", "published")
    assert account.cloud.inventory() == []
    assert goiardi.left() == []


# Failures, on the simulated cloud


@pytest.fixture
def shop(workspace, cloud, goiardi):
    """Writes the files of an infrastructure with one node, at a Chef server at some URL."""

    def shop(endpoint=goiardi.endpoint, timeout=60, **config):
        definitions = json.loads(cloud.definitions("worker"))
        (implementation,) = definitions["node_def:worker"]
        implementation["config_management"] = {
            "type": "chef", "endpoint": endpoint, "run_list": ["recipe[apache2]"], **config
        }  # fmt: skip
        implementation["health_check"]["timeout"] = timeout
        workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
        node = {"name": "web", "type": "worker", "scaling": {"min": 2}}
        workspace.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "shop", "nodes": [node]}))
        return workspace

    keep(workspace, credentials(goiardi))
    return shop


def refused(user, cloud, words):
    """A build that ends with one such line, and leaves nothing."""
    ended = user.run("build", "infra.yaml", "-i", "shop")
    assert ended.code == 1, ended
    errors = [line for line in ended.complaint if line.startswith("error: ")]
    assert errors, ended
    assert all(re.search(rf"^error: node 'web' \(sim \S+\): .*{words}", line) for line in errors), ended
    assert "PRIVATE KEY" not in ended.stdout + ended.stderr
    assert cloud.machines("shop") == []
    assert user.rows("shop") == 0


def swept(user):
    """Nodes that the unreachable server could not forget are removed once it is reachable."""
    user.ready("maintain", "--sweep")
    assert user.query("SELECT 1 FROM configurations") == []


def test_a_wrong_key(shop, cloud, goiardi):
    user = shop()
    entry = {"type": "chef", "auth_data": {"client_name": "admin", "client_key": goiardi.validation_key}}
    keep(user, {"config_management": [entry]})
    refused(
        user, cloud, r"the Chef server at http://\S+ refused POST \S+: .*: check client_name and client_key in the cred"
    )
    keep(user, credentials(goiardi))
    swept(user)


def test_an_unknown_role(shop, cloud):
    user = shop(run_list=["role[bsae]"])
    refused(user, cloud, r"config_management.run_list: the Chef server has no role 'bsae'")


def passing_on(goiardi, change):
    """A server between; `change` gets the headers of each call and may change them."""

    def respond(method, path, headers, body):
        sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        change(sent)
        answer = requests.request(method, goiardi.endpoint + path, headers=sent, data=body or None, timeout=SECONDS)
        return answer.status_code, {"Content-Type": "application/json"}, answer.content

    return answering(respond=respond)


def test_a_clock_that_is_20_minutes_off(shop, cloud, goiardi):
    wrong = [True]

    def late(headers):
        if not wrong:
            return
        hours, minutes, rest = headers["X-Ops-Timestamp"].split(":")
        day, hour = hours.split("T")
        total = (int(hour) * 60 + int(minutes) - 20) % (24 * 60)
        headers["X-Ops-Timestamp"] = f"{day}T{total // 60:02}:{total % 60:02}:{rest}"

    with passing_on(goiardi, late) as endpoint:
        user = shop(endpoint)
        refused(user, cloud, r"Authentication failed\. Please check your system's clock\.$")
        wrong.clear()
        swept(user)


@pytest.fixture
def own_goiardi():
    """A Chef server that may be stopped."""
    if not installed():
        pytest.skip("goiardi is not installed: apt-get install goiardi")
    with Goiardi() as server:
        yield server
        assert server.left() == []


def test_a_server_that_is_down_when_nodes_are_registered(shop, cloud, own_goiardi):
    user = shop(own_goiardi.endpoint, timeout=1)
    keep(user, credentials(own_goiardi))
    own_goiardi.stop()
    refused(user, cloud, r"the Chef server at http://\S+: the connection was refused$")
    own_goiardi.start()
    swept(user)


def test_a_server_that_goes_down_before_nodes_have_converged(shop, cloud, own_goiardi, until):
    """The limit becomes longer until the server is down well before it is over."""
    for seconds in (3, 12, 48, 192):
        user = shop(own_goiardi.endpoint, timeout=seconds)
        keep(user, credentials(own_goiardi))
        with user.start("build", "infra.yaml", "-i", "shop", "--parallelize") as build:
            until(lambda: build.poll() is not None or (
                len(own_goiardi.names("nodes")) == 2 and len(cloud.machines("shop")) == 2
            ))  # fmt: skip
            own_goiardi.stop()
            ended = user.end(build)
        own_goiardi.start()
        swept(user)
        assert ended.code == 1, ended
        assert cloud.machines("shop") == []
        assert own_goiardi.left() == []
        if any(f"not configured within {seconds} s: the Chef server at" in line for line in ended.complaint):
            return
    pytest.fail(f"{ended}")


def test_a_server_that_is_down_at_the_destruction_is_asked_again(shop, cloud, own_goiardi, until):
    user = shop(own_goiardi.endpoint)
    keep(user, credentials(own_goiardi))
    with user.start("build", "infra.yaml", "-i", "shop", "--parallelize") as build:
        until(lambda: len(own_goiardi.names("nodes")) == 2)
        until(
            lambda: (
                [own_goiardi.converge(name, 1.0) for name in own_goiardi.names("nodes")] and build.poll() is not None
            )
        )
        assert user.end(build).code == 0
    own_goiardi.stop()
    ended = user.run("destroy", "-i", "shop")
    (line,) = [line for line in ended.complaint if "has not forgotten 2 nodes" in line]
    assert "the connection was refused" in line
    assert cloud.machines("shop") == []
    own_goiardi.start()
    assert len(own_goiardi.left()) == 4
    swept(user)
    assert own_goiardi.left() == []


def test_the_example_as_its_readme_has_it(workspace, held_port):
    if not installed():
        pytest.skip("goiardi is not installed: apt-get install goiardi")
    port = str(held_port)
    for file in EXAMPLE.glob("*.*"):
        workspace.write(f"chef/{file.name}", file.read_text().replace("5500", port))
    blocks = re.findall(r"```sh\n(.*?)```", (workspace.folder / "chef" / "README.md").read_text(), re.DOTALL)
    first, *others = (line for block in blocks for line in block.splitlines() if not line.startswith(". "))
    assert first == "cd examples/chef"
    script = "\n".join(["set -e", "cd chef", *others])
    environ = {**workspace.environ, "PATH": f"{SCRIPTS}:{workspace.environ['PATH']}"}
    words = {"cwd": workspace.folder, "env": environ, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(["bash", "-c", script], text=True, start_new_session=True, **words) as process:
        try:
            output, _ = process.communicate(timeout=2 * LONGEST)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    node = json.loads(output[output.index("\n{\n") : output.index("\n}\n") + 2])
    assert node["chef_environment"] == "chef"
    assert node["run_list"] == ["role[chef_web]", "recipe[apache2]"]
    assert node["normal"]["service"] == {"port": "80"}
    assert node["normal"]["database"]["host"].startswith("127.")
    assert not (workspace.folder / "chef" / "server").exists()
    assert not list((workspace.home / ".occopus" / "local").glob("occopus-*"))
