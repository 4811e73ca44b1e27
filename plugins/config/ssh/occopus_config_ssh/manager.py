"""The implementation of `ConfigManager`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_config_ssh import scripts
from occopus_config_ssh.schema import SCHEMA
from occopus_core.api import (
    AuthError,
    ConfigManager,
    ConfigNode,
    ConfigState,
    ConfigStatus,
    Connection,
    PermanentError,
    ProviderError,
    TransientError,
    ssh,
)
from occopus_core.api.ssh import HostKeyError, SshLogin, SshPool, SshResult, SshTarget, side_by_side

AT_ONCE = 64
"""The number of nodes whose progress is read concurrently."""

_MODE = re.compile("[0-7]{3,4}")
_MANGLED = 75
"""The exit code of an incomplete script, which may be run again later."""
_LONGEST_LINE = 300
_USED_UP = 0.9
"""The share of the time limit of a call after which no further node is tried."""


class SshManager(ConfigManager):
    """Writes files and runs commands, as a job on the node that continues without the connection and without Occopus.

    The node stores the state of its job (`occopus_config_ssh.scripts`), so any process can find it again.
    """

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("name",)
    max_concurrency: ClassVar[int] = 32
    poll_seconds: ClassVar[tuple[float, float]] = (0.2, 5.0)
    leave_seconds: ClassVar[float] = 30.0

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._pool = SshPool(connection.host_keys)

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `ConfigManager.schema`."""
        return SCHEMA

    def check(self, node: ConfigNode) -> None:
        """Raises `PermanentError` for missing credentials, and for invalid paths and modes."""
        SshLogin.of(self.connection.auth, node.section.get("user", ""))
        for file in node.section.get("files", ()):
            path, mode = file["path"], file.get("mode", "0644")
            if not path.startswith("/") or path.endswith("/"):
                raise PermanentError(
                    f"config_management.files: expected the path of a file from the root, got {path!r}"
                )
            if _MODE.fullmatch(mode) is None:
                raise PermanentError(f"config_management.files: expected a mode such as '0644', got {mode!r}")

    def configure(self, node: ConfigNode) -> None:
        """Start the job on the node, and return. Raises `TransientError`, `PermanentError`."""
        script = scripts.configure(node.node_id, node.generation, node.section)
        result = self._run(node, script, self._seconds)
        if result.exit_code == _MANGLED:
            raise TransientError(f"{_place(node)}: {_line(result)}")
        if result.exit_code != 0:
            raise PermanentError(f"{_place(node)}: the job cannot be started: {_line(result) or _code(result)}")

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """The progress of each node, read concurrently. An error of one node is the state of that node."""
        turns = -(-len(nodes) // AT_ONCE)
        seconds = self._seconds / max(1, turns)
        found = side_by_side(lambda node: self._status(node, seconds), nodes, AT_ONCE)
        return {node.node_id: status for node, status in zip(nodes, found, strict=True)}

    def cancel(self, nodes: Sequence[ConfigNode]) -> None:
        """End the jobs, concurrently. Raises `TransientError` if one may be running."""
        seconds = self._seconds / max(1, -(-len(nodes) // AT_ONCE))

        def cancel(node: ConfigNode) -> str:
            if not node.addresses:
                return ""
            try:
                result = self._run(node, scripts.cancel(node.node_id), seconds)
            except ProviderError as error:
                return str(error)
            return "" if result.exit_code == 0 else f"{_place(node)}: the job did not end"

        failed = [reason for reason in side_by_side(cancel, nodes, AT_ONCE) if reason]
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise TransientError(f"{failed[0]}{more}")

    def leave(self, node: ConfigNode) -> bool:
        """End the job and remove its files from the node. False while the job does not end.

        True if the node cannot be reached: its instance is deleted all the same. Raises `PermanentError` if the login
        fails: a machine that outlives the instance, such as that of a `local` one, keeps the folder.
        """
        if node.addresses:
            try:
                return self._run(node, scripts.leave(node.node_id), self._seconds).exit_code != _MANGLED
            except ProviderError as error:
                if isinstance(error, TransientError) and not isinstance(error.__cause__, AuthError):
                    return True
                folder = f"/var/lib/occopus/{node.node_id}, or ~/.occopus/{node.node_id} of a user other than root"
                raise PermanentError(f"the folder of its job stays on its machine ({folder}): {error}") from error
            finally:
                self._pool.drop(node.addresses[0].value)
        return True

    @property
    def _seconds(self) -> float:
        return self.connection.call_timeout * _USED_UP

    def _status(self, node: ConfigNode, seconds: float) -> ConfigStatus:
        if not node.addresses:
            return ConfigStatus(ConfigState.UNKNOWN, "it has no address yet")
        try:
            result = self._run(node, scripts.status(node.node_id), seconds)
        except HostKeyError as error:
            return ConfigStatus(ConfigState.FAILED, str(error))
        except ProviderError as error:
            return ConfigStatus(ConfigState.PENDING, str(error))
        return _status_of(node, result)

    def _run(self, node: ConfigNode, script: str, seconds: float) -> SshResult:
        """Run a script on the node. Raises `TransientError`, `HostKeyError`, `PermanentError`."""
        target = self._target(node)
        command = "exec sudo -n sh" if node.section.get("sudo") else "exec sh"
        try:
            return self._pool.run(target, command, stdin=script, timeout=seconds)
        except AuthError as error:  # of one node, which may not have its keys yet
            raise TransientError(str(error)) from error

    def _target(self, node: ConfigNode) -> SshTarget:
        if not node.addresses:
            raise TransientError(f"node '{node.node_name}' has no address yet")
        return ssh.target(node.section, self.connection.auth, node.node_id, node.addresses[0].value)


def _status_of(node: ConfigNode, result: SshResult) -> ConfigStatus:
    """The status that the output of the `status` script describes."""
    lines = result.output.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith(f"{scripts.MARK} ")), None)
    if start is None:
        return ConfigStatus(ConfigState.PENDING, f"{_place(node)}: {_line(result) or _code(result)}")
    _, state, generation, code, step = [*lines[start].split(" ", 4), "", "", ""][:5]
    more = lines[start + 1 :]
    if state == scripts.UNKNOWN:
        return ConfigStatus(ConfigState.UNKNOWN, "the node has no job")
    if state == scripts.RUNNING:
        return ConfigStatus(
            ConfigState.RUNNING, "its job is running", progress="".join(more[:1]).strip(), generation=generation
        )
    if state == scripts.IDLE or not code:
        return ConfigStatus(ConfigState.PENDING, "its job was ended", generation=generation)
    if code == "0":
        return ConfigStatus(ConfigState.READY, generation=generation)
    last = f": {more[-1].strip()[:_LONGEST_LINE]}" if more else ""
    why, output = f"{step} ended with exit code {code}{last}", "".join(f"{line}\n" for line in more)
    return ConfigStatus(ConfigState.FAILED, why, generation=generation, output=output)


def _place(node: ConfigNode) -> str:
    return f"{node.addresses[0].value}:{node.section.get('port', 22)}"


def _code(result: SshResult) -> str:
    return f"the shell ended with exit code {result.exit_code}"


def _line(result: SshResult) -> str:
    return result.last_line[:_LONGEST_LINE]
