"""One SSH connection. The host's key is verified before other data is sent."""

from __future__ import annotations

import contextlib
import functools
import io
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from occopus_core.api.deadline import within
from occopus_core.api.errors import AuthError, PermanentError, TransientError
from occopus_core.api.ssh.errors import HostKeyError
from occopus_core.api.ssh.hostkeys import HostKeys, fingerprint, normal_key
from occopus_core.api.ssh.target import SshLogin, SshTarget

if TYPE_CHECKING:
    import paramiko

MOST_OUTPUT = 1_048_576
"""How many bytes of a command's output, and of its errors, are kept: the last ones."""

_CHUNK = 65_536
_SLICE = 0.5
"""Seconds for which one stream of a command is read before the other."""
_RSA = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""The algorithms for a key type, if their names differ from it."""
_LOG = "occopus_core.api.ssh.paramiko"


@dataclass(frozen=True, slots=True)
class SshResult:
    """The result of a command."""

    exit_code: int
    """The exit code; -1 if a signal ended it."""
    output: str = field(repr=False)
    errors: str = field(repr=False)

    @property
    def last_line(self) -> str:
        """The last line of output, errors first; empty without output."""
        lines = [line.strip() for text in (self.errors, self.output) for line in reversed(text.splitlines())]
        return next(filter(None, lines), "")


class Deadline:
    """A point in time by which an operation has to end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; slightly above 0 after the deadline."""
        return max(0.001, self._ends - time.monotonic())

    @property
    def over(self) -> bool:
        """True once it has passed."""
        return time.monotonic() >= self._ends


class SshSession:
    """A logged-in connection. Thread-safe; commands run concurrently. Close it, or use ``with``."""

    def __init__(self, target: SshTarget, transports: Sequence[paramiko.Transport]) -> None:
        self.target = target
        self._transports = transports

    @property
    def alive(self) -> bool:
        """False once the connection has ended."""
        return all(transport.is_active() for transport in self._transports)

    def run(self, command: str, *, stdin: str = "", timeout: float) -> SshResult:
        """Run a command with the user's shell, and wait for its end, at most `timeout` seconds.

        Idempotent only if the command is. Raises `TransientError` if it does not end in time or the connection breaks:
        then it may have run, or may still be running.
        """
        import paramiko  # noqa: PLC0415

        deadline = Deadline(timeout)
        try:
            channel = self._transports[-1].open_session(timeout=deadline.left)
            with channel:
                channel.settimeout(deadline.left)
                channel.exec_command(command)
                return _Exchange(channel, deadline).result(stdin.encode())
        except TimeoutError:
            raise TransientError(f"a command on {self.target.place} did not end within {timeout:g} s") from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            if deadline.over:
                raise TransientError(f"a command on {self.target.place} did not end within {timeout:g} s") from error
            raise TransientError(f"the connection to {self.target.place} broke: {_words(error)}") from error

    def close(self) -> None:
        """End the connection. Idempotent."""
        _close(self._transports)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Exchange:
    """The data exchange with one command: its output is read while its input is written."""

    def __init__(self, channel: paramiko.Channel, deadline: Deadline) -> None:
        self._channel = channel
        self._deadline = deadline
        self._output = bytearray()
        self._errors = bytearray()

    def result(self, stdin: bytes) -> SshResult:
        """Return the result. Raises `TimeoutError`, `OSError`."""
        channel = self._channel
        for start in range(0, len(stdin), _CHUNK):
            self._drain()
            channel.settimeout(self._deadline.left)
            try:
                channel.sendall(stdin[start : start + _CHUNK])
            except TimeoutError:
                raise
            except OSError:
                break  # the command reads no more input; its result says why
        channel.shutdown_write()
        self._collect(channel.recv, self._output)
        self._collect(channel.recv_stderr, self._errors)
        if not channel.status_event.wait(self._deadline.left):
            raise TimeoutError
        if channel.exit_status < 0 and not channel.get_transport().is_active():
            raise EOFError("it ended before the command")
        return SshResult(channel.exit_status, _text(self._output), _text(self._errors))

    def _collect(self, receive: Callable[[int], bytes], kept: bytearray) -> None:
        """Read this stream to its end, whatever arrives on the other."""
        while not self._deadline.over:
            self._channel.settimeout(min(_SLICE, self._deadline.left))
            try:
                data = receive(_CHUNK)
            except TimeoutError:
                self._drain()
                continue
            if not data:
                return
            _keep(kept, data)
            self._drain()
        raise TimeoutError

    def _drain(self) -> None:
        channel = self._channel
        while channel.recv_ready():
            _keep(self._output, channel.recv(_CHUNK))
        while channel.recv_stderr_ready():
            _keep(self._errors, channel.recv_stderr(_CHUNK))


def connect(target: SshTarget, host_keys: HostKeys, timeout: float | None = None) -> SshSession:
    """Log in, within the target's `connect_timeout`, and `timeout` seconds where given.

    The key of each host on the way is verified against `host_keys`, or pinned there at first use, before the login.
    Raises `HostKeyError`, `TransientError` (`unreached` if nothing listens), `AuthError` if the login is refused,
    `PermanentError` if the private key of the login is invalid.
    """
    deadline = Deadline(min(target.connect_timeout, timeout or target.connect_timeout))
    transports: list[paramiko.Transport] = []
    try:
        for hop in _hops(target):
            _reach(target, hop, host_keys, transports, deadline)
            _log_in(hop, transports[-1], deadline)
    except BaseException:
        _close(transports)
        raise
    return SshSession(target, transports)


def host_key(target: SshTarget, host_keys: HostKeys) -> str:
    """The verified key of the host, pinned now at first use. Logs in to jump hosts only.

    For tools that log in themselves, with a known_hosts file. Raises the errors of `connect`.
    """
    deadline = Deadline(target.connect_timeout)
    transports: list[paramiko.Transport] = []
    try:
        for hop in _hops(target)[:-1]:
            _reach(target, hop, host_keys, transports, deadline)
            _log_in(hop, transports[-1], deadline)
        return _reach(target, target, host_keys, transports, deadline)
    finally:
        _close(transports)


def _hops(target: SshTarget) -> list[SshTarget]:
    hops = [target]
    while hops[0].jump is not None:
        hops.insert(0, hops[0].jump)
    return hops


def _close(transports: Sequence[paramiko.Transport]) -> None:
    for transport in reversed(transports):
        transport.close()


def _reach(
    target: SshTarget, hop: SshTarget, host_keys: HostKeys, transports: list[paramiko.Transport], deadline: Deadline
) -> str:
    """Connect to one host on the way. Returns its verified key."""
    host = "" if hop is target else hop.place
    known = _known(target, hop, host_keys, host)
    transport = _transport(hop, transports, deadline)
    transports.append(transport)
    key = _shown_key(hop, transport, known, deadline)
    allowed = known if hop.host_key else host_keys.pin(target.node_id, key, host)
    if key not in allowed:
        pinned = " or ".join(map(fingerprint, allowed))
        raise HostKeyError(
            f"{hop.place} shows another host key than the one pinned for it: {fingerprint(key)}, expected {pinned}; "
            "nothing was sent to it"
        )
    return key


def _known(target: SshTarget, hop: SshTarget, host_keys: HostKeys, host: str) -> Sequence[str]:
    if not hop.host_key:
        return host_keys.known(target.node_id, host)
    try:
        return (normal_key(hop.host_key),)
    except ValueError as error:
        raise PermanentError(f"the host key of {hop.place}: {error}") from None


def _transport(hop: SshTarget, before: Sequence[paramiko.Transport], deadline: Deadline) -> paramiko.Transport:
    """A new connection on which nothing was sent yet."""
    import paramiko  # noqa: PLC0415  # most commands connect to nothing

    try:
        if before:
            channel = before[-1].open_channel(
                "direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0), timeout=deadline.left
            )
            transport = paramiko.Transport(channel)
        else:
            transport = paramiko.Transport(_socket(hop, deadline))
    except (paramiko.SSHException, EOFError, OSError, UnicodeError) as error:
        raise TransientError(f"{hop.place} cannot be reached: {_words(error)}", unreached=True) from error
    _silence()
    transport.set_log_channel(_LOG)
    return transport


def _socket(hop: SshTarget, deadline: Deadline) -> socket.socket:
    def connected() -> socket.socket:
        return socket.create_connection((hop.address, hop.port), timeout=deadline.left)

    # Only name resolution can exceed its time.
    made = connected() if _is_ip(hop.address) else within(deadline.left, connected)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # a vanished host is noticed by missing acknowledgements
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(hop.keepalive * 2000))
    return made


def _shown_key(hop: SshTarget, transport: paramiko.Transport, known: Sequence[str], deadline: Deadline) -> str:
    """The key that the host has proved to own."""
    import paramiko  # noqa: PLC0415

    _prefer(transport, known)
    try:
        transport.banner_timeout = transport.handshake_timeout = deadline.left
        transport.start_client(timeout=deadline.left)
        key = transport.get_remote_server_key()
    except (paramiko.SSHException, EOFError, OSError) as error:
        if deadline.over or isinstance(error, TimeoutError):
            raise TransientError(
                f"{hop.place} did not answer as an SSH server within {deadline.seconds:g} s"
            ) from error
        raise TransientError(f"{hop.place} does not speak SSH with this client: {_words(error)}") from error
    return f"{key.get_name()} {key.get_base64()}"


def _prefer(transport: paramiko.Transport, known: Sequence[str]) -> None:
    """Request a key of a known type: a host has several keys."""
    kinds = [name for key in known for name in _RSA.get(key.split()[0], (key.split()[0],))]
    options = transport.get_security_options()
    offered = tuple(options.key_types)
    first = tuple(dict.fromkeys(kind for kind in kinds if kind in offered))
    if first:
        options.key_types = (*first, *(kind for kind in offered if kind not in first))


def _log_in(hop: SshTarget, transport: paramiko.Transport, deadline: Deadline) -> None:
    import paramiko  # noqa: PLC0415

    login = hop.login
    transport.auth_timeout = deadline.left
    try:
        if login.private_key:
            transport.auth_publickey(login.user, _private_key(login))
        else:
            transport.auth_password(login.user, login.password)
    except paramiko.AuthenticationException as error:
        if deadline.over:
            raise TransientError(f"{hop.place} did not answer the login within {deadline.seconds:g} s") from error
        raise AuthError(f"{hop.place} refused {login.proof} of the SSH user '{login.user}'") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise TransientError(f"{hop.place} ended the connection at the login: {_words(error)}") from error
    transport.set_keepalive(max(1, round(hop.keepalive)))


@functools.lru_cache(maxsize=32)
def _parsed(text: str, passphrase: str) -> paramiko.PKey:
    """Parse a private key. Raises `paramiko.SSHException`, `ValueError`."""
    import paramiko  # noqa: PLC0415

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError, UnicodeDecodeError):
            return kind.from_private_key(io.StringIO(text), passphrase or None)
    raise ValueError


def _private_key(login: SshLogin) -> paramiko.PKey:
    try:
        return _parsed(login.private_key.strip() + "\n", login.passphrase)
    except ValueError:
        message = (
            f"the private key of the SSH user '{login.user}' cannot be read: expected the text of an unencrypted key"
        )
        raise PermanentError(f"{message}, or its `passphrase`") from None


def _silence() -> None:
    """Turn off paramiko's log messages: errors are raised as well."""
    logging.getLogger(_LOG).disabled = True


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _words(error: Exception) -> str:
    """The text of an error for users, in one line."""
    text = getattr(error, "strerror", None) or getattr(error, "text", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def _keep(kept: bytearray, data: bytes) -> None:
    kept += data
    del kept[:-MOST_OUTPUT]


def _text(data: bytearray) -> str:
    return data.decode(errors="replace")
