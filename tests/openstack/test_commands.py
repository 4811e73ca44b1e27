"""The commands on a real OpenStack, with a description like the one that users have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from faults import Fault, html

# openstacksdk says so of itself, whatever is asked of it.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

SCRIPTS = Path(sys.executable).parent
EXAMPLE = Path(__file__).resolve().parents[2] / "examples/openstack"
LONGEST = 180


class Desk:
    """A home with credentials and a store, and the commands."""

    def __init__(self, folder, account):
        self.folder, self.account = folder, account
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OCCOPUS_STORE": f"sqlite:///{folder}/store.db",
            "OCCOPUS_AUTH_DATA_PATH": str(folder / "auth.yaml"),
        }
        self.credentials(account.auth)

    def credentials(self, auth):
        file = self.folder / "auth.yaml"
        file.write_text(json.dumps({"resource": [{"type": "nova", "auth_data": auth}]}))
        file.chmod(0o600)

    def define(self, *resources, name="nodes.yaml", node="worker"):
        implementations = [
            {
                "resource": resource,
                "contextualisation": {"type": "cloudinit", "context_template": {"hostname": "{{ name }}"}},
                "health_check": {"ping": False, "timeout": 120},
            }
            for resource in resources
        ]
        (self.folder / name).write_text(json.dumps({f"node_def:{node}": implementations}))
        return self.ready("import", name)

    def describe(self, name="infra.yaml", **scaling):
        nodes = [{"name": "web", "type": "worker", "scaling": {"min": 1, "max": 3, **scaling}}]
        (self.folder / name).write_text(json.dumps({"user_id": "me", "infra_name": "trial", "nodes": nodes}))

    def run(self, command, *words):
        ended = subprocess.run(
            [SCRIPTS / f"occopus-{command}", *words],
            cwd=self.folder,
            env=self.environ,
            text=True,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )
        assert "Traceback" not in ended.stderr
        assert self.account.auth["password"] not in ended.stdout + ended.stderr
        return ended

    def ready(self, command, *words):
        ended = self.run(command, *words)
        assert ended.returncode == 0, ended.stderr
        return ended

    def instances(self, infra_id):
        report = json.loads(self.ready("maintain", "-r", "-i", infra_id, "-o", "json").stdout)
        return {name: list(node["instances"].values()) for name, node in report.items()}


@pytest.fixture
def desk(tmp_path, account, proxy):
    yield Desk(tmp_path, account)
    assert gone(account) == {}, "something is left at the cloud"


def gone(account):
    """What is left once deletions under way had time to end."""
    deadline = time.monotonic() + 30
    while (left := account.left()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return left


def refused(desk, *resources):
    """The one line that tells why a build failed."""
    desk.define(*resources)
    desk.describe()
    ended = desk.run("build", "infra.yaml", "-i", "trial")
    assert ended.returncode != 0
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith(("error", "Error", "occopus"))] or [""]
    return line or ended.stderr


def test_the_example_lives(desk, account):
    """Built, reported, scaled, healed and destroyed, with floating IPs and a volume."""
    definitions = (EXAMPLE / "nodes.yaml").read_text()
    parsed = yaml.safe_load(definitions)
    for (implementation,) in parsed.values():
        implementation["resource"] |= account.resource()
        implementation["resource"].pop("key_name", None)
        implementation["health_check"] = {"ping": False, "timeout": 120}
    (desk.folder / "nodes.yaml").write_text(yaml.safe_dump(parsed))
    desk.ready("import", "nodes.yaml")
    desk.ready("build", "--parallelize", str(EXAMPLE / "infra.yaml"), "-i", "trial")

    nodes = desk.instances("trial")
    assert [each["resource_address"].startswith("203.0.113.") for each in nodes["ping-receiver"]] == [True]
    assert len(account.servers()) == 2

    desk.ready("scale", "-i", "trial", "-n", "ping-sender", "-s", "2")
    desk.ready("maintain", "-i", "trial")
    assert len(account.servers()) == 3

    account.cloud.compute.delete_server(account.servers()[0], force=False)
    deadline = time.monotonic() + 60
    while len(account.servers()) > 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    while len(account.servers()) < 3:  # one that is a few seconds old is not yet believed to be absent
        assert time.monotonic() < deadline
        desk.ready("maintain", "-i", "trial")
    desk.ready("destroy", "-i", "trial")


def test_no_valid_host_goes_on_with_the_next_implementation(desk, account):
    desk.define(account.resource(flavor_name="m1.huge"), account.resource())
    desk.describe(min=2)
    ended = desk.ready("build", "--parallelize", "infra.yaml", "-i", "trial")
    assert [each.flavor["original_name"] for each in account.servers()] == ["m1.tiny"] * 2
    assert [each.status for each in account.servers()] == ["ACTIVE"] * 2
    assert "node web failed" not in ended.stderr
    desk.ready("destroy", "-i", "trial")


def test_no_room_anywhere_is_one_clear_line(desk, account):
    assert "No valid host was found" in refused(desk, account.resource(flavor_name="m1.huge"))


def test_a_quota_goes_on_with_the_next_cloud(tmp_path, narrow, account, proxy):
    """Two projects are two connections: the first has room for one server."""
    desk = Desk(tmp_path, narrow)
    entries = [{"type": "nova", "project_id": each.project_id, "auth_data": each.auth} for each in (narrow, account)]
    (tmp_path / "auth.yaml").write_text(json.dumps({"resource": entries}))
    desk.define(narrow.resource(), account.resource())
    desk.describe(min=3)
    desk.ready("build", "--parallelize", "infra.yaml", "-i", "trial")
    assert len(narrow.servers()) <= 1
    assert len(narrow.servers()) + len(account.servers()) == 3
    desk.ready("destroy", "-i", "trial")
    assert (gone(narrow), gone(account)) == ({}, {})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"image_id": "no-such-image"}, "resource.image_id: 'no-such-image'"),
        ({"network_id": "no-such-network"}, "resource.network_id: 'no-such-network'"),
        ({"flavor_name": "no-such-flavor"}, "resource.flavor_name: 'no-such-flavor'"),
        ({"key_name": "no-such-key"}, "resource.key_name"),
        ({"security_groups": ["no-such-group"]}, "resource.security_groups"),
        ({"floating_ip_pool": "no-such-pool", "volume_size": 1}, "resource.floating_ip_pool: 'no-such-pool'"),
        ({"region_name": "nowhere"}, "resource.region_name"),
        ({"project_id": "0" * 32}, "requires authentication"),
    ],
)
def test_what_does_not_exist_is_named(desk, account, wrong, told):
    assert told in refused(desk, account.resource(**wrong))


def test_a_wrong_password_is_one_clear_line(desk, account):
    desk.credentials({**account.auth, "password": "not-the-password"})
    assert "requires authentication" in refused(desk, account.resource())


def test_an_endpoint_that_is_another_server_is_told(desk, account, proxy):
    proxy.rule = lambda _request: html(200)
    assert "is resource.endpoint an Identity URL?" in refused(desk, account.resource())


def test_a_deletion_whose_answer_is_lost_leaves_nothing(desk, account, proxy):
    desk.define(account.resource(floating_ip="yes", volume_size=1))
    desk.describe()
    desk.ready("build", "infra.yaml", "-i", "trial")
    lost = set()

    def lose_each_once(request):
        if request.method == "DELETE" and request.path not in lost:
            lost.add(request.path)
            return Fault.LOST_REPLY
        return None

    proxy.rule = lose_each_once
    desk.ready("destroy", "-i", "trial")
    assert len(lost) == 2, "a floating IP and a server were to be deleted"


def test_an_interrupted_build_leaves_nothing(desk, account):
    desk.define(account.resource(volume_size=1, floating_ip="yes"))
    desk.describe(min=2)
    build = subprocess.Popen(
        [SCRIPTS / "occopus-build", "--parallelize", "infra.yaml", "-i", "trial"],
        cwd=desk.folder,
        env=desk.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not account.left():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    build.send_signal(signal.SIGKILL)
    build.wait()
    desk.ready("destroy", "-i", "trial")
