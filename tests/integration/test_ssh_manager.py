"""The commands with nodes that the manager `ssh` configures: each failure as one line that leaves nothing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import psutil
import pytest

from occopus_core.api.ssh import generate_host_key
from occopus_core.testing.sshd import SshServer, installed, silent_port

pytestmark = pytest.mark.integration

STATE = Path("/var/lib/occopus")


@pytest.fixture(scope="module")
def sshd():
    if not installed():
        pytest.skip("OpenSSH is not installed: apt-get install openssh-server")
    if os.geteuid() != 0:
        pytest.skip("the tests log in as root: only root can start such a server")
    with SshServer(["0.0.0.0"]) as server:  # the machines of the cloud have addresses all over the loopback
        yield server


@pytest.fixture
def shop(workspace, cloud, sshd):
    """Writes the files of an infrastructure with a node that the manager `ssh` configures."""

    def shop(*commands, timeout=120, auth=None, **section):
        definitions = json.loads(cloud.definitions("worker"))
        (implementation,) = definitions["node_def:worker"]
        section = {"type": "ssh", "port": sshd.port, "commands": list(commands), **section}
        implementation["config_management"] = section
        implementation["health_check"]["timeout"] = timeout
        workspace.ready("import", workspace.write("nodes.yaml", json.dumps(definitions)))
        node = {"name": "web", "type": "worker", "variables": {"number": "1"}}
        workspace.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "shop", "nodes": [node]}))
        file = workspace.home / ".occopus" / "auth_data.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"config_management": [{"type": "ssh", "auth_data": auth or sshd.auth}]}))
        file.chmod(0o600)
        return workspace

    return shop


def jobs(node_id):
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if f"{STATE}/{node_id}/job" in (process.info["cmdline"] or ()) and process.info["status"] != "zombie"
    ]


def nothing_is_left(user, cloud, until):
    assert cloud.machines("shop") == []
    assert user.rows("shop") == 0
    assert user.query("SELECT 1 FROM configurations") == []
    tokens = [token.removeprefix("occopus-") for token in cloud.created]
    until(lambda: not any(jobs(node_id) for node_id in tokens))
    assert [node_id for node_id in tokens if (STATE / node_id).exists()] == []


def refused(user, cloud, until, words):
    """The error of a build with such a line for its node; nothing is left."""
    ended = user.run("build", "infra.yaml", "-i", "shop")
    assert ended.code == 1, ended
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert re.search(rf"^error: node 'web' \(sim \S+\): {words}", line), ended
    assert "PRIVATE KEY" not in ended.stdout + ended.stderr
    nothing_is_left(user, cloud, until)
    return ended


def test_a_command_that_fails(shop, cloud, until):
    user = shop("true", {"name": "format", "run": "echo before; echo no disk >&2; exit 7"})
    ended = refused(user, cloud, until, r"command 2 of 2 \(format\) ended with exit code 7: no disk; its last output:$")
    assert "    before\n    no disk\n" in ended.stderr


def test_a_machine_is_cleaned_where_its_job_is_cancelled_for_the_failure_of_another(shop, cloud, until, tmp_path):
    begun = tmp_path / "begun"
    fails = f"until [ -e {begun} ]; do sleep 0.1; done; exit 7"
    user = shop(f"if [ {{{{ name }}}} = web ]; then {fails}; fi; touch {begun}; exec sleep 100000")
    nodes = [{"name": name, "type": "worker"} for name in ("web", "slow")]
    user.write("infra.yaml", json.dumps({"user_id": "me", "infra_name": "shop", "nodes": nodes}))
    ended = user.run("build", "infra.yaml", "-i", "shop", "--parallelize")
    assert ended.code == 1, ended
    assert begun.exists()
    nothing_is_left(user, cloud, until)


def test_a_command_that_hangs_is_ended_on_the_machine(shop, cloud, until):
    """The limit is doubled until the job comes to its command within it."""
    for seconds in (5, 20, 80, 320):
        user = shop({"name": "wait", "run": "sleep 100000"}, timeout=seconds)
        ended = user.run("build", "infra.yaml", "-i", "shop")
        assert ended.code == 1, ended
        nothing_is_left(user, cloud, until)
        (line,) = [line for line in ended.complaint if line.startswith("error: ")]
        assert f"not configured within {seconds} s" in line
        if line.endswith(": command 1 of 1 (wait)"):
            return
    pytest.fail(line)


def test_a_key_that_is_refused(shop, cloud, until):
    user = shop("true", timeout=4, user="root", auth={"private_key": generate_host_key().private})
    words = r"not configured within 4 s: \S+:\d+ refused the key of the SSH user 'root'$"
    refused(user, cloud, until, words)


def test_no_credentials_are_found_before_anything_is_made(shop, cloud, until):
    user = shop("true", user="root", auth={"become_password": "something else"})
    ended = user.run("build", "infra.yaml", "-i", "shop")
    assert ended.code in (1, 2), ended
    assert any("no key and no password for the SSH user 'root'" in line for line in ended.complaint), ended
    assert cloud.created == set()
    nothing_is_left(user, cloud, until)


def test_a_host_that_cannot_be_reached(shop, cloud, until):
    user = shop("true", timeout=3, port=1)
    refused(user, cloud, until, r"not configured within 3 s: \S+:1 cannot be reached: Connection refused$")


def test_a_host_that_is_silent(shop, cloud, until):
    with silent_port() as port:
        user = shop("true", timeout=3, port=port, connect_timeout=1)
        refused(user, cloud, until, r"not configured within 3 s: \S+ (did not answer as|cannot be reached)")


@pytest.fixture
def built(shop, sshd):
    """A machine that is ready, and the description for another configuration of it."""
    user = shop("echo {{ variables.number }}")
    user.ready("build", "infra.yaml", "-i", "shop")
    text = (user.folder / "infra.yaml").read_text()
    user.write("changed.yaml", text.replace('"number": "1"', '"number": "2"'))
    before = sshd.host_key
    yield user
    sshd.stop()
    sshd.start(before)


def not_reconfigured(user, words):
    """A build that leaves the machine unchanged, with one line that gives the reason."""
    ended = user.run("build", "changed.yaml", "-i", "shop")
    assert ended.code == 1, ended
    (line,) = [line for line in ended.complaint if line.startswith("error: ")]
    assert re.search(words, line), ended
    (instance,) = user.report("shop")["web"]["instances"].values()
    assert (instance["state"], instance["stage"]) == ("ready", "ready")
    assert re.search(words, instance["note"]), instance


def test_a_host_key_that_has_changed(built, cloud, sshd):
    sshd.stop()
    sshd.start(generate_host_key())
    not_reconfigured(built, r"not reconfigured: \S+ shows another host key than the one pinned for it: ")
    built.ready("destroy", "-i", "shop")
    assert cloud.machines("shop") == []
    assert built.rows("shop") == 0


def test_a_machine_that_is_away_when_it_is_destroyed(built, cloud, sshd):
    sshd.stop()
    built.ready("destroy", "-i", "shop")
    assert cloud.machines("shop") == []
    assert built.rows("shop") == 0
    assert built.query("SELECT 1 FROM configurations") == []
