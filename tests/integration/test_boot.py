"""Machines that really boot: systemd and cloud-init take the user data that the commands render.

The file system of the machines is made once, for all checkouts, in the cache of the user (`contrib/real-machine`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from occopus_core.api.ssh import generate_host_key

from .machines.occopus_resource_nspawn import stop
from .test_ec2 import RECEIVER, SENDER

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
MACHINES = Path(__file__).with_name("machines")
PROGRAMS = {"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "ip": "iproute2"}
FINISHED = re.compile(r"^Cloud-init .* finished at .*NoCloud", re.MULTILINE)
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PUPPET = """\
write_files:
- path: /srv/page.pp
  content: |
    file { '/var/log/page.html': content => lookup('page::greeting') }
- path: /srv/hiera.yaml
  content: '{version: 5, hierarchy: [{name: it, path: attributes.json, data_hash: json_data, datadir: /srv}]}'
- path: /srv/attributes.json
  content: |
    {% for attribute in puppet.attributes %}{{ attribute|tojson }}{% endfor %}
runcmd:
- |
  for manifest in {{puppet.manifests}}; do
    puppet apply --hiera_config /srv/hiera.yaml "$manifest"
  done
"""
SSH = """\
disable_root: false
ssh_authorized_keys: ['%s']
"""


@pytest.fixture(scope="session")
def root():
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=SEARCHED) is None]
    if missing:
        pytest.skip(f"not installed: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("only root can boot such a machine")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    script = ROOT / "contrib" / "real-machine"
    folder = cache / "occopus-tests" / f"machine-{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    made = subprocess.run(
        [script, folder], check=False, capture_output=True, text=True, env={**os.environ, "PATH": SEARCHED}
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def machines(tmp_path_factory):
    """A folder for the machines, a bridge that connects them, and their network, each of which no other test has."""
    folder = tmp_path_factory.mktemp("machines")
    digest = hashlib.sha256(f"{folder} {os.getpid()}".encode()).digest()
    bridge, network = f"oc{digest.hex()[:8]}", f"10.{96 + digest[0] % 32}.{digest[1]}"
    for words in (["link", "add", bridge, "type", "bridge"], ["addr", "add", f"{network}.1/24", "dev", bridge],
                  ["link", "set", bridge, "up"]):  # fmt: skip
        subprocess.run(["ip", *words], check=True)
    yield folder, bridge, network
    for each in folder.iterdir():
        stop(each)
    subprocess.run(["ip", "link", "del", bridge], check=True)


def connected(bridge):
    """The interfaces of machines; each ends with the last process of its machine."""
    return json.loads(
        subprocess.run(["ip", "-json", "link", "show", "master", bridge], check=True, stdout=subprocess.PIPE).stdout
    )


@pytest.fixture
def user(workspace, machines, root):
    folder, bridge, network = machines
    key = generate_host_key()
    resource = {"type": "nspawn", "endpoint": str(folder), "root": str(root), "network": network, "bridge": bridge}

    def definition(template, context=None, **sections):
        sections["resource"] = resource
        sections["contextualisation"] = {"type": "cloudinit", "context_template": template, **(context or {})}
        return [{"health_check": {"ping": False, "timeout": 600}, **sections}]

    puppet = {
        "type": "puppet_solo",
        "manifests": ["/srv/page.pp"],
        "attributes": [{"page::greeting": "{{variables.message}}"}],
    }
    files = [{"path": "/etc/motd", "content": "{{ variables.message }}\n", "mode": "0600"}]
    ssh = {"type": "ssh", "files": files, "commands": ["cp /etc/motd /etc/ssh/ssh_host_ed25519_key.pub /var/log/"]}
    definitions = {
        "receiver": definition(yaml.safe_load(RECEIVER)),
        "sender": definition(yaml.safe_load(SENDER)),
        "puppet": definition("#cloud-config\n" + PUPPET, config_management=puppet),
        "ssh": definition(
            "#cloud-config\n" + SSH % key.public, {"ssh": {"host_key": "generate"}}, config_management=ssh
        ),
    }
    workspace.environ["PYTHONPATH"] = os.pathsep.join([str(MACHINES), workspace.environ.get("PYTHONPATH", "")])
    workspace.environ["PATH"] = SEARCHED
    workspace.write("nodes.yaml", json.dumps({f"node_def:{name}": each for name, each in definitions.items()}))
    auth = workspace.home / ".occopus" / "auth_data.yaml"
    auth.parent.mkdir()
    auth.write_text(json.dumps({"config_management": [{"type": "ssh", "auth_data": {"private_key": key.private}}]}))
    auth.chmod(0o600)
    return workspace


def test_machines_boot_with_the_user_data_of_the_commands(user, machines, until):
    folder, bridge, _ = machines
    nodes = [
        {"name": "ping-receiver", "type": "receiver", "variables": {"message": "I am the receiver."}},
        {"name": "ping-sender", "type": "sender"},
        {"name": "page", "type": "puppet", "variables": {"message": "Hello from Puppet"}},
        {"name": "shell", "type": "ssh", "variables": {"message": "made over SSH"}},
    ]
    edges = [("ping-sender", "ping-receiver")]
    described = {"user_id": "me", "infra_name": "boot", "nodes": nodes, "dependencies": edges}
    user.ready("import", "nodes.yaml")
    user.ready("build", user.write("infra.yaml", json.dumps(described)), "-i", "boot", "--parallelize")
    instances = dict(user.query("SELECT node_name, instance_id FROM instances"))
    assert len(connected(bridge)) == len(nodes)
    places = {name: folder / instance for name, instance in instances.items()}

    # cloud-init came to its end on every machine, and did all that it was asked to do
    for place in places.values():
        log = place / "log" / "cloud-init-output.log"
        until(lambda log=log: log.exists() and FINISHED.search(log.read_text()))
        assert "Traceback" not in log.read_text()
        warnings = [line for line in (place / "log" / "cloud-init.log").read_text().splitlines() if "[WARNING]" in line]
        assert warnings == [], (place / "seed" / "user-data").read_text()

    # ec2-ping
    assert (places["ping-receiver"] / "tmp" / "message.txt").read_text() == "I am the receiver.\n"
    assert "5 packets transmitted, 5 received" in (places["ping-sender"] / "tmp" / "ping-result.txt").read_text()

    # the manifest was applied by the machine itself
    assert (places["page"] / "log" / "page.html").read_text() == "Hello from Puppet"
    said = (places["page"] / "log" / "cloud-init-output.log").read_text()
    assert "Stage[main]/Main/File[/var/log/page.html]/ensure: defined content as" in said

    # the machine shows the key that was made for it: the only one that the store has ever had
    assert (places["shell"] / "log" / "motd").read_text() == "made over SSH\n"
    shown = (places["shell"] / "log" / "ssh_host_ed25519_key.pub").read_text().split()[:2]
    pinned = user.query("SELECT keys FROM host_keys")
    assert [key.split()[:2] for (key,) in pinned] == [shown]
    assert shown[1] in (places["shell"] / "seed" / "user-data").read_text(), "the first contact was verified"

    user.ready("destroy", "-i", "boot")
    until(lambda: connected(bridge) == [])
    assert [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()] == []
    assert user.query("SELECT 1 FROM infrastructures") == []
