"""The configuration manager `ansible` keeps the contract, with real ansible-core over a real sshd."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

from occopus_config_ansible import Ansible
from occopus_config_ansible.folders import NodeFolder
from occopus_config_ansible.processes import end_all
from occopus_core.api import Connection
from occopus_core.api.ssh import MemoryHostKeys
from occopus_core.testing.config import ConfigHarness, ConfigManagerConformance
from occopus_core.testing.conformance.harness import Fault

SECRET = "correct-horse-battery"
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
      fail: {msg: "no database lets {{ db_password }} in"}
      when: kind == "failing"
"""
SETTLE_SECONDS = 0.2


class AnsibleHarness(ConfigHarness):
    sdk_modules: ClassVar[tuple[str, ...]] = ("ansible", "ansible_runner", "paramiko", "yaml")
    faults: ClassVar[frozenset[Fault]] = frozenset({Fault.SERVER_ERROR})
    published: ClassVar[Mapping[str, Any]] = {"fqdn": "node.internal"}
    not_applicable: ClassVar[Mapping[str, str]] = {
        "status_costs_pages": "it reads files of this machine: there are no calls to count",
        "hang": "its service is the disk of this machine; nodes that are silent are in test_ansible",
    }
    patience = 900
    grace = 15.0
    crowd = 4

    def __init__(self, sshd):
        super().__init__()
        self._sshd = sshd
        self._folder = Path(tempfile.mkdtemp(prefix="occopus-conformance-"))
        self._root = self._folder / "root"
        self._host_keys = MemoryHostKeys()
        self._orders = Counter()
        write = NodeFolder.write_order

        def counted(folder, order, work):
            self._orders[folder.node_id] += 1
            write(folder, order, work)

        self._patch = mock.patch.object(NodeFolder, "write_order", counted)
        self._patch.start()

    def manager(self, *, call_timeout=None):
        settings = {"root": str(self._root)}
        return Ansible(Connection("ansible", settings, self._sshd.auth, call_timeout or 60.0, self._host_keys))

    def section(self, kind="plain", variant=0):
        variables = {"folder": str(self._folder), "kind": kind, "variant": str(variant), "db_password": SECRET}
        return {
            "root": str(self._root),
            "playbook": PLAYBOOK,
            "extra_vars": variables,
            "port": self._sshd.port,
            "groups": ["servers"],
        }

    def settle(self):
        time.sleep(SETTLE_SECONDS)

    def jobs(self, node):
        """Those that have begun on the node; not before one has, and not fewer than were ordered."""
        file = self._folder / node.node_id
        deadline = time.monotonic() + self.patience * SETTLE_SECONDS
        while not file.exists():
            assert time.monotonic() < deadline, "no job begins"
            self.settle()
        return max(len(file.read_text().splitlines()), self._orders[node.node_id])

    def lose(self, node):
        shutil.rmtree(self._root / node.infra_id / "nodes" / node.node_id)

    def inject(self, fault: Fault):
        assert fault is Fault.SERVER_ERROR
        self._root.rename(self._folder / "away")
        self._root.write_text("no folder")

    def clear(self):
        if self._root.is_file():
            self._root.unlink()
            (self._folder / "away").rename(self._root)

    def secrets(self) -> tuple[Any, ...]:
        return (self._sshd.user_key.private, SECRET)

    def close(self):
        self._patch.stop()
        self.clear()
        (self._folder / "release").touch()
        for infra in self._root.glob("*/nodes"):
            shutil.rmtree(infra)  # their workers end
        end_all(str(self._root))
        shutil.rmtree(self._folder, ignore_errors=True)


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, sshd):
        harness = AnsibleHarness(sshd)
        yield harness
        harness.close()
