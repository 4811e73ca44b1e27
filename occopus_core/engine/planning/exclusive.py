"""What only one instance at a time can have, such as a port of a host. Pure, apart from rendering."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from occopus_core.engine.planning.fingerprints import PLACEHOLDER_NODE_ID
from occopus_core.engine.planning.preparation import Scope, Subject
from occopus_core.sound_errors import sound_text

_SHOWN = 3
"""How many things a message names."""

_OTHER_NODE_ID = "11111111-1111-4111-8111-111111111111"


@dataclass(frozen=True, slots=True)
class Claim:
    """One such thing at one provider."""

    type: str
    """The type of the resource handler."""
    connection: str
    """The settings of its connection."""
    what: str
    """Its name, from the handler."""


Claims = frozenset[Claim]


Asked = Literal["exclusive", "unshared"]
"""The method of `ResourceHandler` that names the things."""


def claims_of(scope: Scope, subject: Subject, connection: str | None = None, asked: Asked = "exclusive") -> Claims:
    """What the instance needs for itself alone, by its rendered `resource` section. Runs no commands; in the pool.

    `connection` has the recorded settings of its connection, if there are any. Raises `TemplateError`, `PluginError`,
    `DescriptionError`.
    """
    subject = subject.quiet()
    section = scope.resource(subject)
    kind = str(section["type"])
    names = scope.registry.texts("resource", kind, asked, section)
    if not names:
        return frozenset()
    settings = scope.settings(subject) if connection is None else connection
    return frozenset(Claim(kind, settings, scope.connections.redact(name)) for name in names)


def unshared_by_all(scope: Scope, subject: Subject) -> Claims:
    """What every instance with these values needs and only one can have. The errors are those of `claims_of`."""
    one, other = (dataclasses.replace(subject, node_id=id) for id in (PLACEHOLDER_NODE_ID, _OTHER_NODE_ID))
    found = claims_of(scope, one, asked="unshared")
    return found & claims_of(scope, other, asked="unshared") if found else found


@dataclass(slots=True)
class Taken:
    """What instances have that the provider refuses to another one, each thing with the name of the node."""

    places: Mapping[str, str] = field(default_factory=dict)
    """By name of a node: the place in a file that messages name with it."""
    holders: dict[Claim, str] = field(default_factory=dict)

    def add(self, node_name: str, claims: Claims) -> None:
        """An instance of the node has these."""
        self.holders.update(dict.fromkeys(claims - self.holders.keys(), node_name))

    def take(self, node_name: str, ways: Sequence[Claims]) -> str:
        """Add a new instance of the node. Returns why it cannot be made; empty if it can.

        `ways` has what it needs by each of its implementations: it can be made if one of them needs nothing taken.
        """
        common = [way & self.holders.keys() for way in ways]
        if not common or not all(common):
            self.add(node_name, frozenset.intersection(*ways) if ways else frozenset())
            return ""
        held = frozenset().union(*common)
        others = sorted({self.holders[claim] for claim in held})
        if others == [node_name]:
            way_out = "give the node one instance, or change its definition so that each has its own"
            return f"only one of its instances can have {named(held)}: {way_out}"
        nodes = " and ".join(f"node '{name}'{self._place(name)}" for name in others)
        return f"it needs {named(held)}, which {nodes} has: change what one of them asks for"

    def _place(self, node_name: str) -> str:
        place = self.places.get(node_name)
        return f" ({place})" if place else ""


def named(claims: Collection[Claim]) -> str:
    """The things in words, for messages."""
    names = sorted(sound_text(claim.what) for claim in claims)
    more = len(names) - _SHOWN
    return " and ".join(names) if more <= 0 else f"{', '.join(names[:_SHOWN])} and {more} more"
