"""Reads and checks node definitions without storing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.manager.auth import auth_faults
from occopus_core.manager.definition_trial import refusals
from occopus_core.registry import Registry
from occopus_core.template_inspection import inspect


def checked_definitions(
    path: str, registry: Registry, credentials: Credentials, warn: Callable[[str], None], *, former: bool
) -> tuple[NodeDefinition, ...]:
    """The node definitions of a file, with checked templates and credentials; nothing is stored, no cloud is called.

    `warn` is called for oddities that are no error; with `former`, undefined names are ignored, and refusals of plugins
    are warnings. Raises `DescriptionError`.
    """

    def refused(implementation: Implementation) -> Sequence[tuple[str, str]]:
        found = refusals(registry, credentials, implementation)
        if not former or implementation.place is None:
            return found
        for at, message in found:
            warn(f"{implementation.place(at, key=True)}: {message}")  # 1.x imported files with values to be filled in
        return []

    definitions = load_node_definitions(
        path,
        registry,
        warn=lambda problem: warn(str(problem)),
        inspect=lambda text, names: inspect(text, names, former=former),
        examine=registry.section_faults,
        refusals=refused,
    )
    for fault in auth_faults(definitions, credentials, registry):
        warn(fault)
    return definitions
