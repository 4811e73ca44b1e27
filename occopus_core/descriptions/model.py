"""The model of descriptions: validated, frozen values that the whole core works with."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from occopus_core.api import scalars
from occopus_core.api.written import texts_of
from occopus_core.descriptions.encoding import encoded

DEFAULT_HEALTH_TIMEOUT = 600.0
"""Seconds a node may stay unhealthy; the default of `health_check.timeout`."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The limits on the number of instances of a node. The first build creates `min`."""

    min: int = 1
    max: int = 1

    def wanted(self, present: int | None) -> int:
        """The wanted number of instances: the current one within the limits; the minimum at first."""
        return self.min if present is None else min(max(present, self.min), self.max)


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """The dependent gets the dependee's attribute `source` as `target`; with `synch` it waits until it exists."""

    source: str
    target: str
    synch: bool = False


@dataclass(frozen=True, slots=True)
class Dependency:
    """`dependent` needs `dependee`: the dependee is healthy before the dependent starts. Both are node names."""

    dependent: str
    dependee: str
    mappings: tuple[AttributeMapping, ...] = ()
    where: str = field(default="", compare=False)
    """The place in the file, for messages."""


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """One node of an infrastructure. `variables` includes the inherited ones."""

    name: str
    type: str
    filter: Mapping[str, Any] = field(default_factory=dict)
    scaling: Scaling = Scaling()
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    discovers: bool = False
    """Its programs find instances of other nodes that are made later by themselves."""
    when_outdated: Literal["keep", "replace"] = "keep"
    """What happens to an instance that lacks the addresses of its dependees."""
    where: str = field(default="", compare=False)
    """The place of `type` in the file, for messages."""


@dataclass(frozen=True, slots=True)
class OutputTemplate:
    """A named text about an infrastructure: a template that is rendered after a build and for every report."""

    name: str
    template: str
    where: str = field(default="", compare=False)
    """The place in the file, for messages."""


@dataclass(frozen=True)
class Infrastructure:
    """An infrastructure description. The order of `nodes` is the order of the file."""

    name: str
    nodes: tuple[NodeDescription, ...]
    dependencies: tuple[Dependency, ...] = ()
    user_id: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires: str = ""
    """When it ends by itself: a time, or a duration from the build that brings it; empty: never. See `times.end_of`."""
    outputs: tuple[OutputTemplate, ...] = ()
    """In the order of the file."""
    expires_where: str = field(default="", compare=False)
    """The place of `expires` in the file, for messages."""

    @functools.cached_property
    def node_names(self) -> frozenset[str]:
        """The names of the nodes."""
        return frozenset(node.name for node in self.nodes)

    @functools.cached_property
    def dependencies_of(self) -> Mapping[str, Sequence[Dependency]]:
        """By node name: the dependencies of the node, in the order of the file. Nodes without any are left out."""
        found: dict[str, list[Dependency]] = {}
        for one in self.dependencies:
            found.setdefault(one.dependent, []).append(one)
        return found

    @property
    def replaced_when_outdated(self) -> frozenset[str]:
        """The names of the nodes whose instances are replaced where they lack the addresses of their dependees."""
        return frozenset(node.name for node in self.nodes if node.when_outdated == "replace")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The checkers that must pass, by their key, and for how many seconds a node may fail.

    For `min_ready_seconds` they must pass, and the provider report the instance as ready, before the node is ready.
    """

    checks: Mapping[str, Any] = field(default_factory=lambda: {"ping": True})
    timeout: float = DEFAULT_HEALTH_TIMEOUT
    min_ready_seconds: float = 0.0


class Places(Protocol):
    """Finds places of one implementation in the file that it was read from."""

    def __call__(self, at: str, line: int | None = None, *, key: bool = False) -> str:
        """The place (file:line:column) of the value, or its key, at a path such as ``resource.image``.

        `line` is a line of the value, a text. For a missing path, the place of the part of it that exists.
        """
        ...


@dataclass(frozen=True)
class Implementation:
    """One way to make a node. Sections contain templates as written; they may hold passwords."""

    resource: Mapping[str, Any] = field(repr=False)
    contextualisation: Mapping[str, Any] | None = field(default=None, repr=False)
    config_management: Mapping[str, Any] | None = field(default=None, repr=False)
    health_check: HealthCheck = field(default_factory=HealthCheck, repr=False)
    place: Places | None = field(default=None, repr=False, compare=False)
    """Finds places in its file; None if it comes from the store."""

    @functools.cached_property
    def digest(self) -> str:
        """Identifies the content: equal implementations have equal digests."""
        sections = [
            self.resource,
            self.contextualisation,
            self.config_management,
            self.health_check.checks,
            self.health_check.timeout,
        ]
        if self.health_check.min_ready_seconds:  # absent from older versions, whose digests stay valid
            sections.append(self.health_check.min_ready_seconds)
        return hashlib.sha256(json.dumps(encoded(sections), sort_keys=True).encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """The name in messages: its `name`, or its type and endpoint."""
        name = self.resource.get("name")
        return (
            str(name)
            if name
            else " ".join(str(self.resource[key]) for key in ("type", "endpoint") if key in self.resource)
        )

    def passes(self, wanted: Mapping[str, Any]) -> bool:
        """True if the `resource` section has all key/values of a node's `filter`, as written."""
        return all(key in self.resource and same(wanted, self.resource, key) for key in wanted)


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """How a type of node can be made: its implementations, in the order of the file."""

    name: str
    implementations: tuple[Implementation, ...]


def same(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    """True if two mappings have the same value for a key, or scalars written the same way."""
    if one[key] == other[key]:
        return True
    texts = [texts_of(each).get(key, scalars.canonical(each[key])) for each in (one, other)]
    return texts[0] == texts[1] and not isinstance(one[key], dict | list)
