"""A real OpenSSH server on loopback addresses, for tests with SSH logins. It needs root, as users log in as root."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from occopus_core.api.ssh import HostKeyPair, SshLogin, SshTarget, generate_host_key
from occopus_core.testing.ports import held_port
from occopus_core.testing.processes import end

START_SECONDS = 600.0
_MOST_ADDRESSES = 16
"""The most addresses on which one sshd listens."""

_CONFIG = """\
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
UseDNS no
SetEnv HOME={folder}
MaxStartups 1000
MaxSessions 100
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""


def installed() -> bool:
    """Whether OpenSSH is installed."""
    return _sshd() is not None


def lacking() -> str:
    """Why no OpenSSH server can be started here; empty if one can."""
    if os.geteuid():
        return "an OpenSSH server for tests is started by root only"
    return "" if installed() else "OpenSSH is not installed: apt-get install openssh-server"


def _sshd() -> str | None:
    return shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin")


class SshServer:
    """OpenSSH on some addresses, with the same port, host key and user key. Use it in a ``with`` block."""

    def __init__(self, addresses: Sequence[str] = ("127.0.0.1",), host_key: HostKeyPair | None = None) -> None:
        self.addresses = tuple(addresses)
        self._stack = contextlib.ExitStack()
        self.port = self._stack.enter_context(held_port(*self.addresses))
        self.user_key = generate_host_key()
        """The key of the user root."""
        self.host_key = host_key or generate_host_key()
        self._folder = Path(tempfile.mkdtemp(prefix="occopus-sshd-"))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def auth(self) -> dict[str, str]:
        """The `auth_data` for a credentials file."""
        return {"user": "root", "private_key": self.user_key.private}

    def target(self, node_id: str, address: str = "", **more: Any) -> SshTarget:
        """The host and the login."""
        made = SshTarget(address or self.addresses[0], SshLogin.of(self.auth), node_id, self.port)
        return dataclasses.replace(made, **more)

    def start(self, host_key: HostKeyPair | None = None) -> None:
        """Start it, optionally with another host key, and wait until it listens."""
        atexit.register(self.stop)  # otherwise it would outlive a process that does not stop it
        self.host_key = host_key or self.host_key
        folder = self._folder
        self._write("host_key", self.host_key.private)
        self._write("authorized_keys", self.user_key.public + "\n")
        program = _sshd()
        assert program is not None, "sshd is not installed: apt-get install openssh-server"
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for start in range(0, len(self.addresses), _MOST_ADDRESSES):
            part = self.addresses[start : start + _MOST_ADDRESSES]
            listen = "".join(f"ListenAddress {address}:{self.port}\n" for address in part)
            self._write(f"config-{start}", listen + _CONFIG.format(folder=folder))
            with (folder / "log").open("ab") as log:
                command = [program, "-D", "-e", "-f", str(folder / f"config-{start}")]
                self._processes.append(subprocess.Popen(command, stderr=log))
            self._wait(part[-1])

    def stop(self) -> None:
        """Stop it; existing sessions continue. Idempotent."""
        while self._processes:
            end(self._processes.pop(), 10.0)

    def log(self) -> str:
        """Its output so far."""
        return (self._folder / "log").read_text(errors="replace")

    def _write(self, name: str, text: str) -> None:
        file = self._folder / name
        file.touch(mode=0o600)
        file.write_text(text)

    def _wait(self, address: str) -> None:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            if self._processes[-1].poll() is not None:
                raise AssertionError(f"sshd ended: {self.log()[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection((address, self.port), 1.0) as made:
                if made.recv(4) == b"SSH-":
                    return
        raise AssertionError(f"sshd does not listen: {self.log()[-2000:]}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port of the loopback that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield int(listening.getsockname()[1])
