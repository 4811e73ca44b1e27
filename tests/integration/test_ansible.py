"""The commands with nodes that Ansible configures: the example, and each failure as one line that leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import psutil
import pytest

from occopus_core.api.ssh import generate_host_key
from occopus_core.testing.sshd import SshServer, installed, silent_port
from tests.forking import SCRIPTS
from tests.integration.conftest import LONGEST

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ansible"
MARKER = "OCCOPUS_ANSIBLE_JOB"
TASKS = "- hosts: all\n  gather_facts: false\n  tasks:\n"


def need_ssh():
    if not installed() or shutil.which("ssh") is None:
        pytest.skip("OpenSSH is not installed: apt-get install openssh-server openssh-client")
    if os.geteuid() != 0:
        pytest.skip("the tests log in as root: only root can start such a server")


def runs(user):
    """The processes that runs of Ansible have started for this user."""
    return [
        process
        for process in psutil.process_iter(["environ", "status"])
        if (process.info["environ"] or {}).get(MARKER, "").startswith(str(user.home))
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def nothing_is_left(user, until):
    assert user.query("SELECT 1 FROM infrastructures") == []
    assert user.query("SELECT 1 FROM configurations") == []
    until(lambda: not runs(user))
    root = user.home / ".occopus" / "ansible"
    until(lambda: not root.exists() or list(root.iterdir()) == [])  # a worker removes the folder at its end


def test_the_example_as_its_readme_has_it(workspace, until):
    need_ssh()
    shutil.copytree(EXAMPLE, workspace.folder / "ansible", ignore=shutil.ignore_patterns("key", "changed.yaml"))
    blocks = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    first, *others = (line for block in blocks for line in block.splitlines() if not line.startswith(". "))
    assert first == "cd examples/ansible"
    script = "\n".join(["set -e", "cd ansible", *others])
    environ = {**workspace.environ, "PATH": f"{SCRIPTS}:{workspace.environ['PATH']}"}
    words = {"cwd": workspace.folder, "env": environ, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(["bash", "-c", script], text=True, start_new_session=True, **words) as process:
        try:
            output, _ = process.communicate(timeout=3 * LONGEST)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    greetings = re.findall(r"<h1>(.*) from web at 127\.\S+</h1>\n<p>The database is (127\.\S+):5432</p>", output)
    assert [greeting for greeting, _ in greetings] == ["Hello", "Good morning"]
    assert "extra_vars" in output, "the plan names what has changed"
    nothing_is_left(workspace, until)
    assert not list((workspace.home / ".occopus" / "local").glob("occopus-*"))


# Failures, on the simulated cloud, whose machines are the sshd of the tests


@pytest.fixture(scope="module")
def sshd():
    need_ssh()
    with SshServer(["0.0.0.0"]) as server:  # the machines of the cloud have addresses all over the loopback
        yield server


@pytest.fixture
def shop(workspace, cloud, sshd):
    """Writes the files of an infrastructure with two nodes whose addresses are those of the loopback."""

    def shop(playbook, timeout=120, auth=None, **section):
        definitions = json.loads(cloud.definitions("worker"))
        (implementation,) = definitions["node_def:worker"]
        implementation["config_management"] = {"type": "ansible", "playbook": playbook, "port": sshd.port, **section}
        implementation["health_check"]["timeout"] = timeout
        workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
        node = {"name": "web", "type": "worker", "scaling": {"min": 2}}
        workspace.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "shop", "nodes": [node]}))
        file = workspace.home / ".occopus" / "auth_data.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"config_management": [{"type": "ansible", "auth_data": auth or sshd.auth}]}))
        file.chmod(0o600)
        return workspace

    return shop


def refused(user, cloud, until, words):
    """A build that ends with such a line for its node, and leaves nothing."""
    ended = user.run("build", "infra.yaml", "-i", "shop", "--parallelize")
    assert ended.code == 1, ended
    errors = [line for line in ended.complaint if line.startswith("error: ")]
    assert errors, ended
    assert all(re.search(words, line) for line in errors), ended
    assert "PRIVATE KEY" not in ended.stdout + ended.stderr
    assert cloud.machines("shop") == []
    nothing_is_left(user, until)
    return ended


@pytest.mark.parametrize(
    ("task", "place", "words"),
    [
        ("    - {name: x, ping: , pong: }\n", "4:25", "play 1, tasks, task 1 'x': it names several modules, ping and"),
        ("    - no_such_module:\n", "4:7", "couldn't resolve module/action 'no_such_module'"),
    ],
)
def test_a_wrong_playbook_is_refused_when_it_is_imported(shop, task, place, words):
    """The file of the playbook is named, with line and column. On a slow machine Ansible's check may be given up."""
    user = shop(TASKS + "    - ping:\n")
    user.write("site.yml", TASKS + task)
    definitions = json.loads((user.folder / "nodes.yaml").read_text())
    (implementation,) = definitions["node_def:worker"]
    implementation["config_management"]["playbook"] = "IMPORTED"
    text = json.dumps(definitions).replace('"IMPORTED"', "!text_import {url: file://site.yml}")
    file = user.write("nodes.yaml", text)
    for _ in range(4):
        ended = user.run("import", file)
        if ended.code:
            break
    assert ended.code == 2, ended
    (line,) = ended.complaint
    assert re.search(rf"site.yml:{place}: node_def:worker\[0\].config_management.playbook: {words}", line), line


@pytest.fixture
def edited(shop, tmp_path):
    """A playbook that is named by its path, and was edited since its definition was imported."""

    def edited(task):
        file = tmp_path / "site.yml"
        file.write_text(TASKS + "    - ping:\n")
        user = shop(str(file))
        file.write_text(TASKS + task)
        return user, re.escape(str(file))

    return edited


def test_a_playbook_with_a_syntax_error_is_refused_before_anything_is_made(edited, cloud):
    user, file = edited("    - {name: x, ping: , pong: }\n")
    ended = user.run("build", "infra.yaml", "-i", "shop")
    assert ended.code in (1, 2), ended
    words = (
        rf"config_management.playbook: {file}:4:25: play 1, tasks, task 1 'x': it names several modules, ping and po"
    )
    assert any(re.search(words, line) for line in ended.complaint), ended
    assert cloud.created == set()
    assert user.rows("shop") == 0


def test_a_playbook_that_ansible_itself_refuses_makes_no_machine(edited, cloud, until):
    """On a slow machine Ansible's check is given up, and its run refuses the playbook: the build is tried again."""
    user, file = edited("    - no_such_module:\n")
    for _ in range(4):
        before = cloud.created
        refused(user, cloud, until, rf"playbook: {file}:4:7: couldn't resolve module/action 'no_such_module'")
        if cloud.created == before:
            return
    pytest.fail("the playbook was never refused before machines were made")


def test_a_task_that_fails(shop, cloud, until):
    user = shop(TASKS + "    - {name: look, fail: {msg: the disk is full}}\n")
    refused(user, cloud, until, r"task 'look': the disk is full$")


def test_a_playbook_that_hangs(shop, cloud, until):
    """It ends at the time limit, which is doubled until the run comes to its task within it."""
    for seconds in (10, 20, 40, 80, 160):
        user = shop(TASKS + "    - {name: sleep long, wait_for: {timeout: 6000}}\n", timeout=seconds)
        ended = refused(user, cloud, until, rf"not configured within {seconds} s: ")
        if any("sleep long" in line for line in ended.complaint):
            return
    pytest.fail(f"it never came to its task: {ended}")


def test_a_key_that_is_refused(shop, cloud, until):
    user = shop(TASKS + "    - ping:\n", auth={"user": "root", "private_key": generate_host_key().private})
    refused(user, cloud, until, r"it refused the SSH login \(publickey\)$")


def test_a_host_that_cannot_be_reached(shop, cloud, until):
    user = shop(TASKS + "    - ping:\n", timeout=3, port=1)
    refused(user, cloud, until, r"not configured within 3 s: \S+:1")


def test_a_host_that_is_silent(shop, cloud, until):
    with silent_port() as port:
        user = shop(TASKS + "    - ping:\n", timeout=3, port=port)
        refused(user, cloud, until, r"not configured within 3 s: ")


def test_a_host_key_that_has_changed(shop, cloud, sshd, until):
    """A ready node whose host key is another one is not configured again; it is left as it is, and destroyed."""
    user = shop(TASKS + "    - ping:\n", extra_vars={"number": "{{variables.number|default('1')}}"})
    user.ready("build", "infra.yaml", "-i", "shop", "--parallelize")
    before = sshd.host_key
    sshd.stop()
    sshd.start(generate_host_key())
    try:
        text = json.loads((user.folder / "infra.yaml").read_text())
        text["nodes"][0]["variables"] = {"number": "2"}
        user.write("infra.yaml", json.dumps(text))
        ended = user.run("build", "infra.yaml", "-i", "shop")
        assert any("shows another host key than the one pinned for it" in line for line in ended.complaint), ended
        user.ready("destroy", "-i", "shop")
    finally:
        sshd.stop()
        sshd.start(before)
    assert cloud.machines("shop") == []
    nothing_is_left(user, until)


def test_destroying_does_not_need_the_hosts(shop, cloud, sshd, until):
    """A run is under way on hosts that then answer no more: all of it goes, and the run ends."""
    user = shop(TASKS + "    - {name: wait, wait_for: {timeout: 600}}\n")
    with user.start("build", "infra.yaml", "-i", "shop", "--parallelize") as build:
        until(lambda: len(runs(user)) > 1)
        build.kill()
        user.end(build)
    with contextlib.closing(sqlite3.connect(user.store)) as store, store:
        store.execute("UPDATE infrastructures SET lease_expires = 0")  # that of the killed process
    sshd.stop()
    try:
        with socket.create_server(("0.0.0.0", sshd.port)):
            ended = user.ready("destroy", "-i", "shop")
    finally:
        sshd.start(sshd.host_key)
    assert not [line for line in ended.complaint if "Traceback" in line or "error" in line], ended
    assert ended.complaint[-1] == "Destroyed infrastructure: 'shop'", ended
    assert cloud.machines("shop") == []
    nothing_is_left(user, until)


def test_a_build_that_is_killed_is_carried_on_and_no_run_is_doubled(shop, cloud, until, tmp_path):
    user = shop(
        TASKS
        + "    - {name: count, shell: 'echo >> $COUNT/$NAME'}\n".replace("$COUNT", str(tmp_path)).replace(
            "$NAME", "{% raw %}{{ inventory_hostname }}{% endraw %}"
        )
        + f"    - {{wait_for: {{path: {tmp_path}/release, timeout: 300}}}}\n"
    )
    with user.start("build", "infra.yaml", "-i", "shop", "--parallelize") as build:
        nodes = lambda: [row[0] for row in user.query("SELECT node_id FROM instances")]  # noqa: E731
        until(lambda: len(nodes()) == 2 and all((tmp_path / node).exists() for node in nodes()))
        build.kill()
        user.end(build)
    (tmp_path / "release").touch()
    user.await_lease("shop")
    user.ready("build", "infra.yaml", "-i", "shop", "--parallelize")
    assert [len((tmp_path / node).read_text()) for node in nodes()] == [1, 1]
    user.ready("destroy", "-i", "shop")
    assert cloud.machines("shop") == []
    nothing_is_left(user, until)


def test_an_interrupted_build_ends_its_run(shop, cloud, until):
    user = shop(TASKS + "    - {name: wait, wait_for: {timeout: 600}}\n")
    with user.start("build", "infra.yaml", "-i", "shop", "--parallelize") as build:
        until(lambda: len(runs(user)) > 1)
        build.send_signal(signal.SIGINT)
        ended = user.end(build)
    assert ended.code == 130, ended
    assert cloud.machines("shop") == []
    nothing_is_left(user, until)
