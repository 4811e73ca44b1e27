"""The checker as the core sees it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import HealthChecker, Probe, ProviderError, Verdict
from occopus_core.api import ssh as core_ssh
from occopus_core.api.ssh import LOGIN_PROPERTIES, HostKeys, SshPool, SshResult, side_by_side

AT_ONCE = 64
"""The most nodes checked concurrently; more than that share the time."""
_LONGEST_LINE = 300


class SshCommand(HealthChecker):
    """Healthy if the login succeeds, the command exits with 0, and the pattern is in its output."""

    contract_version: ClassVar[int] = 1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[int, tuple[HostKeys, SshPool]] = {}

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `HealthChecker.schema`."""
        return {
            "description": "A login over SSH at the node's first address, and a command that ends with exit code 0.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "name": {
                    "type": "string",
                    "minLength": 1,
                    "description": "Which entry of the credentials file is used, where there are several.",
                },
                **LOGIN_PROPERTIES,
                "command": {
                    "type": "string",
                    "minLength": 1,
                    "default": "true",
                    "description": "The command, for the user's shell. Its exit code is the verdict.",
                },
                "pattern": {
                    "type": "string",
                    "minLength": 1,
                    "description": "A text that has to be in the output of the command.",
                },
            },
            "examples": [{"user": "debian", "command": "systemctl is-system-running", "pattern": "running"}],
        }

    def check(self, probes: Sequence[Probe]) -> Sequence[Verdict]:
        """Logs in to every node concurrently; connections are kept for the next check."""
        turns = max(1, -(-len(probes) // AT_ONCE))
        return side_by_side(lambda probe: self._look(probe, probe.timeout / turns), probes, AT_ONCE)

    def _look(self, probe: Probe, seconds: float) -> Verdict:
        if not probe.address:
            return Verdict(False, "it has no address yet")
        try:
            target = core_ssh.target(probe.value, probe.auth, probe.node_id, probe.address)
            command = probe.value.get("command", "true")
            result = self._pool(probe.host_keys).run(target, command, timeout=seconds)
        except ProviderError as error:
            return Verdict(False, str(error))
        return _verdict(probe, result)

    def _pool(self, host_keys: HostKeys) -> SshPool:
        """The connections of one installation; a process usually has only one."""
        with self._lock:
            known = self._pools.get(id(host_keys))
            if known is None:
                for _, pool in self._pools.values():
                    pool.close()
                self._pools = {id(host_keys): (host_keys, SshPool(host_keys))}
                known = self._pools[id(host_keys)]
            return known[1]


def _verdict(probe: Probe, result: SshResult) -> Verdict:
    place = f"{probe.address}:{probe.value.get('port', 22)}"
    last = f": {result.last_line[:_LONGEST_LINE]}" if result.last_line else ""
    if result.exit_code != 0:
        return Verdict(False, f"the command on {place} ended with exit code {result.exit_code}{last}")
    if probe.value.get("pattern", "") not in result.output:
        return Verdict(False, f"the command on {place} did not print the pattern{last}")
    return Verdict(True)
