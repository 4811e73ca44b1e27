"""Template features of Occopus 1.x: nodes named without quotes, empty undefined names, folded lines.

They change a template before it is rendered, or its result; rendering itself is the same.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import nodes as syntax
from jinja2.meta import find_undeclared_variables

PEER_FUNCTIONS = ("getip", "getprivip", "getipall", "find_node_id")
"""The functions whose first argument is the name of a node."""
ASKING = frozenset({"default", "d", "defined", "undefined"})
"""Filters and tests of names that may be undefined."""

_NAKED = re.compile(rf"\b(?:{'|'.join(PEER_FUNCTIONS)})\s*\(\s*[A-Za-z0-9]")
_FOLD = re.compile(r"[ \t]*\n[ \t\n]*")
_OWN_BREAK, _OWN_TAB = "\ue0ff", "\ue0fe"
"""Private-use characters that replace the line breaks and tabs of a text while it is rendered."""


@dataclass(frozen=True, slots=True)
class Templates1x:
    """The rules for templates. `warn` is called with a message for each correction."""

    nodes: Collection[str] = ()
    """The names of the nodes of the infrastructure."""
    former: bool = False
    """True if undefined names render empty and scalars of several lines are folded, as in 1.x."""
    warn: Callable[[str], object] = lambda _: None


@functools.cache
def _language() -> jinja2.Environment:
    """The environment for parsing templates; it renders nothing."""
    return jinja2.Environment(keep_trailing_newline=True)  # noqa: S701  # it renders nothing


# Names of nodes without quotes


def quoted(text: str, known: Collection[str], nodes: Collection[str]) -> tuple[str, list[str]]:
    """The template with quotes around unquoted node names, and these names; `known` names are unchanged."""
    if not nodes or not _NAKED.search(text):
        return text, []
    try:
        tokens = [(kind, value) for _, kind, value in _language().lex(text)]
    except jinja2.TemplateSyntaxError:
        return text, []  # rendering reports it, with its place
    found: list[str] = []
    made: list[str] = []
    at = 0
    while at < len(tokens):
        made.append(tokens[at][1])
        at += 1
        if tokens[at - 1] in {("name", name) for name in PEER_FUNCTIONS}:
            end, name = _argument(tokens, at)
            if name in nodes and name not in known:
                found.append(name)
                made.append(f"('{name}'")
                at = end
    return "".join(made), found


def _argument(tokens: list[tuple[str, str]], at: int) -> tuple[int, str]:
    """The end and the text of an argument that is one word, from its parenthesis on; otherwise an empty text."""
    words: list[str] = []
    seen = ""
    while at < len(tokens):
        kind, value = tokens[at]
        if kind != "whitespace":
            if (not seen and value != "(") or (value in {")", ","} and seen):
                break
            if seen and not (kind in {"name", "integer"} or value == "-"):
                return at, ""
            words.append(value if seen else "")
            seen += value
        at += 1
    return at, "".join(words)


# Undefined names


def filled(text: str, scope: Mapping[str, object]) -> tuple[Mapping[str, object], list[str]]:
    """The scope with empty texts for undefined names in the template, and these names."""
    try:
        tree = _language().parse(text)
        names = find_undeclared_variables(tree) - scope.keys() - _language().globals.keys()
    except (jinja2.TemplateError, RecursionError, ValueError):
        return scope, []  # rendering reports it, with its place
    asked = {
        id(node) for one in tree.find_all((syntax.Filter, syntax.Test)) if one.name in ASKING for node in _all(one)
    }
    needed = {name.name for name in tree.find_all(syntax.Name) if name.ctx == "load" and id(name) not in asked} & names
    made: dict[str, object] = {**scope, **dict.fromkeys(needed, "")}
    missing = sorted(needed)
    for node in tree.find_all((syntax.Getattr, syntax.Getitem)):
        path = _path(node)
        if path and id(node) not in asked and path[0] in scope and _fill(made, path):
            missing.append(".".join(path))
    return made, missing


def _all(node: syntax.Node) -> Iterator[syntax.Node]:
    yield from node.find_all(syntax.Node)


def _path(node: syntax.Node) -> tuple[str, ...]:
    """The names of ``variables.a['b']``; empty for any other expression."""
    if isinstance(node, syntax.Name):
        return (node.name,)
    if isinstance(node, syntax.Getattr) and (before := _path(node.node)):
        return (*before, node.attr)
    if isinstance(node, syntax.Getitem) and isinstance(node.arg, syntax.Const) and isinstance(node.arg.value, str):
        return (*before, node.arg.value) if (before := _path(node.node)) else ()
    return ()


def _fill(scope: dict[str, object], path: tuple[str, ...]) -> bool:
    """Insert an empty text for a key that a mapping does not have; true if it did. Changes copies only."""
    holder: dict[Any, Any] = scope
    for step in path[:-1]:
        inner = holder.get(step)
        if not isinstance(inner, Mapping):
            return False
        holder[step] = dict(inner)
        holder = holder[step]
    if path[-1] in holder or hasattr(dict, path[-1]):
        return False
    holder[path[-1]] = ""
    return True


# Scalars of several lines


def is_plain(text: str) -> bool:
    """True for a text that YAML writes without quotes."""
    import yaml  # noqa: PLC0415  # only for this

    if "\n" in text:
        return False
    node = yaml.ScalarNode("tag:yaml.org,2002:str", text)
    written = yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=2**20)
    return written[0] not in "'\""


def unfolded(text: str) -> str:
    """The template to render so that `folded` can distinguish its own lines, as YAML escapes, from those of values."""
    if "\n" not in text and "\t" not in text:
        return text
    try:
        tokens = [(kind, value) for _, kind, value in _language().lex(text)]
    except jinja2.TemplateSyntaxError:
        return text  # rendering reports it, with its place
    own = str.maketrans({"\n": _OWN_BREAK, "\t": _OWN_TAB})
    return "".join(value.translate(own) if kind == "data" else value for kind, value in tokens)


def folded(rendered: str, *, plain: bool) -> str:
    """The value of a scalar with folded lines: one break is a space, n breaks are n - 1 breaks."""
    text = _FOLD.sub(lambda found: "\n" * (found.group().count("\n") - 1) or " ", rendered)
    return text.strip(" \t\n") if plain else text.replace(_OWN_BREAK, "\n").replace(_OWN_TAB, "\t")
