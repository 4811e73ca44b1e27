"""The API request for one container, from the `resource` section and the context of a request."""

from __future__ import annotations

import contextlib
import hashlib
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from docker.auth import resolve_repository_name
from docker.errors import DockerException, InvalidRepository
from docker.utils import parse_bytes, parse_repository_tag
from docker.utils.ports import build_port_bindings

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_docker.errors import without_secrets
from occopus_resource_docker.labels import fact_labels, own_labels

T = TypeVar("T")

_RESTART = re.compile(r"(no|always|unless-stopped|on-failure)(?::([0-9]{1,10}))?")
_MOST_RETRIES, _MOST = 2**31 - 1, 2**63 - 1
"""The limits of an engine: for the number of restarts, and for bytes and billionths of a CPU."""
_LONGEST = 200
_PORTS = range(1, 65536)
_LONG_NUMBER = re.compile(r"[0-9]{6}")
_URL = re.compile(r"""https?://[^\s"']+""")


_OWN_DOMAIN = "occopus.invalid"
IMPORTED = f"{_OWN_DOMAIN}/origin"
"""Name of the images that are imported from a URL; their tag is the digest of the URL. No registry can have this name:
no host name ends in ``.invalid``."""
_NETWORK_MODES = frozenset({"bridge", "default", "host", "nat", "none", "pasta", "private", "slirp4netns"})
"""Those of Docker and of Podman."""
_NO_HEALTHCHECK = {"test": ["NONE"]}


@dataclass(frozen=True, slots=True)
class Image:
    """An image and its source."""

    reference: str
    """With its tag or digest."""
    url: str = ""
    """The tar to import; empty for the registry in its name."""
    local: bool = False
    """The image must already be on the engine."""

    @property
    def what(self) -> str:
        """The engine's action to get it, for messages."""
        return f"importing {without_secrets(self.url)}" if self.url else f"pulling {self.reference}"

    @property
    def source(self) -> str:
        """The host of the image, for messages."""
        with contextlib.suppress(InvalidRepository, ValueError):
            if not self.url:
                return f"the registry {resolve_repository_name(self.reference)[0]}"
            if host := urlsplit(self.url).hostname:
                return host
        return "its source"


def image(resource: Mapping[str, Any]) -> Image:
    """Raises `PermanentError`."""
    name, tag, origin = (str(resource.get(key) or "") for key in ("image", "tag", "origin"))
    has_one = parse_repository_tag(name)[1] is not None
    if has_one and tag:
        raise PermanentError(f"resource.tag: the image '{name}' has a tag or a digest already")
    reference = name if has_one else f"{name}:{tag or 'latest'}"
    if name.lower().startswith(f"{_OWN_DOMAIN}/"):
        raise PermanentError(
            f"resource.image: names below {_OWN_DOMAIN} are those of images that resource.origin imports"
        )
    if _URL.fullmatch(origin):
        return Image(f"{IMPORTED}:{hashlib.sha256(origin.encode()).hexdigest()}", url=origin)
    if origin not in ("", "dockerhub", "local"):
        # The value may contain a password, so it is not shown.
        raise PermanentError("resource.origin must be 'dockerhub', 'local' or an http(s) URL without spaces and quotes")
    return Image(reference, local=origin == "local")


def container(request: CreateRequest) -> dict[str, Any]:
    """The settings of the container itself, without those of the engine's machine (`host`). Raises `PermanentError`."""
    resource = request.resource
    wanted = image(resource)
    extras = {
        "healthcheck": _NO_HEALTHCHECK if resource.get("healthcheck") is False else None,
        "stop_signal": resource.get("stop_signal"),
    }
    return {
        "name": request.token,
        "image": wanted.reference,
        "command": request.context.words() or None,
        "environment": list(request.context.env),
        "labels": {
            **own_labels(request.owner, request.token, _network(resource)),
            **fact_labels(
                job=resource.get("job") is True,
                restarted=_restart(resource.get("restart")) is not None,
                imported=bool(wanted.url),
            ),
        },
        "ports": [_exposed(port) for port in _bindings(resource)],
        "volumes": [volume for volume in _volumes(resource) if ":" not in volume],
        **{key: value for key, value in extras.items() if value is not None},
    }


def host(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that concern the engine's machine. Raises `PermanentError`."""
    wanted = {
        "binds": [volume for volume in _volumes(resource) if ":" in volume],
        "port_bindings": _bindings(resource),
        "network_mode": _network(resource),
        "restart_policy": _restart(resource.get("restart")),
        "mem_limit": _memory(resource.get("mem_limit")),
        "nano_cpus": _nano_cpus(resource.get("cpus")),
    }
    return {key: value for key, value in wanted.items() if value}


def _volumes(resource: Mapping[str, Any]) -> list[str]:
    return [str(volume) for volume in resource.get("volumes") or ()]


def named_network(resource: Mapping[str, Any]) -> str:
    """The name of a network that has to exist; empty for a mode of the engine, and for that of a container."""
    name = _network(resource)
    return "" if name.lower() in _NETWORK_MODES or ":" in name else name


def _network(resource: Mapping[str, Any]) -> str:
    return str(resource.get("network") or resource.get("network_mode") or "")


def _bindings(resource: Mapping[str, Any]) -> dict[str, Any]:
    return _understood("resource.ports", lambda: _published([str(port) for port in resource.get("ports") or ()]))


def _published(ports: list[str]) -> dict[str, Any]:
    """The published ports by port of the container. Raises `ValueError`."""
    for port in ports:
        # The library would expand a range of any length, and ignore a descending one.
        if _LONG_NUMBER.search(port) or not _are_ports(build_port_bindings([port])):
            raise ValueError(f"'{port}': ports are from {_PORTS[0]} to {_PORTS[-1]}, and ranges ascend")
    bindings: dict[str, Any] = build_port_bindings(ports)
    return bindings


def _are_ports(bindings: Mapping[str, Sequence[Any]]) -> bool:
    inner = [_exposed(port)[0] for port in bindings]
    outer = [each[1] if isinstance(each, tuple) else each for places in bindings.values() for each in places]
    return bool(inner) and all(int(port) in _PORTS for port in [*inner, *filter(None, outer)])


def _exposed(port: str) -> tuple[str, str]:
    number, _, protocol = port.partition("/")
    return number, protocol or "tcp"


def _restart(value: Any) -> dict[str, Any] | None:
    """The restart policy. YAML reads a bare ``no`` as false."""
    policy = _RESTART.fullmatch("no" if value in (None, False) else str(value))
    times = int(policy[2] or 0) if policy else 0
    if policy is None or times > _MOST_RETRIES or (policy[2] and policy[1] != "on-failure"):
        raise PermanentError(
            "resource.restart must be 'no', 'always', 'unless-stopped' or 'on-failure[:TIMES]', "
            f"with at most {_MOST_RETRIES} times, not {_short(value)}"
        )
    return None if policy[1] == "no" else {"Name": policy[1], "MaximumRetryCount": times}


def _memory(value: Any) -> int:
    if value is None:
        return 0
    size: int = _understood("resource.mem_limit", lambda: parse_bytes(str(value)))
    if not 0 < size <= _MOST:
        raise PermanentError(f"resource.mem_limit must be more than nothing and below 8 EiB, not {_short(value)}")
    return size


def _nano_cpus(value: Any) -> int:
    if value is None:
        return 0
    billionths = _understood("resource.cpus", lambda: float(str(value))) * 1e9
    if not 1 <= billionths < _MOST:
        raise PermanentError(f"resource.cpus must be a number from 1e-9 to 9e9, not {_short(value)}")
    return round(billionths)


def _understood(key: str, read: Callable[[], T]) -> T:
    """The parsed value of a key. Raises `PermanentError`."""
    try:
        return read()
    except (ValueError, OverflowError, DockerException) as error:
        raise PermanentError(f"{key}: {_short(error)}") from None


def _short(value: object) -> str:
    """The value in a message, shortened."""
    return reprlib.repr(value) if isinstance(value, str) else str(value)[:_LONGEST]
