"""Resources that only one container at a time can have: ports of the host, and writable volumes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT = 65535


def of(resource: Mapping[str, Any]) -> Sequence[str]:
    """A name for each; see `ResourceHandler.exclusive`. Values of another type are left for the engine to refuse."""
    ports = (each for port in _listed(resource.get("ports")) for each in _host_ports(port))
    volumes = (_volume(volume) for volume in _listed(resource.get("volumes")))
    return list(dict.fromkeys([*ports, *filter(None, volumes)]))


def ports_of(resource: Mapping[str, Any]) -> Sequence[str]:
    """A name for each published port that two containers cannot have; see `ResourceHandler.unshared`."""
    return list(dict.fromkeys(each for port in _listed(resource.get("ports")) for each in _published(port)))


def _listed(values: object) -> Iterator[str]:
    yield from map(str, values) if isinstance(values, list | tuple) else ()


def _host_ports(text: str) -> Iterator[str]:
    """The number of a host port without its address: a port on all addresses conflicts with one on a single address."""
    mapping, _, protocol = text.partition("/")
    yield from (f"the host port {port}/{protocol or 'tcp'}" for port in _numbers(_split(mapping)[1]))


def _published(text: str) -> Iterator[str]:
    """With the address, at which others may publish the port. Of a range for a single port, the engine takes any."""
    mapping, _, protocol = text.partition("/")
    address, host, container = _split(mapping)
    numbers = _numbers(host)
    if len(numbers) in (1, len(_numbers(container))):
        where = "" if address in ("", "0.0.0.0") else f"{address}:"  # noqa: S104  # it is compared
        yield from (f"the host port {where}{port}/{protocol or 'tcp'}" for port in numbers)


def _split(mapping: str) -> tuple[str, str, str]:
    """The address, the port of the host and that of the container; what is not there is empty."""
    published, _, container = mapping.rpartition(":")
    address, _, host = published.rpartition(":")
    return address, host, container


def _numbers(ports: str) -> range:
    """The ports of a number or a range of numbers; none of anything else."""
    found = _RANGE.fullmatch(ports)
    return range(max(1, int(found[1])), min(int(found[2] or found[1]), _LAST_PORT) + 1) if found else range(0)


def _volume(text: str) -> str:
    """The source of a volume; empty for an anonymous or a read-only one."""
    name, colon, rest = text.partition(":")
    if not colon or "ro" in rest.partition(":")[2].split(","):
        return ""
    return f"the folder {posixpath.normpath(name)}" if name.startswith("/") else f"the volume {name}"
