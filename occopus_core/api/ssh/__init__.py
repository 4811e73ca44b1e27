"""SSH for plugins: logins, host keys pinned for each instance, commands on one host or many.

The first connection imports paramiko.
"""

from occopus_core.api.ssh.errors import HostKeyError
from occopus_core.api.ssh.hostkeys import (
    HostKeyPair,
    HostKeys,
    MemoryHostKeys,
    fingerprint,
    generate_host_key,
    known_hosts,
)
from occopus_core.api.ssh.pool import SshPool, side_by_side
from occopus_core.api.ssh.section import LOGIN_PROPERTIES, target
from occopus_core.api.ssh.session import SshResult, SshSession, connect, host_key
from occopus_core.api.ssh.target import SshLogin, SshTarget

__all__ = [
    "LOGIN_PROPERTIES",
    "HostKeyError",
    "HostKeyPair",
    "HostKeys",
    "MemoryHostKeys",
    "SshLogin",
    "SshPool",
    "SshResult",
    "SshSession",
    "SshTarget",
    "connect",
    "fingerprint",
    "generate_host_key",
    "host_key",
    "known_hosts",
    "side_by_side",
    "target",
]
