"""The keys of a login in descriptions, shared by all plugins that log in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from occopus_core.api.errors import PermanentError
from occopus_core.api.seconds import MOST_LOGIN_SECONDS
from occopus_core.api.ssh.hostkeys import SSH_PORT
from occopus_core.api.ssh.target import SshLogin, SshTarget

CONNECT_SECONDS = 10.0

_TEXT = {"type": "string", "minLength": 1}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535, "default": SSH_PORT}
_JUMP = {
    "type": "object",
    "required": ["host"],
    "additionalProperties": False,
    "description": "A host through which the node is reached.",
    "properties": {
        "host": {**_TEXT, "description": "Its address."},
        "port": {**_PORT, "description": "The port of its SSH server."},
        "user": {**_TEXT, "description": "Who logs in there. Left out, the user of the node."},
        "host_key": {
            **_TEXT,
            "description": "Its public host key. Left out, the key it shows first is pinned for each instance.",
            "examples": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."],
        },
    },
}

LOGIN_PROPERTIES: Mapping[str, Any] = {
    "user": {**_TEXT, "description": "Who logs in. Left out, `user` of the credentials, and `root` without one."},
    "port": {**_PORT, "description": "The port of the node's SSH server."},
    "jump": _JUMP,
    "connect_timeout": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": MOST_LOGIN_SECONDS,
        "default": CONNECT_SECONDS,
        "description": "Seconds that a login may take.",
    },
}
"""JSON Schema of the keys that `target` reads, by name."""


def target(section: Mapping[str, Any], auth: Mapping[str, str], node_id: str, address: str) -> SshTarget:
    """The host and login from a rendered section and its `auth_data`.

    Raises `PermanentError` if `auth_data` has neither a key nor a password, or `connect_timeout` is out of bounds.
    """
    login = SshLogin.of(auth, section.get("user", ""))
    jump = section.get("jump")
    way = None
    if jump is not None:
        there = SshLogin.of(auth, jump.get("user", login.user))
        way = SshTarget(jump["host"], there, "", int(jump.get("port", SSH_PORT)), host_key=jump.get("host_key", ""))
    timeout = _timeout(section.get("connect_timeout", CONNECT_SECONDS))
    return SshTarget(address, login, node_id, int(section.get("port", SSH_PORT)), way, connect_timeout=timeout)


def _timeout(value: object) -> float:
    """The seconds, which a template may have made. Raises `PermanentError`."""
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_LOGIN_SECONDS:
        raise PermanentError(f"connect_timeout must be more than 0 and at most {MOST_LOGIN_SECONDS}, not {value!r}")
    return seconds
