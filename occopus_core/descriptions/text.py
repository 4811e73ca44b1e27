"""Writes the model of an infrastructure as the text of a description; reading it gives an equal model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from occopus_core.api.scalars import is_ambiguous
from occopus_core.api.written import WrittenMap, as_yaml, plain_keys_of, texts_of
from occopus_core.descriptions.model import Dependency, Infrastructure, NodeDescription, Scaling

_LAST_SHORT = "\uffff"
"""The last character that JSON escapes as a single one."""


def description_text(infrastructure: Infrastructure) -> str:
    """The description as YAML, in the order of its file. Comments, aliases and imports are not kept.

    Scalars are as they were written. Nodes have only those variables that differ from the ones of the infrastructure.
    """
    optional = {
        "user_id": infrastructure.user_id,
        "expires": infrastructure.expires,
        "variables": infrastructure.variables,
    }
    head = {"infra_name": infrastructure.name, **{key: value for key, value in optional.items() if value}}
    nodes = [_node(one, infrastructure.variables) for one in infrastructure.nodes]
    outputs = {one.name: one.template for one in infrastructure.outputs}
    body = {**head, "nodes": nodes, **({"outputs": outputs} if outputs else {})}
    return as_yaml(body) + "".join(_dependencies(infrastructure))


def description_digest(infrastructure: Infrastructure) -> str:
    """Identifies the content of a description: equal texts have equal digests."""
    return hashlib.sha256(description_text(infrastructure).encode()).hexdigest()[:32]


def same_description(one: Infrastructure | None, other: Infrastructure | None) -> bool:
    """Whether two descriptions have the same text. Equal models may differ in it: ``1``, ``1.0`` and ``true``."""
    if one is None or other is None:
        return one is other
    return one is other or description_text(one) == description_text(other)


def _node(node: NodeDescription, inherited: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": node.name, "type": node.type}
    if node.filter:
        made["filter"] = node.filter
    if node.scaling != Scaling():
        made["scaling"] = {"min": node.scaling.min, "max": node.scaling.max}
    if node.discovers:
        made["discovers"] = True
    if node.when_outdated != "keep":
        made["when_outdated"] = node.when_outdated
    own = _own(node.variables, inherited)
    if own:
        made["variables"] = own
    return made


def _own(variables: Mapping[str, Any], inherited: Mapping[str, Any]) -> WrittenMap:
    """What must be merged into the inherited variables to give these."""
    made, texts, former = WrittenMap(), texts_of(variables), texts_of(inherited)
    for key, value in variables.items():
        before = inherited.get(key)
        if key in inherited and isinstance(value, Mapping) and isinstance(before, Mapping):
            own = _own(value, before)
            if own:
                made[key] = own
        elif key not in inherited or as_yaml(value) != as_yaml(before) or texts.get(key) != former.get(key):
            made[key] = value
            if key in texts:
                made.texts[key] = texts[key]
    made.plain_keys = plain_keys_of(variables) & made.keys()
    return made


def _dependencies(infrastructure: Infrastructure) -> Iterator[str]:
    if infrastructure.dependencies:
        yield "dependencies:\n"
    for edge in infrastructure.dependencies:
        yield from _edge(edge)


def _edge(edge: Dependency) -> Iterator[str]:
    pair = f"[{_name(edge.dependent)}, {_name(edge.dependee)}]"
    if not edge.mappings:
        yield f"- {pair}\n"
        return
    yield f"- connection: {pair}\n  mappings:\n"
    for one in edge.mappings:
        attributes = f"[{_quoted(one.source)}, {_quoted(one.target)}]"
        yield f"  - {{attributes: {attributes}, synch: true}}\n" if one.synch else f"  - {attributes}\n"


def _name(name: str) -> str:
    """The name of a node, which consists of letters, digits and hyphens."""
    return f"'{name}'" if is_ambiguous(name) or name.startswith("-") else name


def _quoted(text: str) -> str:
    """The text in double quotes, in YAML's syntax: unlike JSON, it has no surrogate pairs."""
    escaped = (f"\\U{ord(each):08X}" if each > _LAST_SHORT else json.dumps(each)[1:-1] for each in text)
    return f'"{"".join(escaped)}"'
