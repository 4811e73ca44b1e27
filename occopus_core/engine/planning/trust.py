"""Restrictions on node definitions from the network: they may reach no machine other than their nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.descriptions.problems import DescriptionError, Position, Problem
from occopus_core.registry import Registry
from occopus_core.render import calls_commands

_DEVIOUS = re.compile(r"\{[{%#]|\.\.|[\\%@\s]")
"""In a source: templates, and ways out of a folder or to another host."""
_ADVICE = "occopus-import this definition on the server"


def refuse_powers(definitions: Sequence[NodeDefinition], registry: Registry, endpoints: Collection[str]) -> None:
    """Refuse definitions that only a local user may import. Raises `DescriptionError` with all of them.

    `endpoints` were allowed by a local user. Raises `PluginError`.
    """
    vouched = {endpoint.rstrip("/") for endpoint in endpoints}
    problems = [
        Problem(Position("request"), f"node_def:{definition.name}[{index}]", message)
        for definition in definitions
        for index, one in enumerate(definition.implementations)
        for message in _faults(one, registry, vouched)
    ]
    if problems:
        raise DescriptionError(problems)


def _faults(one: Implementation, registry: Registry, vouched: Collection[str]) -> Iterator[str]:
    if calls_commands([one.resource, one.contextualisation, one.config_management, dict(one.health_check.checks)]):
        yield f"cmd() is not for definitions from the network: {_ADVICE}"
    for power in _powers(one, registry):
        yield f"{power}: {_ADVICE}"
    for section in (one.resource, one.config_management or {}):
        yield from _strangers(section, vouched)
    for source in registry.resource(one.resource["type"]).sources(one.resource):
        if not _allows(vouched, source):
            yield (
                f"fetching is not allowed from '{_without_secrets(source)}': start the service with --endpoint, or "
                f"{_ADVICE}"
            )


def _powers(one: Implementation, registry: Registry) -> Iterator[str]:
    """What each plugin of its sections refuses in definitions from the network."""
    yield from registry.resource(one.resource["type"]).powers(one.resource)
    if one.contextualisation is not None:
        yield from registry.context(one.contextualisation["type"]).powers(one.contextualisation)
    if one.config_management is not None:
        yield from registry.config(one.config_management["type"]).powers(one.config_management)
    for key, value in one.health_check.checks.items():
        yield from registry.health(key).powers(value)


def _allows(vouched: Collection[str], source: str) -> bool:
    """True if the source, or a folder that contains it, is allowed and cannot be rendered to something else."""
    if _DEVIOUS.search(source):
        return False
    return any(source.rstrip("/") == each or source.startswith(f"{each}/") for each in vouched if each)


def _without_secrets(source: str) -> str:
    """A source without user, password, query and fragment."""
    return re.split(r"[?#]", re.sub(r"//[^/]*@", "//", source))[0]


def _strangers(section: Mapping[str, Any], vouched: Collection[str]) -> Iterator[str]:
    endpoint = section.get("endpoint")
    if endpoint is not None and str(endpoint).rstrip("/") not in vouched:
        yield (
            f"the endpoint '{endpoint}' is not allowed: start the service with --endpoint, "
            f"name it in an entry of the credentials file, or {_ADVICE}"
        )
