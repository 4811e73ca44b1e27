"""The functions of templates: what other nodes have, a part of a text, and the output of a command."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from typing import Protocol

from occopus_core.api.resource import Address, AddressKind
from occopus_core.template_errors import RefusalError

CMD_TIMEOUT = 60.0
"""The time limit, in seconds, of a command run by `cmd()`."""

_ADDRESS_KEYS = ("node.resource.address", "node.resource.ip_address")


class Peers(Protocol):
    """The other nodes of the infrastructure, as far as templates may read them.

    The methods raise `LookupError` with a message, followed by the names of nodes in it: any other text that was asked
    for may be a secret.
    """

    def addresses(self, node_name: str) -> Sequence[Sequence[Address]]:
        """The addresses of each instance of a node, the first instance first. Raises `LookupError`."""
        ...

    def node_ids(self, node_name: str) -> Sequence[str]:
        """The ids of the same instances in the same order. Raises `LookupError`."""
        ...


def functions(peers: Peers) -> dict[str, object]:
    """The functions of a template, which may read other nodes and run commands."""
    return {**_peer_functions(peers), "cut": cut, "cmd": cmd}


def rehearsal_functions(peers: Peers) -> dict[str, object]:
    """The functions of a rehearsal, which run no commands: `cmd` returns an empty text."""
    return {**_peer_functions(peers), "cut": cut, "cmd": lambda _command: ""}


def _peer_functions(peers: Peers) -> dict[str, Callable[[str], object]]:
    def of_each(node: str) -> list[str]:
        try:
            instances = peers.addresses(node)
        except LookupError as error:
            raise RefusalError(*map(str, error.args)) from error
        return [addresses[0].value for addresses in instances if addresses]

    def getip(node: str) -> str:
        return _first(of_each(node), node)

    def getprivip(node: str) -> str:
        instances = peers.addresses(node) if of_each(node) else ()
        private = [a.value for addresses in instances[:1] for a in addresses if a.kind is AddressKind.PRIVATE]
        return _first(private or of_each(node), node)

    return {"getip": getip, "getprivip": getprivip, "getipall": of_each, **_former_functions(peers)}


def _former_functions(peers: Peers) -> dict[str, Callable[..., object]]:
    """Two functions of 1.x: the id of the first instance of a node, and attributes of the instance with an id."""
    nodes: dict[str, str] = {}

    def find_node_id(node: str) -> str:
        try:
            ids = peers.node_ids(node)
        except LookupError as error:
            raise RefusalError(*map(str, error.args)) from error
        if not ids:
            raise RefusalError(f"node '{node}' has no instance in service", node)
        nodes[ids[0]] = node
        return ids[0]

    def ibget(key: str, node_id: str) -> str:
        if key not in _ADDRESS_KEYS:
            raise RefusalError(f"ibget has no '{key}'; it has: {', '.join(_ADDRESS_KEYS)}")
        if node_id not in nodes:
            raise RefusalError("ibget takes the id that find_node_id gives")
        return _first([one[0].value for one in peers.addresses(nodes[node_id])[:1] if one], nodes[node_id])

    return {"find_node_id": find_node_id, "ibget": ibget}


def _first(addresses: Sequence[str], node: str) -> str:
    if not addresses:
        raise RefusalError(f"node '{node}' has no instance in service with an address", node)
    return addresses[0]


def cut(text: str, start: int, end: int) -> str:
    """The part of a text from `start` up to, not including, `end`, as Python slices."""
    return str(text)[start:end]


def cmd(command: str) -> str:
    """The standard output of a command run on this host, without a shell."""
    try:
        words = shlex.split(command)
        result = subprocess.run(words, capture_output=True, text=True, timeout=CMD_TIMEOUT, check=True)
    except (ValueError, IndexError, OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        # Neither the arguments nor the output is quoted: both may be secrets.
        raise RefusalError(f"cmd: the command {_failure(error)}") from error
    return result.stdout


def _failure(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exited with status {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {CMD_TIMEOUT:g} s"
    if isinstance(error, OSError):
        return f"cannot be run: {error.strerror}"
    return "is not well formed or did not print text"
