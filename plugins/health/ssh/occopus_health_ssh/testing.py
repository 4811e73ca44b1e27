"""The harness of the checker for the conformance suite: a real OpenSSH server on the loopback. It needs root."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from occopus_core.api import Probe
from occopus_core.api.ssh import MemoryHostKeys
from occopus_core.testing import sshd
from occopus_core.testing.health import HealthHarness
from occopus_core.testing.standing import Unavailable, until_exit
from occopus_health_ssh import SshCommand

SECONDS = 60.0
TIMEOUT = 0.5
"""The time limit for a check of a silent target."""
SECRET = "s3cr3t"  # noqa: S105 - it opens nothing


class SshHarness(HealthHarness):
    """A given server, or one that is started once for the process, and a silent port."""

    __slots__ = ("_stack",)

    def __init__(self, server: sshd.SshServer | None = None) -> None:
        stack = contextlib.ExitStack()
        object.__setattr__(self, "_stack", stack)  # the dataclass is frozen
        chosen = server if server is not None else _shared_server()
        silent, keys = stack.enter_context(sshd.silent_port()), MemoryHostKeys()

        def probe(
            name: str,
            command: str,
            address: str = chosen.addresses[0],
            port: int = chosen.port,
            seconds: float = SECONDS,
        ) -> Probe:
            value: dict[str, Any] = {"port": port, "command": command, "connect_timeout": SECONDS}
            return Probe(name, address, value, seconds, chosen.auth, keys)

        super().__init__(
            SshCommand(),
            probe("well", "true"),
            probe("ill", f"exit 3 # {SECRET}"),
            probe("silent", "true", "127.0.0.1", silent, TIMEOUT),
            SECRET,
        )

    def close(self) -> None:
        """Close the silent port. Idempotent."""
        self._stack.close()  # type: ignore[attr-defined]


@functools.cache
def _shared_server() -> sshd.SshServer:
    """One server for all clauses, until the process ends. Raises `Unavailable`."""
    if lacking := sshd.lacking():
        raise Unavailable(lacking)
    return until_exit(sshd.SshServer())
