"""What only one instance at a time can have, such as a port of a host. Pure, apart from rendering."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from occopus_core.engine.planning.preparation import Scope, Subject

_SHOWN = 3
"""How many things a message names."""


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


def claims_of(scope: Scope, subject: Subject, connection: str | None = None) -> Claims:
    """What the instance needs for itself alone, by its rendered `resource` section. Runs no commands; in the pool.

    `connection` has the recorded settings of its connection, if there are any. Raises `TemplateError`, `PluginError`,
    `DescriptionError`.
    """
    subject = subject.quiet()
    section = scope.resource(subject)
    kind = str(section["type"])
    names = scope.registry.texts("resource", kind, "exclusive", section)
    if not names:
        return frozenset()
    settings = scope.settings(subject) if connection is None else connection
    return frozenset(Claim(kind, settings, scope.connections.redact(name)) for name in names)


def named(claims: Collection[Claim]) -> str:
    """The things in words, for messages."""
    names = sorted(claim.what for claim in claims)
    more = len(names) - _SHOWN
    return " and ".join(names) if more <= 0 else f"{', '.join(names[:_SHOWN])} and {more} more"
