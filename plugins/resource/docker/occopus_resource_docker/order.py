"""What an engine is told: one container, as the `resource` section and the context of a request want it."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from docker.errors import DockerException
from docker.utils import parse_bytes, parse_repository_tag
from docker.utils.ports import build_port_bindings

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_docker.labels import own_labels

T = TypeVar("T")

_RESTART = re.compile(r"(no|always|unless-stopped|on-failure)(?::(\d+))?")
_URL = re.compile(r"""https?://[^\s"']+""")


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and where it comes from."""

    reference: str
    """With its tag or digest."""
    url: str = ""
    """The tar to import; empty for the registry in its name."""
    local: bool = False
    """The engine has it, or nobody."""


def image(resource: Mapping[str, Any]) -> Image:
    """Raises `PermanentError`."""
    name, tag, origin = (str(resource.get(key) or "") for key in ("image", "tag", "origin"))
    has_one = parse_repository_tag(name)[1] is not None
    if has_one and tag:
        raise PermanentError(f"resource.tag: the image '{name}' has a tag or a digest already")
    reference = name if has_one else f"{name}:{tag or 'latest'}"
    if _URL.fullmatch(origin):
        return Image(reference, url=origin)
    if origin not in ("", "dockerhub", "local"):
        # It is not repeated: there may be a password in it.
        raise PermanentError("resource.origin must be 'dockerhub', 'local' or an http(s) URL without spaces and quotes")
    return Image(reference, local=origin == "local")


def container(request: CreateRequest) -> dict[str, Any]:
    """What the container is, but for its place on the engine's machine (`host`). Raises `PermanentError`."""
    resource = request.resource
    return {
        "name": request.token,
        "image": image(resource).reference,
        "command": _command(request.context.command),
        "environment": list(request.context.env),
        "labels": own_labels(request.owner, request.token, _network(resource)),
        "ports": [_exposed(port) for port in _bindings(resource)],
        "volumes": [volume for volume in _volumes(resource) if ":" not in volume],
    }


def host(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine's machine gives the container. Raises `PermanentError`."""
    wanted = {
        "binds": [volume for volume in _volumes(resource) if ":" in volume],
        "port_bindings": _bindings(resource),
        "network_mode": _network(resource),
        "restart_policy": _restart(resource.get("restart")),
        "mem_limit": _memory(resource.get("mem_limit")),
        "nano_cpus": _nano_cpus(resource.get("cpus")),
    }
    return {key: value for key, value in wanted.items() if value}


def _command(command: str | tuple[str, ...] | None) -> list[str] | None:
    if isinstance(command, str):
        return _understood("contextualisation.command", lambda: shlex.split(command)) or None
    return list(command) if command else None


def _volumes(resource: Mapping[str, Any]) -> list[str]:
    return [str(volume) for volume in resource.get("volumes") or ()]


def _network(resource: Mapping[str, Any]) -> str:
    return str(resource.get("network") or resource.get("network_mode") or "")


def _bindings(resource: Mapping[str, Any]) -> dict[str, Any]:
    ports = [str(port) for port in resource.get("ports") or ()]
    bindings: dict[str, Any] = _understood("resource.ports", lambda: build_port_bindings(ports))
    return bindings


def _exposed(port: str) -> tuple[str, str]:
    number, _, protocol = port.partition("/")
    return number, protocol or "tcp"


def _restart(value: Any) -> dict[str, Any] | None:
    """YAML reads a bare ``no`` as false."""
    policy = _RESTART.fullmatch("no" if value in (None, False) else str(value))
    if policy is None or (policy[2] and policy[1] != "on-failure"):
        raise PermanentError(
            f"resource.restart must be 'no', 'always', 'unless-stopped' or 'on-failure[:TIMES]', not {value!r}"
        )
    return None if policy[1] == "no" else {"Name": policy[1], "MaximumRetryCount": int(policy[2] or 0)}


def _memory(value: Any) -> int:
    if value is None:
        return 0
    size: int = _understood("resource.mem_limit", lambda: parse_bytes(str(value)))
    if size < 1:
        raise PermanentError(f"resource.mem_limit must be more than nothing, not {value!r}")
    return size


def _nano_cpus(value: Any) -> int:
    if value is None:
        return 0
    cpus = _understood("resource.cpus", lambda: float(str(value)))
    if not 0 < cpus < math.inf:
        raise PermanentError(f"resource.cpus must be a number above 0, not {value!r}")
    return round(cpus * 1e9)


def _understood(key: str, read: Callable[[], T]) -> T:
    """What is read from the value of a key. Raises `PermanentError`."""
    try:
        return read()
    except (ValueError, DockerException) as error:
        raise PermanentError(f"{key}: {error}") from None
