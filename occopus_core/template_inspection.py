"""What a template says without being rendered: the names, nodes and commands it refers to, and its mistakes."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes as syntax
from jinja2.meta import find_undeclared_variables

from occopus_core.api.spelling import did_you_mean
from occopus_core.evaluate import UNREADABLE, compiled, environment, is_long, parsed, syntax_reason
from occopus_core.templates_1x import ASKING, PEER_FUNCTIONS

NAMES = frozenset(
    {"infra_name", "infra_id", "name", "node_id", "user_id", "variables", "type", "scaling", "resource", "attributes"}
)
"""The names in every template, besides the functions."""

FUNCTIONS = frozenset({*PEER_FUNCTIONS, "ibget", "cut", "cmd"})
"""The functions of every template."""


def named_peers(value: Any) -> Iterator[str]:
    """The nodes named as literals, as in ``getip('db')``, including branches that a rehearsal does not take."""
    if isinstance(value, str):
        if any(name in value for name in PEER_FUNCTIONS):
            yield from _named_in_template(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from named_peers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named_peers(item)


_NAMED_PEER = re.compile(r"\bget(?:ip|privip|ipall)\s*\(\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")")


@functools.lru_cache(maxsize=1024)
def _named_in_template(text: str) -> tuple[str, ...]:
    if is_long(text):  # parsing it could take long; a name in a comment too many does no harm
        return tuple(single or double for single, double in _NAMED_PEER.findall(text))
    try:
        tree = parsed(text)
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return ()  # rendering reports it, with its place
    return tuple(
        argument.value
        for call in tree.find_all(syntax.Call)
        if isinstance(call.node, syntax.Name) and call.node.name in PEER_FUNCTIONS
        for argument in call.args[:1]
        if isinstance(argument, syntax.Const) and isinstance(argument.value, str)
    )


def inspect(text: str, names: Collection[str] | None, *, former: bool = False) -> str:
    """The mistakes in a template that do not depend on the infrastructure; empty if there are none, or unknown.

    `names` are those it has beyond `NAMES`, or None if they are unknown: only a call is undefined for certain then,
    since names that an infrastructure adds are values. With `former`, undefined names are ignored. Renders nothing.
    """
    try:
        compiled(text)
        undefined = set() if former else _undefined(text)
        unknown = undefined & _called(text) if names is None else undefined - {*NAMES, *names}
    except jinja2.TemplateSyntaxError as error:
        line = f"line {error.lineno} of it: " if "\n" in text.strip("\n") else ""
        return f"{line}{syntax_reason(error)}"
    except (jinja2.TemplateError, *UNREADABLE):
        return ""  # the rehearsal reports it, when all its names are known
    known = {*NAMES, *(names or ()), *FUNCTIONS}
    return "; ".join(f"'{name}' is undefined{did_you_mean(name, known)}" for name in sorted(unknown))


def _undefined(text: str) -> set[str]:
    """The names that neither the template nor the environment defines, without those it tests first."""
    tree = parsed(text)
    asked = (one for one in tree.find_all((syntax.Filter, syntax.Test)) if one.name in ASKING)
    nodes = (
        call.args[0]
        for call in tree.find_all(syntax.Call)
        if isinstance(call.node, syntax.Name) and call.node.name in PEER_FUNCTIONS and call.args
    )  # may be named without quotes
    names = (name for one in (*asked, *nodes) for name in ([one] if isinstance(one, syntax.Name) else _names(one)))
    careful = {name.name for name in names}
    return find_undeclared_variables(tree) - careful - FUNCTIONS - environment().globals.keys()


def _called(text: str) -> set[str]:
    calls = parsed(text).find_all(syntax.Call)
    return {call.node.name for call in calls if isinstance(call.node, syntax.Name)}


def _names(node: syntax.Node) -> Iterator[syntax.Name]:
    yield from node.find_all(syntax.Name)


def calls_commands(value: Any) -> bool:
    """True if a template in the value refers to `cmd`."""
    if isinstance(value, str):
        return "cmd" in value and _names_cmd(value)
    if isinstance(value, Mapping):
        return any(map(calls_commands, value.values()))
    return isinstance(value, list | tuple) and any(map(calls_commands, value))


def _names_cmd(text: str) -> bool:
    if is_long(text):
        return True
    try:
        return any(name.name == "cmd" for name in parsed(text).find_all(syntax.Name))
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return True  # an invalid template is not trusted
