"""The section of a node: its checks, and the order made from it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from occopus_config_ansible.checking import fault_of
from occopus_config_ansible.inventory import nested
from occopus_core.api import ConfigNode, Connection, PermanentError
from occopus_core.api.ssh import SshLogin, SshTarget, host_key, known_hosts
from occopus_core.api.ssh import target as ssh_target

_SSH_PORT = 22
CONNECT_SECONDS = 10.0
_UNFIT = re.compile(r"^-|[\s\"'#%\x00-\x1f]")
"""Characters in the name of a host or a user that have a meaning in the configuration of ssh."""
_LOCAL = ("/", "~", "file://")
_SWITCHES = ("become", "allow_downloads")


def check(section: Mapping[str, Any], auth: Mapping[str, str]) -> None:
    """Refuse errors that can be found in files of this machine alone. Raises `PermanentError`."""
    _playbook(section)
    _roles_path(section)
    for key in _SWITCHES:
        _switch(section, key)
    _port(section)
    _jump(section, auth)
    _requirements(section)


def job(section: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an order that is the same for all nodes. Raises `PermanentError`."""
    path, text = _playbook(section)
    return {
        "playbook": path,
        "text": text,
        "roles_path": _roles_path(section),
        "requirements": _requirements(section),
        "allow_downloads": _switch(section, "allow_downloads"),
        "extra_vars": dict(section.get("extra_vars", {})),
        "become": _switch(section, "become"),
    }


def same_run(work: Mapping[str, Any]) -> str:
    """A key that is equal for nodes that one run configures.

    It is stored, so it is a digest: the values may be secret.
    """
    shared = [work["job"], work["login"], work["owner"]["infra_id"]]
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def work(node: ConfigNode, connection: Connection) -> dict[str, Any]:
    """The input of a run for one node that has an address. The host key is verified, or pinned on first use.

    Raises `ProviderError`.
    """
    section = node.section
    check(section, connection.auth)
    if not node.addresses:
        raise PermanentError("Ansible needs an address of the node, and its provider has given none")
    port = _port(section)
    way = {**section, "port": port, "connect_timeout": min(CONNECT_SECONDS, connection.call_timeout)}
    target = ssh_target(way, connection.auth, node.node_id, node.addresses[0].value)
    login = target.login
    hosts = [known_hosts(target.address, port, [host_key(target, connection.host_keys)])]
    if target.jump is not None:
        jump = target.jump
        keys = (jump.host_key,) if jump.host_key else connection.host_keys.known(node.node_id, jump.place)
        hosts.append(known_hosts(jump.address, jump.port, keys))
    peers = [
        {"node_name": peer.node_name, "node_id": peer.node_id, "address": peer.addresses[0].value}
        for peer in node.peers
        if peer.addresses
    ]
    hosts += [
        known_hosts(peer["address"], port, connection.host_keys.known(peer["node_id"]))
        for peer in peers
        if peer["node_id"] != node.node_id
    ]
    return {
        "address": target.address,
        "known_hosts": "".join(hosts),
        "peers": peers,
        "variables": nested({**node.attributes, **node.mapped}),
        "groups": list(section.get("groups", ())),
        "login": {
            "user": login.user,
            "port": port,
            "private_key": _plain(login),
            "password": login.password,
            "become_password": connection.auth.get("become_password", ""),
            "jump": _host(target.jump) if target.jump is not None else None,
        },
        "job": job(section),
    }


def _host(jump: SshTarget) -> dict[str, Any]:
    return {"host": jump.address, "port": jump.port, "user": jump.login.user}


def _plain(login: SshLogin) -> str:
    """The private key without its passphrase, which Ansible does not support. Raises `PermanentError`."""
    if not (login.private_key and login.passphrase):
        return login.private_key
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    text, words = login.private_key.strip().encode() + b"\n", login.passphrase.encode()
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        with contextlib.suppress(ValueError, TypeError):
            key: Any = load(text, words)
            form, plain = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            return str(key.private_bytes(serialization.Encoding.PEM, form, plain).decode())
    raise PermanentError(f"the private key of the SSH user '{login.user}' cannot be read with its `passphrase`")


def _playbook(section: Mapping[str, Any]) -> tuple[str, str]:
    """The path of the playbook, or its text; the other is empty. Raises `PermanentError`."""
    value = str(section["playbook"])
    if "\n" in value:
        path, text = "", value
    else:
        path = _absolute(value, "playbook")
        try:
            if not stat.S_ISREG(Path(path).stat().st_mode):  # reading a pipe may never end
                raise PermanentError(f"config_management.playbook: {path}: it is not a file")
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            words = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise PermanentError(f"config_management.playbook: {path}: {words}") from None
    fault = fault_of(text)
    if fault:
        raise PermanentError(f"config_management.playbook: {fault.at(path)}")
    return (path, "") if path else ("", text)


def _roles_path(section: Mapping[str, Any]) -> list[str]:
    given = section.get("roles_path", ())
    found = [_absolute(each, "roles_path") for each in ([given] if isinstance(given, str) else given)]
    for each in found:
        if not Path(each).is_dir():
            raise PermanentError(f"config_management.roles_path: {each} is not a folder")
    return found


def _absolute(value: str, key: str) -> str:
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise PermanentError(
            f"config_management.{key}: expected an absolute path or one that begins with '~', got '{value}'"
            + (", or the text of a playbook, which has several lines" if key == "playbook" else "")
        )
    return str(path)


def _requirements(section: Mapping[str, Any]) -> dict[str, Any]:
    """Roles and collections to install. Raises `PermanentError` for downloads without `allow_downloads`."""
    found = dict(section.get("requirements", {}))
    if not _switch(section, "allow_downloads"):
        for item in _items(found):
            source = _source(item)
            if not source.startswith(_LOCAL):
                raise PermanentError(
                    f"config_management.requirements: '{source}' would be downloaded: add `allow_downloads: true`, or"
                    " name a file or folder of this machine"
                )
    return found


def _items(requirements: Mapping[str, Any]) -> Iterator[Any]:
    for kind in ("roles", "collections"):
        yield from requirements.get(kind) or ()


def _source(item: Any) -> str:
    """The source of a requirement in the form for ansible-galaxy."""
    if not isinstance(item, Mapping):
        return str(item)
    given: Sequence[Any] = [item.get(key) for key in ("src", "source", "name")]
    # A collection from a file or folder has the path as its name.
    local = [str(each) for each in given if str(each).startswith(_LOCAL)]
    return local[0] if local else next((str(each) for each in given if each), "")


def _switch(section: Mapping[str, Any], key: str) -> bool:
    value = section.get(key, False)
    words = {"true": True, "yes": True, "false": False, "no": False, "": False}
    found = words.get(str(value).strip().lower())
    if found is None:
        raise PermanentError(f"config_management.{key}: expected true or false, got '{value}'")
    return found


def _jump(section: Mapping[str, Any], auth: Mapping[str, str]) -> None:
    """Refuse a jump host that cannot be an option of ssh. Raises `PermanentError`."""
    jump = section.get("jump")
    if jump is None:
        return
    for key in ("host", "user"):
        value = str(jump.get(key, ""))
        if _UNFIT.search(value):
            raise PermanentError(f"config_management.jump.{key}: expected a name or an address, got {value!r}")
    if not auth.get("private_key"):
        raise PermanentError("config_management.jump: Ansible logs in to a jump host with a `private_key` alone")


def _port(section: Mapping[str, Any]) -> int:
    value = str(section.get("port", _SSH_PORT))
    if not value.isdecimal() or not 0 < int(value) < 2**16:
        raise PermanentError(f"config_management.port: expected a port from 1 to 65535, got '{value}'")
    return int(value)
