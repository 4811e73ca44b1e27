"""Finds variables of the command line that have no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import jinja2
from jinja2 import nodes as syntax

from occopus_core.api.written import items_of
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDefinition
from occopus_core.descriptions.schema import is_template
from occopus_core.evaluate import UNREADABLE, is_long, parsed

_VARIABLES = "variables"


def unused_variables(
    given: Collection[str],
    declared: Collection[str],
    infrastructure: Infrastructure,
    expanded: Iterable[str],
    definitions: Iterable[NodeDefinition],
) -> list[str]:
    """The names in `given` that no template of the description or of these node definitions uses, in their order.

    `expanded` are templates of the description that are already rendered. Configuration managers get all variables of a
    node: if a node has one, a name that the description itself has (`declared`) counts as used.
    """
    implementations = [one for definition in definitions for one in definition.implementations]
    if any(one.config_management is not None for one in implementations):
        given = [name for name in given if name not in declared]
    texts = [*expanded, *(one.template for one in infrastructure.outputs)]
    used: set[str] = set()
    for text in (*texts, *(text for one in implementations for text in _templates_of(one))):
        names = _names(text)
        if names is None:
            return []
        used |= names
    return [name for name in given if name not in used]


def _templates_of(implementation: Implementation) -> Iterator[str]:
    sections = [implementation.resource, implementation.contextualisation, implementation.config_management]
    yield from _templates([*sections, implementation.health_check.checks])


def _templates(value: Any) -> Iterator[str]:
    if is_template(value):
        yield value
    for _, item in items_of(value):
        yield from _templates(item)


def _names(text: str) -> set[str] | None:
    """All names in a template, and the keys that it takes from `variables`; None if it may use any of them."""
    if is_long(text):
        return None
    try:
        tree = parsed(text)
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return None
    keys = [key for one in tree.find_all((syntax.Getattr, syntax.Getitem)) if (key := _key(one)) is not None]
    names = [one.name for one in tree.find_all(syntax.Name)]
    return {*keys, *names} if names.count(_VARIABLES) == len(keys) else None


def _key(node: syntax.Node) -> str | None:
    """The key that a node takes from `variables`, if it does so with a literal key."""
    of = getattr(node, "node", None)
    if not isinstance(of, syntax.Name) or of.name != _VARIABLES:
        return None
    if isinstance(node, syntax.Getattr):  # `variables.get('x')` and the like may use any
        return None if hasattr(dict, node.attr) else node.attr
    key = node.arg if isinstance(node, syntax.Getitem) else None
    return str(key.value) if isinstance(key, syntax.Const) else None
