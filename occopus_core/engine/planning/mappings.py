"""Attributes that nodes publish to their dependents, under the names that `mappings` give them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from occopus_core.descriptions.model import AttributeMapping, Dependency
from occopus_core.descriptions.problems import PlacedMessage
from occopus_core.engine.planning.blueprint import Blueprint
from occopus_core.template_inspection import FUNCTIONS, NAMES

ADDRESS = "ip"
"""The attribute that every node publishes: its first address."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Publisher:
    """One instance of a dependee and its attributes. Those reported later replace those given at its registration."""

    address: str
    published: Mapping[str, Any] = field(default_factory=dict, repr=False)
    registered: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def attribute(self, name: str) -> Any:
        """The value of an attribute, or `_ABSENT`."""
        for attributes in (self.published, self.registered):
            value = lookup(attributes, name)
            if value is not _ABSENT:
                return value
        return self.address if name == ADDRESS and self.address else _ABSENT


@dataclass(frozen=True, slots=True)
class Handed:
    """Attributes for one node: `values` by their new names, and `awaited`, descriptions of those still missing."""

    values: Mapping[str, Any]
    awaited: tuple[str, ...] = ()


def lookup(attributes: Mapping[str, Any], name: str) -> Any:
    """The attribute of this name, or `_ABSENT`. A dotted name that is not a key itself reaches into mappings."""
    if name in attributes:
        return attributes[name]
    first, dot, rest = name.partition(".")
    inner = attributes.get(first)
    return lookup(inner, rest) if dot and isinstance(inner, Mapping) else _ABSENT


def hand(dependencies: Sequence[Dependency], publishers: Mapping[str, Sequence[Publisher]]) -> Handed:
    """Collect the attributes for a node with these dependencies, from the first instance of each that publishes them.

    `publishers` has the instances of each node, in order.
    """
    values: dict[str, Any] = {}
    awaited: list[str] = []
    for edge in dependencies:
        for mapping in edge.mappings:
            found = (each.attribute(mapping.source) for each in publishers.get(edge.dependee, ()))
            value = next((each for each in found if each is not _ABSENT), _ABSENT)
            if value is not _ABSENT:
                values[mapping.target] = value
            elif mapping.synch:
                awaited.append(f"the attribute '{mapping.source}' of node '{edge.dependee}' ('{mapping.target}')")
    return Handed(values, tuple(awaited))


class Placeholder(str):
    """Stands for a value that its dependee has not published yet: a text, and a mapping of such values."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return self if isinstance(key, str) else super().__getitem__(key)


PLACEHOLDER = Placeholder("0")
"""The text is "0" so that it also passes as a number."""


def rehearsed(dependencies: Sequence[Dependency]) -> dict[str, Any]:
    """Placeholders for every attribute that a node with these dependencies will receive."""
    return {mapping.target: PLACEHOLDER for edge in dependencies for mapping in edge.mappings}


def faults(dependencies: Sequence[Dependency], blueprints: Mapping[str, Blueprint]) -> Iterator[tuple[str, str]]:
    """Check the mappings. Yields for each mistake the name of the node that is to get the attribute, and a message."""
    given: dict[tuple[str, str], str] = {}
    for index, edge in enumerate(dependencies):
        for mapping in edge.mappings:
            for message in _mapping_faults(edge, mapping, given, blueprints.get(edge.dependee)):
                text = f"mapping [{mapping.source}, {mapping.target}]: {message}"
                yield edge.dependent, PlacedMessage.of(edge.where, f"dependencies[{index}]", text)


def _mapping_faults(
    edge: Dependency, mapping: AttributeMapping, given: dict[tuple[str, str], str], dependee: Blueprint | None
) -> Iterator[str]:
    if mapping.target in NAMES | FUNCTIONS:
        yield f"'{mapping.target}' is reserved in templates: choose another name"
    first = given.setdefault((edge.dependent, mapping.target), f"{edge.dependee}.{mapping.source}")
    if first != f"{edge.dependee}.{mapping.source}":
        yield f"node '{edge.dependent}' gets '{mapping.target}' from {first} already"
    for implementation in dependee.implementations if dependee is not None and mapping.source != ADDRESS else ():
        if implementation.config_management is None:
            yield (
                f"nothing can publish '{mapping.source}': implementation '{implementation.label}' of node "
                f"'{edge.dependee}' has no config_management; without one only '{ADDRESS}' is published"
            )
