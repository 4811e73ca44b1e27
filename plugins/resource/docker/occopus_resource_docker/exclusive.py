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


def _listed(values: object) -> Iterator[str]:
    yield from map(str, values) if isinstance(values, list | tuple) else ()


def _host_ports(text: str) -> Iterator[str]:
    """The number of a host port without its address: a port on all addresses conflicts with one on a single address."""
    mapping, _, protocol = text.partition("/")
    _, colon, host = mapping.rpartition(":")[0].rpartition(":")
    found = _RANGE.fullmatch(host if colon or ":" in mapping else "")
    if found:
        first, last = int(found[1]), min(int(found[2] or found[1]), _LAST_PORT)
        yield from (f"the host port {port}/{protocol or 'tcp'}" for port in range(max(1, first), last + 1))


def _volume(text: str) -> str:
    """The source of a volume; empty for an anonymous or a read-only one."""
    name, colon, rest = text.partition(":")
    if not colon or "ro" in rest.partition(":")[2].split(","):
        return ""
    return f"the folder {posixpath.normpath(name)}" if name.startswith("/") else f"the volume {name}"
