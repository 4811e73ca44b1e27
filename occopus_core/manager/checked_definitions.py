"""Node definitions read and checked, not stored."""

from __future__ import annotations

import functools
from collections.abc import Callable

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import NodeDefinition
from occopus_core.descriptions.node_definitions import load_node_definitions
from occopus_core.manager.auth import auth_faults
from occopus_core.manager.definition_trial import refusal
from occopus_core.registry import Registry
from occopus_core.render import inspect


def checked_definitions(
    path: str, registry: Registry, credentials: Credentials, warn: Callable[[str], None], *, former: bool
) -> tuple[NodeDefinition, ...]:
    """The node definitions of a file, templates and credentials checked; nothing is stored, no cloud is called.

    `warn` gets what is odd but no fault; undefined names are none where `former`. Raises `DescriptionError`.
    """
    definitions = load_node_definitions(
        path,
        registry,
        warn=lambda problem: warn(str(problem)),
        inspect=lambda text, names: inspect(text, None if former else names),
        examine=registry.section_faults,
        refusal=functools.partial(refusal, registry, credentials),
    )
    for fault in auth_faults(definitions, credentials, registry):
        warn(fault)
    return definitions
