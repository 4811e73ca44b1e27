"""Powers that a `resource` section gives over the engine's machine, and over other containers on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_OWN_VOLUME = re.compile(r"/[^:{]*")
_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_TEMPLATE = re.compile(r"\{[{%#]")
_NETWORK = re.compile(r"(?!host$)[a-z0-9][a-z0-9_.-]*", re.IGNORECASE)


def of(resource: Mapping[str, Any]) -> Sequence[str]:
    """A message for each power; see `ResourceHandler.powers`.

    Values of another type are left for the engine to refuse.
    """
    volumes = [str(volume) for volume in resource.get("volumes") or ()]
    networks = [(key, str(resource[key])) for key in ("network", "network_mode") if resource.get(key)]
    return [
        *(
            f"volumes: '{volume}' is or may be a folder of the engine's machine, or a volume of others"
            for volume in volumes
            if not _OWN_VOLUME.fullmatch(volume)
        ),
        *(
            f"{key}: '{network}' is or may be the network of the engine's machine, or of a container"
            for key, network in networks
            if not _NETWORK.fullmatch(network)
        ),
    ]


def sources(resource: Mapping[str, Any]) -> Sequence[str]:
    """See `ResourceHandler.sources`. Docker Hub, the default source of every engine, is left out."""
    name, origin = (str(resource.get(key) or "") for key in ("image", "origin"))
    if origin == "local":
        return ()
    if origin not in ("", "dockerhub"):
        return (origin,)
    if _TEMPLATE.search(name):
        return (name,)
    registry, slash, _ = name.partition("/")
    named = slash and (registry == "localhost" or registry != registry.lower() or re.search(r"[.:]", registry))
    return (registry,) if named and registry not in _HUB else ()
