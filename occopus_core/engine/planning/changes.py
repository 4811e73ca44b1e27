"""The differences between the description in force and another one, key by key, without secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occopus_core.api.scalars import canonical
from occopus_core.api.written import items_of, texts_of
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition, NodeDescription
from occopus_core.redaction import LOGIN, SECRET_NAME

HIDDEN = "(hidden)"
LONGEST = 60
"""The longest value that is shown; for longer ones only the number of characters."""
_FREE = ("contextualisation", "config_management")
"""Sections with arbitrary texts: their values are never shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value differs; None if it is missing."""

    path: str
    before: str | None
    after: str | None


def changes_of(
    before: Infrastructure,
    made_by: Mapping[str, Implementation],
    after: Infrastructure,
    definitions: Mapping[str, NodeDefinition],
) -> dict[str, list[Change]]:
    """By node name: the keys that differ, for nodes in both descriptions. Values of secrets are hidden.

    `made_by` has an implementation of an existing instance of the node, `definitions` the node definitions that apply
    from now on.
    """
    former = {node.name: node for node in before.nodes}
    found = {}
    for node in after.nodes:
        if node.name in former:
            old, new = _described(former[node.name]), _described(node)
            implementation = made_by.get(node.name)
            if implementation is not None:
                old |= _sections(implementation)
                new |= _sections(_successor(implementation, definitions.get(node.type)))
            changes = list(_compared(old, new))
            if changes:
                found[node.name] = changes
    return found


def lines_of_changes(changes: Sequence[Change], *, kept: bool = False) -> Iterator[str]:
    """A line for each; with `kept`, all instances of the node stay, and the line of a variable says so."""
    for change in changes:
        before, after = ("(absent)" if value is None else value for value in (change.before, change.after))
        difference = f"changed {HIDDEN}" if before == after == HIDDEN else f"{before} -> {after}"
        unused = " (replaces nothing)" if kept and change.path.startswith("variables.") else ""
        yield f"    {change.path}: {difference}{unused}"


def _described(node: NodeDescription) -> dict[str, Any]:
    scaling = {"min": node.scaling.min, "max": node.scaling.max}
    return {"type": node.type, "filter": node.filter, "scaling": scaling, "variables": node.variables}


def _sections(implementation: Implementation | None) -> dict[str, Any]:
    if implementation is None:
        return {}
    checks = implementation.health_check
    health = {**checks.checks, "timeout": checks.timeout, "min_ready_seconds": checks.min_ready_seconds}
    return {
        "resource": implementation.resource,
        "contextualisation": implementation.contextualisation or {},
        "config_management": implementation.config_management or {},
        "health_check": health,
    }


def _successor(implementation: Implementation, definition: NodeDefinition | None) -> Implementation | None:
    """The implementation that replaces another one: the same, one of the same name or type, or the first."""
    candidates = definition.implementations if definition is not None else ()
    for same in (
        lambda one: one.digest == implementation.digest,
        lambda one: one.label == implementation.label,
        lambda one: one.resource["type"] == implementation.resource["type"],
        lambda _: True,
    ):
        for one in candidates:
            if same(one):
                return one
    return None


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield Change(path, _shown(path, old.get(path)), _shown(path, new.get(path)))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The path and the text of each scalar, and of each empty container below the top."""
    for step, item in items_of(value):
        at = f"{path}[{step}]" if isinstance(value, list | tuple) else f"{path}.{step}".lstrip(".")
        if isinstance(item, Mapping | list | tuple) and item:
            yield from _leaves(item, at)
        elif isinstance(item, Mapping | list | tuple):
            if path:
                yield at, "{}" if isinstance(item, Mapping) else "[]"
        else:
            yield at, texts_of(value).get(step, canonical(item))


def _shown(path: str, text: str | None) -> str | None:
    if text is None:
        return None
    if path.partition(".")[0] in _FREE and not path.endswith(".type"):
        return HIDDEN
    if LOGIN.search(text) or any(SECRET_NAME.search(step) for step in re.split(r"[.\[\]]", path)):
        return HIDDEN
    if len(text) > LONGEST or not text.isprintable():
        return f"({len(text):,} characters)"
    return f"'{text}'"
