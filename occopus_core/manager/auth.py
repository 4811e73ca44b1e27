"""Checks, when node definitions are imported, for credentials that cannot work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import NodeDefinition
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import PluginError, Registry


def auth_faults(definitions: Iterable[NodeDefinition], credentials: Credentials, registry: Registry) -> Iterator[str]:
    """A warning for each resource with wrong credentials, or credentials of an unsupported type. No I/O.

    A handler that breaks its contract is one warning; resources of other types are still checked.
    """
    broken: dict[str, dict[str, None]] = {}
    for definition in definitions:
        for implementation in definition.implementations:
            resource = implementation.resource
            try:
                auth = credentials.find("resource", resource)
                fault = registry.auth_fault(resource["type"], auth) if auth else ""
            except DescriptionError as error:
                fault = "; ".join(map(str, error.problems))
            except PluginError as error:
                broken.setdefault(str(error), {})[f"'{definition.name}'"] = None
                continue
            if fault:
                origin = credentials.origin("resource", resource)
                yield f"the node definition '{definition.name}' cannot be built with its credentials: {fault}; {origin}"
    for message, names in broken.items():
        yield f"credentials are not checked ({', '.join(names)}): {message}"
