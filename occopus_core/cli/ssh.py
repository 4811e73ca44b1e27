"""``occopus-ssh``: log in to an instance, or run a command on one or many."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.naming import meant
from occopus_core.cli.options import NAMED, add_auth_data_path, add_infra_id, login_seconds, parser, whole_number
from occopus_core.cli.output import result as write
from occopus_core.cli.output import say
from occopus_core.cli.session import guarded, load_files

if TYPE_CHECKING:
    from occopus_core.api.ssh import HostKeys, SshTarget
    from occopus_core.manager.logins import Login

AT_ONCE = 32
TIMEOUT = 60.0

_HOST = """\
Host {name}
    HostName {target.address}
    Port {target.port}
    User {target.login.user}
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    ServerAliveInterval 15
    ConnectTimeout {timeout:.0f}
    LogLevel ERROR
"""


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    cut = list(argv).index("--") if "--" in argv else len(argv)
    made = _parser()
    options = made.parse_args(argv[:cut])
    options.command = " ".join(argv[cut + 1 :])
    if options.all and not options.command:
        made.error("--all runs a command: add -- COMMAND")
    return guarded(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    made = parser(
        "ssh",
        "Log in to an instance with its pinned host key, or run a command (after --) on one or, with --all, on many.",
    )
    add_auth_data_path(made)
    add_infra_id(made, f"infrastructure: {NAMED}")
    made.add_argument(
        "node", nargs="?", default="", metavar="NODE", help="node, node id or address (default: the only one)"
    )
    made.add_argument(
        "--all", action="store_true", help="run the command on all instances (of NODE), each line after its name"
    )
    made.add_argument("-l", "--user", help="user to log in (default: from the description or the credentials)")
    made.add_argument("-p", "--port", type=whole_number, help="port of the SSH server")
    made.add_argument("--identity", metavar="FILE", help="file with the private key (default: that of the credentials)")
    made.add_argument(
        "--timeout",
        type=login_seconds,
        default=TIMEOUT,
        help=f"seconds that a command may take with --all (default: {TIMEOUT:g})",
    )
    # The usage that argparse prints, which lacks the part after `--`.
    made.usage = f"{made.format_usage().removeprefix('usage: ').rstrip()} [-- COMMAND]"
    return made


def _run(options: argparse.Namespace) -> int:
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.manager.logins import logins  # noqa: PLC0415
    from occopus_core.registry import Registry  # noqa: PLC0415

    settings, credentials = load_files(options)
    given = {key: getattr(options, key) for key in ("user", "port") if getattr(options, key)}
    auth = {"private_key": _identity(options.identity)} if options.identity else {}
    with InfrastructureManager(settings, credentials) as manager:
        store = manager.store
        infra_id = meant(manager, options.infra_id)
        wanted, several = options.node, options.all
        found, undescribed = logins(store, Registry(), credentials, infra_id, wanted, given, auth, several=several)
        if options.all:
            for one in undescribed:
                say(f"skipped: {one}")
            if not found:
                return ExitCode.BAD_INPUT
            return _everywhere(found, store.host_keys, options)
        return _session(found[0].target, store.host_keys, options.command)


def _identity(file: str) -> str:
    from occopus_core.api.errors import PermanentError  # noqa: PLC0415

    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{file}: {getattr(error, 'strerror', None) or 'not a text'}") from None


def _everywhere(found: Sequence[Login], keys: HostKeys, options: argparse.Namespace) -> int:
    """Run the command on all instances in parallel; each line of output follows the name of its instance."""
    from occopus_core.api.errors import ProviderError  # noqa: PLC0415
    from occopus_core.api.ssh import connect, side_by_side  # noqa: PLC0415

    def run(login: Login) -> bool:
        try:
            with connect(login.target, keys) as session:
                result = session.run(options.command, timeout=options.timeout)
        except ProviderError as error:
            say(f"error: {login.name}: {error}")
            return False
        for line in result.output.splitlines():
            write(f"{login.name}: {line}")
        for line in result.errors.splitlines():
            say(f"{login.name}: {line}")
        if result.exit_code != 0:
            say(f"error: {login.name}: ended with exit code {result.exit_code}")
        return result.exit_code == 0

    return ExitCode.OK if all(side_by_side(run, found, AT_ONCE)) else ExitCode.FAILED


def _session(target: SshTarget, keys: HostKeys, command: str) -> int:
    """Run the system's ssh, which accepts only the pinned key. Returns its exit code."""
    from occopus_core.api.errors import PermanentError  # noqa: PLC0415
    from occopus_core.api.ssh import host_key  # noqa: PLC0415

    host_key(target, keys)  # pins a key if none is pinned
    with _prepared(target, keys) as config:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the signal is for the session
        try:
            return subprocess.call(["ssh", "-F", config, "instance", *([command] if command else [])])
        except FileNotFoundError:
            raise PermanentError("the program 'ssh' is not installed: apt-get install openssh-client") from None


@contextlib.contextmanager
def _prepared(target: SshTarget, keys: HostKeys) -> Iterator[str]:
    """A configuration of ssh for one session, in a folder that is removed afterwards."""
    from occopus_core.api.ssh import known_hosts  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="occopus-ssh-") as folder:
        hosts = [("instance", target, keys.known(target.node_id))]
        if target.jump is not None:
            jump = target.jump
            known = (jump.host_key,) if jump.host_key else keys.known(target.node_id, jump.place)
            hosts.append(("jump", jump, known))
        config, lines = "", ""
        for name, host, known in hosts:
            config += _HOST.format(name=name, target=host, folder=folder, timeout=max(1.0, host.connect_timeout))
            if host.login.private_key:
                config += f"    IdentityFile {_secret(folder, name, host.login.private_key)}\n    IdentitiesOnly yes\n"
            if host.jump is not None:
                config += "    ProxyJump jump\n"
            lines += known_hosts(host.address, host.port, known)
        Path(folder, "known_hosts").write_text(lines)
        Path(folder, "config").write_text(config)
        yield str(Path(folder, "config"))


def _secret(folder: str, name: str, text: str) -> str:
    file = Path(folder, f"{name}.key")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(text.strip() + "\n")
    return str(file)
