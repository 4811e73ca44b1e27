"""The harness of the manager for the conformance suite: a real OpenSSH server on the loopback. It needs root."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from occopus_config_ssh import SshManager
from occopus_core.api import ConfigManager, ConfigNode, Connection
from occopus_core.api.ssh import HostKeyPair, generate_host_key
from occopus_core.testing import sshd
from occopus_core.testing.config import ConfigHarness, Kind
from occopus_core.testing.conformance import Fault
from occopus_core.testing.standing import Unavailable, until_exit

STATE = Path("/var/lib/occopus")
"""The folder of jobs' files on the nodes, which are all this machine."""
SECONDS = 60.0
_ON_THE_NODE = "what is held for a node is on the node, and goes with it"
_SECRET = "s3cr3t-of-a-file"  # noqa: S105 - it opens nothing


class Noting(SshManager):
    """Records the nodes it logs in to: their files are removed from this machine at the end."""

    contract_version: ClassVar[int] = 1

    def __init__(self, connection: Connection, nodes: set[str]) -> None:
        super().__init__(connection)
        self._nodes = nodes

    def _run(self, node: ConfigNode, *arguments: Any) -> Any:
        self._nodes.add(node.node_id)
        return super()._run(node, *arguments)


class SshHarness(ConfigHarness):
    """A given server, or one that is started once for the process."""

    sdk_modules: ClassVar[tuple[str, ...]] = ("paramiko", "cryptography")
    holds: ClassVar[bool] = False
    printed: ClassVar[str] = "no such thing"
    faults: ClassVar[frozenset[Fault]] = frozenset({Fault.HANG, Fault.AUTH, Fault.REFUSED_CONNECTION})
    login_seconds: ClassVar[float] = SECONDS
    """The `connect_timeout` of its sections."""
    patience: ClassVar[int] = 2000
    grace: ClassVar[float] = 15.0
    not_applicable: ClassVar[Mapping[str, str]] = {
        "forgotten_is_unknown": _ON_THE_NODE,
        "silence_is_not_unknown": "nothing is between Occopus and a node: a silent node has a state of its own",
        "status_costs_pages": "every node is asked itself, side by side",
    }

    def __init__(self, server: sshd.SshServer | None = None) -> None:
        super().__init__()
        self.server = server if server is not None else _shared_server()
        self.folder = Path(tempfile.mkdtemp(prefix="occopus-config-ssh-"))
        self._silent: socket.socket | None = None
        self._user_key: HostKeyPair | None = None
        self._faulty = False
        self.nodes: set[str] = set()
        self._patches = contextlib.ExitStack()
        self._patches.enter_context(mock.patch("occopus_core.testing.config.harness.ADDRESS", self.server.addresses[0]))

    def manager(self, *, call_timeout: float | None = None) -> ConfigManager:
        """A new manager that logs in as root."""
        return Noting(Connection("ssh", {}, self.server.auth, call_timeout or SECONDS), self.nodes)

    def section(self, kind: Kind = "plain", variant: int = 0) -> Mapping[str, Any]:
        """A file with a secret, a command that counts the job, and one that determines how it ends."""
        jobs = self.folder / "jobs"
        last = {"plain": "true", "failing": f"echo {self.printed} >&2; exit 3", "endless": "sleep 100000"}[kind]
        files = [{"path": str(self.folder / "file"), "content": f"{_SECRET} {variant}", "mode": "0600"}]
        commands = [
            f"echo $PPID >>{jobs}.$(basename $(dirname $(tr '\\0' '\\n' </proc/$PPID/cmdline | tail -n 1)))",
            last,
        ]
        # A login may take longer than any call, so the manager has to limit the time of calls.
        return {"files": files, "commands": commands, "port": self.server.port, "connect_timeout": self.login_seconds}

    def settle(self) -> None:
        """A little time."""
        time.sleep(0.02)

    def jobs(self, node: ConfigNode) -> int:
        """The number of lines that the jobs of the node have written; waits for the first."""
        counted = Path(f"{self.folder}/jobs.{node.node_id}")
        ends = time.monotonic() + SECONDS
        while not (counted.exists() and counted.read_text()) and time.monotonic() < ends:
            self.settle()
        return len(counted.read_text().splitlines())

    def lose(self, node: ConfigNode) -> None:
        """Remove the files on the node, into which its job may still write."""
        removed = (STATE / node.node_id).rename(f"{self.folder}/lost.{node.node_id}")
        shutil.rmtree(removed, ignore_errors=True)

    def inject(self, fault: Fault) -> None:
        """Stop the server; replace it by one with another key, by a silent one, or by nothing."""
        self._faulty = True
        self.server.stop()
        if fault is Fault.AUTH:
            self._user_key, self.server.user_key = self.server.user_key, generate_host_key()
            self.server.start()
        elif fault is Fault.HANG:
            self._silent = socket.create_server((self.server.addresses[0], self.server.port))

    def clear(self) -> None:
        """Start the server again, with its own key. Idempotent."""
        if not self._faulty:
            return
        self.server.stop()
        if self._silent is not None:
            self._silent.close()
        if self._user_key is not None:
            self.server.user_key = self._user_key
        self._silent, self._user_key, self._faulty = None, None, False
        self.server.start()

    def secrets(self) -> tuple[str, ...]:
        """The key and the content of the file."""
        return (self.server.auth["private_key"], _SECRET)

    def close(self) -> None:
        """Remove the files of the jobs. Idempotent."""
        self.clear()
        self._patches.close()
        ends = time.monotonic() + SECONDS
        while self.folder.exists() and time.monotonic() < ends:  # a job that is just starting writes into it once more
            shutil.rmtree(self.folder, ignore_errors=True)
        assert not self.folder.exists(), "a job goes on writing into the folder of the tests"
        for node_id in self.nodes:
            shutil.rmtree(STATE / node_id, ignore_errors=True)


@functools.cache
def _shared_server() -> sshd.SshServer:
    """One server for all clauses, until the process ends. Raises `Unavailable`."""
    if lacking := sshd.lacking():
        raise Unavailable(lacking)
    return until_exit(sshd.SshServer())
