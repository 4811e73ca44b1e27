"""The differences between the description in force and another one, key by key, without secrets. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from occopus_core.api.scalars import canonical
from occopus_core.api.written import items_of, texts_of
from occopus_core.descriptions.model import Implementation, Infrastructure
from occopus_core.redaction import LOGIN, SECRET_NAME

HIDDEN = "(hidden)"
LONGEST = 60
"""The longest value that is shown; for longer ones only the number of characters."""
LONGEST_COMMAND = 200
_FREE = ("contextualisation", "config_management")
"""Sections with arbitrary texts: only their types and their commands are shown."""
_COMMAND = re.compile(r"(?:^|\.)(?:(?:commands|runcmd|bootcmd)\[\d+\]|command|run|unless)(?=[.\[]|$)")
"""The end of the path of one command, which is a text or a list of words."""
_TELLING = re.compile(rf"{SECRET_NAME.pattern}|key\b|(?:^|\s)(?:-p\S|(?:-\w*u|--user)[\s=]*\S*:)", re.IGNORECASE)
"""A part of a command that often precedes a secret."""
_ASSIGNED = re.compile(rf"(?:{SECRET_NAME.pattern.removesuffix('$')})[\w.-]*[\"']?\s*(?:=|:\s)", re.IGNORECASE)
"""The name of a secret within a text, and the sign before its value."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value differs; None if it is missing."""

    path: str
    before: str | None
    after: str | None

    @property
    def without_values(self) -> Change:
        """The same, with hidden values."""
        return Change(self.path, *(None if value is None else HIDDEN for value in (self.before, self.after)))


@dataclass(frozen=True, slots=True)
class Changes:
    """All keys that differ."""

    infrastructure: Sequence[Change] = ()
    """Keys that belong to no node."""
    nodes: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    """By node name, for nodes in both descriptions: keys of the node and of its node definition."""
    inherited: Sequence[Change] = ()
    """Variables of the infrastructure that are listed at the nodes that inherit them."""

    @property
    def count(self) -> int:
        """The number of keys; a variable that several nodes inherit is one."""
        of_nodes = [one for changes in self.nodes.values() for one in changes if one not in self.inherited]
        return len(self.infrastructure) + len(self.inherited) + len(of_nodes)

    @property
    def without_values(self) -> Changes:
        """The same keys, with hidden values."""
        nodes = {name: [one.without_values for one in found] for name, found in self.nodes.items()}
        of_all, inherited = ([one.without_values for one in some] for some in (self.infrastructure, self.inherited))
        return Changes(of_all, nodes, inherited)


def changes_of(
    before: Infrastructure,
    used: Mapping[str, Sequence[Implementation]],
    after: Infrastructure,
    known: Mapping[str, Sequence[Implementation]],
    replaced: Mapping[str, Sequence[Implementation]] = MappingProxyType({}),
) -> Changes:
    """The keys that differ, also those of node definitions. Values of secrets are hidden.

    By node name, `used` has the implementations of the existing instances, `known` those that can make new ones, and
    `replaced` those of a node definition in whose place the build puts another one. A variable that nodes inherit is
    listed at these nodes alone.
    """
    former = {node.name: node for node in before.nodes}
    nodes: dict[str, list[Change]] = {}
    for node in after.nodes:
        if node.name in former:
            old, new = (_fields(one) for one in (former[node.name], node))
            possible, past = known.get(node.name, ()), replaced.get(node.name, ())
            if past:
                old["implementations"], new["implementations"] = _labels(past), _labels(possible)
            labels = {one.label for one in possible}
            compared = [*used.get(node.name, ()), *(one for one in past if one.label in labels)]
            sections = [(_sections(one), _sections(_successor(one, possible))) for one in compared] or [({}, {})]
            changes = [one for mine, other in sections for one in _compared({**old, **mine}, {**new, **other})]
            if changes:
                nodes[node.name] = list(dict.fromkeys(changes))
    both = former.keys() & {node.name for node in after.nodes}
    gone = former.keys() - both - used.keys()  # no step of a plan is about them
    parts = [_without_nodes(one, both, gone) for one in (before, after)]
    listed = {one for changes in nodes.values() for one in changes}
    of_all = list(_compared(*parts))
    inherited = tuple(one for one in of_all if one in listed)
    return Changes([one for one in of_all if one not in listed], nodes, inherited)


def _fields(value: Any) -> Any:
    """The fields of a value of the model, also of those within it, but for places in files."""
    if isinstance(value, tuple):
        return [_fields(one) for one in value]
    if dataclasses.is_dataclass(value):
        return {one.name: _fields(getattr(value, one.name)) for one in dataclasses.fields(value) if one.compare}
    if isinstance(value, float) and value.is_integer():
        return int(value)  # as people write it
    return value


def _without_nodes(infrastructure: Infrastructure, both: Collection[str], gone: Collection[str]) -> dict[str, Any]:
    """The keys that belong to no node.

    Of the nodes in `both` descriptions these are their order and what they depend on, of those `gone` their types.
    """
    edges: dict[str, dict[str, Any]] = {}
    for edge in (one for one in infrastructure.dependencies if one.dependent in both):
        edges.setdefault(edge.dependent, {}).setdefault(edge.dependee, []).extend(_fields(edge.mappings))
    own: dict[str, Any] = _fields(infrastructure)
    own |= {
        "infra_name": own.pop("name"),
        "nodes": {one.name: one.type for one in infrastructure.nodes if one.name in gone},
        "order of nodes": ", ".join(one.name for one in infrastructure.nodes if one.name in both),
        "dependencies": edges,
        "outputs": {output.name: output.template for output in infrastructure.outputs},
    }
    return {key: value for key, value in own.items() if value != ""}


def _labels(implementations: Sequence[Implementation]) -> str:
    return ", ".join(one.label for one in implementations)


def _sections(implementation: Implementation | None) -> dict[str, Any]:
    if implementation is None:
        return {}
    own: dict[str, Any] = {key: {} if value is None else value for key, value in _fields(implementation).items()}
    checks = own["health_check"].pop("checks")
    return {**own, "health_check": {**checks, **own["health_check"]}}


def _successor(implementation: Implementation, candidates: Sequence[Implementation]) -> Implementation | None:
    """The implementation that replaces another one: the same, one of the same name or type, or the first."""
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
    hidden = _telling_commands(old) | _telling_commands(new)
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield Change(path, *(_shown(path, leaves.get(path), hidden) for leaves in (old, new)))


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


def _command(path: str) -> str:
    """The path of the command that the path is in; empty if it is in none."""
    found = _COMMAND.search(path)
    return path[: found.end()] if found else ""


def _telling_commands(leaves: Mapping[str, str]) -> set[str]:
    """The paths of the commands that may hold a secret, also as a word of its own."""
    words: dict[str, list[str]] = {}
    for path, text in leaves.items():
        words.setdefault(_command(path), []).append(text)
    return {path for path, texts in words.items() if path and _TELLING.search(" ".join(texts))}


def _shown(path: str, text: str | None, hidden: Collection[str]) -> str | None:
    """The value of a key; not those of the commands at the paths `hidden`."""
    if text is None:
        return None
    command = _command(path)
    if command in hidden or (path.partition(".")[0] in _FREE and not command and not path.endswith(".type")):
        return HIDDEN
    if (
        LOGIN.search(text)
        or _ASSIGNED.search(text)
        or any(SECRET_NAME.search(step) for step in re.split(r"[.\[\]]", path))
    ):
        return HIDDEN
    if len(text) > (LONGEST_COMMAND if command else LONGEST) or not text.isprintable():
        return f"({len(text):,} characters)"
    return f"'{text}'"
