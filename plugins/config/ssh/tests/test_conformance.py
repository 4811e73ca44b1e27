"""The configuration manager `ssh` keeps the contract, on a real OpenSSH server."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from occopus_config_ssh import SshManager
from occopus_core.api import Connection
from occopus_core.testing.config import ConfigHarness, ConfigManagerConformance
from occopus_core.testing.conformance.harness import Fault

STATE = Path("/var/lib/occopus")
_ON_THE_NODE = "what is held for a node is on the node, and goes with it"
_SECRET = "s3cr3t-of-a-file"


class Noting(SshManager):
    """Notes the nodes it logs in to: what they keep is removed from this machine at the end."""

    contract_version: ClassVar[int] = 1

    def __init__(self, connection, nodes):
        super().__init__(connection)
        self._nodes = nodes

    def _run(self, node, *arguments):
        self._nodes.add(node.node_id)
        return super()._run(node, *arguments)


class SshHarness(ConfigHarness):
    sdk_modules: ClassVar[tuple[str, ...]] = ("paramiko", "cryptography")
    holds: ClassVar[bool] = False
    faults: ClassVar[frozenset[Fault]] = frozenset({Fault.HANG})
    patience: ClassVar[int] = 2000
    grace: ClassVar[float] = 15.0
    not_applicable: ClassVar[Mapping[str, str]] = {
        "forgotten_is_unknown": _ON_THE_NODE,
        "forget_as_registered": _ON_THE_NODE,
        "silence_is_not_unknown": "nothing is between Occopus and a node: a silent node has a state of its own",
        "status_costs_pages": "every node is asked itself, side by side",
    }

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix="occopus-config-ssh-"))
        self.silent = None
        self.nodes = set()

    def manager(self, *, call_timeout=None):
        return Noting(Connection("ssh", {}, self.server.auth, call_timeout or 60.0), self.nodes)

    def section(self, kind="plain", variant=0):
        jobs = self.folder / "jobs"
        last = {"plain": "true", "failing": "echo no such thing >&2; exit 3", "endless": "sleep 100000"}[kind]
        files = [{"path": str(self.folder / "file"), "content": f"{_SECRET} {variant}", "mode": "0600"}]
        port = self.silent.getsockname()[1] if self.silent else self.server.port
        commands = [
            f"echo $PPID >>{jobs}.$(basename $(dirname $(tr '\\0' '\\n' </proc/$PPID/cmdline | tail -n 1)))",
            last,
        ]
        return {"files": files, "commands": commands, "port": port}

    def settle(self):
        time.sleep(0.02)

    def jobs(self, node):
        counted = Path(f"{self.folder}/jobs.{node.node_id}")
        ends = time.monotonic() + 60.0
        while not counted.exists() and time.monotonic() < ends:
            self.settle()
        return len(counted.read_text().splitlines())

    def lose(self, node):
        shutil.rmtree(STATE / node.node_id)

    def inject(self, fault):
        self.silent = socket.create_server(("127.0.0.1", 0))

    def clear(self):
        if self.silent is not None:
            self.silent.close()
            self.silent = None

    def secrets(self):
        return (self.server.auth["private_key"], _SECRET)

    def close(self):
        self.clear()
        ends = time.monotonic() + 60.0
        while self.folder.exists() and time.monotonic() < ends:  # a job that is about to start writes into it once more
            shutil.rmtree(self.folder, ignore_errors=True)
        assert not self.folder.exists(), "a job goes on writing into the folder of the tests"
        for node_id in self.nodes:
            shutil.rmtree(STATE / node_id, ignore_errors=True)


class TestConformance(ConfigManagerConformance):
    @pytest.fixture
    def harness(self, server, monkeypatch):
        monkeypatch.setattr("occopus_core.testing.config.harness.ADDRESS", server.addresses[0])
        harness = SshHarness(server)
        yield harness
        harness.close()
