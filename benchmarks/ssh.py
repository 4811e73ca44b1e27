"""Files and commands on many hosts over SSH, compared with Ansible and pyinfra: `python -m benchmarks ssh`.

One OpenSSH server listens on a loopback address for each host. Each tool writes the same two files to each host and
runs the same command there, including the start of processes and connections. The other tools are installed in
``.benchmarks/ssh-peers`` once; each works on 50 hosts concurrently, Ansible with pipelining and without gathering
facts.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from occopus_core.testing.sshd import SshServer

PEERS = Path(".benchmarks/ssh-peers")
AT_ONCE = 50
LONGEST = 900.0
_COMMAND = "test -s {folder}/config && echo done > {folder}/result"
_CONTENT = "".join(f"line {number} of a file\n" for number in range(100))

_CHILD = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from occopus_config_ssh import SshManager
from occopus_core.api import Address, ConfigNode, ConfigState, Connection, InstanceId
work = json.load(open(sys.argv[1]))
manager = SshManager(Connection("ssh", {}, work["auth"], 120.0))
nodes = [
    ConfigNode("bench", "i", "bench", "web", node_id, node_id, section, generation="g", addresses=(Address(address),))
    for node_id, address, section in work["nodes"]
]
with ThreadPoolExecutor(manager.max_concurrency) as threads:
    list(threads.map(manager.configure, nodes))
left = nodes
while left:
    found = manager.status(left)
    states = {node.node_id: found[node.node_id].state for node in left}
    assert ConfigState.FAILED not in states.values(), found
    left = [node for node in left if states[node.node_id] is not ConfigState.READY]
    if left:
        time.sleep(manager.poll_seconds[0])
print(json.dumps({"configured": len(nodes)}))
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """The duration of a tool's run, in seconds."""

    tool: str
    hosts: int
    wall: float
    cpu: float
    """CPU time of the tool and its processes, not of the server's."""


def measure(hosts: int) -> Sequence[Taken]:
    """Run each tool once on this many hosts. Raises `RuntimeError` if one failed."""
    _install()
    addresses = [f"127.0.{64 + number // 200}.{1 + number % 200}" for number in range(hosts)]
    taken = []
    with SshServer(addresses) as server, tempfile.TemporaryDirectory(prefix="occopus-bench-") as folder:
        for tool, prepare in (("occopus", _ours), ("pyinfra", _pyinfra), ("ansible", _ansible)):
            place = Path(folder, tool)
            place.mkdir()
            command, environ = prepare(server, place)
            wall, cpu = _run(command, environ, place)
            for kept in Path("/var/lib/occopus").glob(f"bench-*-{os.getpid()}"):
                shutil.rmtree(kept)
            done = len(list(place.glob("*/result")))
            if done != hosts:
                raise RuntimeError(f"{tool} configured {done} of {hosts} hosts")
            taken.append(Taken(tool, hosts, wall, cpu))
    return taken


def _install() -> None:
    if not (PEERS / "bin" / "pyinfra").exists():
        venv.create(PEERS, with_pip=True)
        subprocess.run([PEERS / "bin" / "pip", "install", "-q", "ansible-core", "pyinfra"], check=True)


def _run(command: Sequence[str], environ: dict[str, str], place: Path) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (place / "log").open("wb") as log:
        code = subprocess.run(
            command, cwd=place, env={**os.environ, **environ}, stdout=log, stderr=log, timeout=LONGEST, check=False
        ).returncode
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code != 0:
        raise RuntimeError(f"{command[0]} ended with {code}: {(place / 'log').read_text(errors='replace')[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _ours(server: SshServer, place: Path) -> tuple[Sequence[str], dict[str, str]]:
    nodes = []
    for address in server.addresses:
        folder = f"{place}/{address}"
        files = [{"path": f"{folder}/{name}", "content": _CONTENT} for name in ("config", "other")]
        section = {"port": server.port, "files": files, "commands": [_COMMAND.format(folder=folder)]}
        nodes.append([f"bench-{address}-{os.getpid()}", address, section])
    (place / "work.json").write_text(json.dumps({"auth": server.auth, "nodes": nodes}))
    return [sys.executable, "-c", _CHILD, str(place / "work.json")], {}


def _key(server: SshServer, place: Path) -> Path:
    key = place / "key"
    key.touch(mode=0o600)
    key.write_text(server.user_key.private)
    return key


def _ansible(server: SshServer, place: Path) -> tuple[Sequence[str], dict[str, str]]:
    more = f"ansible_port={server.port} ansible_user=root ansible_ssh_private_key_file={_key(server, place)}"
    python = "ansible_python_interpreter=/usr/bin/python3"
    (place / "hosts").write_text("".join(f"{address} {more} {python}\n" for address in server.addresses))
    (place / "content").write_text(_CONTENT)
    folder = f"{place}/{{{{ inventory_hostname }}}}"
    tasks = [
        {"file": {"path": folder, "state": "directory"}},
        *({"copy": {"src": f"{place}/content", "dest": f"{folder}/{name}"}} for name in ("config", "other")),
        {"shell": _COMMAND.format(folder=folder)},
    ]
    (place / "play.yaml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    environ = {
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": str(AT_ONCE),
        "ANSIBLE_HOME": str(place / "home"),
        "LC_ALL": "C.UTF-8",
    }
    return [str((PEERS / "bin" / "ansible-playbook").absolute()), "-i", "hosts", "play.yaml"], environ


def _pyinfra(server: SshServer, place: Path) -> tuple[Sequence[str], dict[str, str]]:
    data = {
        "ssh_port": server.port,
        "ssh_user": "root",
        "ssh_key": str(_key(server, place)),
        "ssh_known_hosts_file": str(place / "known"),
        "ssh_strict_host_key_checking": "accept-new",
    }
    hosts = [(address, data) for address in server.addresses]
    (place / "hosts.py").write_text(f"hosts = {hosts!r}\n")
    (place / "content").write_text(_CONTENT)
    (place / "deploy.py").write_text(
        "from pyinfra import host\n"
        "from pyinfra.operations import files, server\n"
        f"folder = '{place}/' + host.name\n"
        "for name in ('config', 'other'):\n"
        f"    files.put(src='{place}/content', dest=folder + '/' + name, create_remote_dir=True)\n"
        f"server.shell(commands=[{_COMMAND!r}.format(folder=folder)])\n"
    )
    pyinfra = str((PEERS / "bin" / "pyinfra").absolute())
    return [pyinfra, "-y", "--parallel", str(AT_ONCE), "hosts.py", "deploy.py"], {}
