"""The harness of the manager for the conformance suite: ansible-core with an OpenSSH server on the loopback."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from occopus_config_ansible import Ansible
from occopus_config_ansible.folders import NodeFolder
from occopus_config_ansible.processes import end_all
from occopus_core.api import ConfigManager, ConfigNode, Connection
from occopus_core.api.ssh import MemoryHostKeys
from occopus_core.testing.config import ConfigHarness
from occopus_core.testing.config.harness import ADDRESS, Kind
from occopus_core.testing.conformance.harness import Fault
from occopus_core.testing.sshd import SshServer

SECRET = "correct-horse-battery"  # noqa: S105 - of the tests alone
PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: count
      shell: echo run >> {{ folder }}/{{ inventory_hostname }}
    - name: tell
      set_stats:
        data: {fqdn: node.internal}
        per_host: true
    - name: wait
      wait_for: {path: "{{ folder }}/release", timeout: 600}
      when: kind == "endless"
    - name: fail
      shell: echo "trying {{ db_password }}"; echo "{{ printed }}" >&2; exit 1
      when: kind == "failing"
"""
SETTLE_SECONDS = 0.2


class AnsibleHarness(ConfigHarness):
    """Nodes are logins to one SSH server of this machine, which needs root. It is started unless one is given."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("ansible", "ansible_runner", "paramiko", "yaml")
    printed: ClassVar[str] = "no database lets it in"
    faults: ClassVar[frozenset[Fault]] = frozenset({Fault.SERVER_ERROR})
    published: ClassVar[Mapping[str, Any]] = {"fqdn": "node.internal"}
    not_applicable: ClassVar[Mapping[str, str]] = {
        "status_costs_pages": "it reads files of this machine: there are no calls to count",
        "hang": "its service is the disk of this machine; a test of its own has nodes that are silent",
    }
    patience: ClassVar[int] = 3000
    grace: ClassVar[float] = 15.0
    crowd: ClassVar[int] = 4

    def __init__(self, server: SshServer | None = None) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._server = server or self._stack.enter_context(SshServer((ADDRESS,)))
        self._folder = Path(tempfile.mkdtemp(prefix="occopus-conformance-"))
        self._root = self._folder / "root"
        self._host_keys = MemoryHostKeys()
        self._orders: Counter[str] = Counter()
        write = NodeFolder.write_order

        def counted(folder: NodeFolder, order: Mapping[str, Any], work: Mapping[str, Any]) -> None:
            self._orders[folder.node_id] += 1
            write(folder, order, work)

        self._stack.enter_context(mock.patch.object(NodeFolder, "write_order", counted))

    def manager(self, *, call_timeout: float | None = None) -> ConfigManager:
        """A new manager on one folder."""
        settings = {"root": str(self._root)}
        return Ansible(Connection("ansible", settings, self._server.auth, call_timeout or 60.0, self._host_keys))

    def section(self, kind: Kind = "plain", variant: int = 0) -> Mapping[str, Any]:
        """A playbook with a secret among its variables."""
        variables = {"folder": str(self._folder), "kind": kind, "variant": str(variant), "db_password": SECRET}
        variables["printed"] = self.printed
        return {
            "root": str(self._root),
            "playbook": PLAYBOOK,
            "extra_vars": variables,
            "port": self._server.port,
            "groups": ["servers"],
        }

    def settle(self) -> None:
        """Wait for a moment."""
        time.sleep(SETTLE_SECONDS)

    def jobs(self, node: ConfigNode) -> int:
        """The jobs that have begun on the node; waits for the first, and for as many as were ordered."""
        file = self._folder / node.node_id
        deadline = time.monotonic() + self.patience * SETTLE_SECONDS
        while not file.exists():
            assert time.monotonic() < deadline, "no job begins"
            self.settle()
        return max(len(file.read_text().splitlines()), self._orders[node.node_id])

    def lose(self, node: ConfigNode) -> None:
        """Remove the node's folder, in which its worker may still write."""
        NodeFolder(self._root / node.infra_id / "nodes" / node.node_id).remove()

    def inject(self, fault: Fault) -> None:
        """Replace the folder by a file."""
        assert fault is Fault.SERVER_ERROR
        self._root.rename(self._folder / "away")
        self._root.write_text("no folder")

    def clear(self) -> None:
        """Restore the folder."""
        if self._root.is_file():
            self._root.unlink()
            (self._folder / "away").rename(self._root)

    def secrets(self) -> tuple[str, ...]:
        """The key of the login, and a variable."""
        return (self._server.user_key.private, SECRET)

    def close(self) -> None:
        """End its workers and their processes."""
        self.clear()
        (self._folder / "release").touch()
        for infra in self._root.glob("*/nodes"):
            shutil.rmtree(infra, ignore_errors=True)  # their workers end, and remove it too
        end_all(str(self._root))
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)
