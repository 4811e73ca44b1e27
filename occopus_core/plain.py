"""Which templates are plain: everything they can do is counted before it is done, so they need no process of their own.

A template is plain if it has few tokens and uses only the syntax, filters, tests and calls listed here. Whatever is not
listed, whether Jinja2 has it today or gets it later, is not plain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jinja2
from jinja2 import nodes as syntax

from occopus_core.evaluate import UNREADABLE, is_long, parsed
from occopus_core.sandbox import TURNS

_FUNCTIONS = frozenset({"getip", "getprivip", "getipall", "find_node_id", "ibget", "cut", "cmd", "range"})
_METHODS = frozenset(
    {"items", "keys", "values", "strip", "lstrip", "rstrip", "lower", "upper", "split", "startswith", "endswith"}
    | {"replace"}
)
_FILTERS = frozenset(
    {"default", "d", "lower", "upper", "capitalize", "trim", "first", "last", "length", "count", "join", "string"}
    | {"int", "float", "list", "replace", "indent", "b64encode", TURNS}
)
_NAMED = frozenset({"default", "d", "indent"})
"""Filters whose arguments may be named."""
_TESTS = frozenset(
    {"defined", "undefined", "none", "string", "number", "mapping", "sequence", "iterable", "boolean", "true", "false"}
    | {"odd", "even", "integer", "float"}
)
_EXACT = frozenset({"eq", "ne", "lt", "lteq", "gt", "gteq"})

_FREE: tuple[type[syntax.Node], ...] = (
    *(syntax.Template, syntax.Output, syntax.TemplateData, syntax.Const, syntax.Getattr, syntax.If, syntax.CondExpr),
    *(syntax.Not, syntax.And, syntax.Or, syntax.Operand, syntax.Keyword),
    *(syntax.Add, syntax.Sub, syntax.Mul, syntax.Div, syntax.FloorDiv, syntax.Mod, syntax.Neg, syntax.Pos),
)
"""Nodes that are plain if their parts are."""


def is_plain(text: str) -> bool:
    """True where the template can be rendered in this process. What cannot be parsed is plain: it renders nothing."""
    return _known(text) if len(text) < _CACHED else _classify(text)


_CACHED = 8192


@functools.lru_cache(maxsize=4096)
def _known(text: str) -> bool:
    return _classify(text)


def _classify(text: str) -> bool:
    if is_long(text):
        return False
    try:
        return _all_plain(parsed(text), in_loop=False)
    except jinja2.TemplateSyntaxError:
        return True
    except UNREADABLE:
        return False


def _all_plain(node: syntax.Node, *, in_loop: bool) -> bool:
    check = _CHECKS.get(type(node))
    if check is not None:
        if not check(node, in_loop):
            return False
    elif type(node) not in _FREE:
        return False
    inside = in_loop or isinstance(node, syntax.For)
    return all(_all_plain(part, in_loop=inside) for part in _parts(node))


def _parts(node: syntax.Node) -> Iterable[syntax.Node]:
    for part in node.iter_child_nodes():
        joined = isinstance(node, syntax.Filter) and node.name == "join" and part is node.node
        if joined and isinstance(part, syntax.List):
            yield from part.items  # of a concatenation
        else:
            yield part


def _target(node: syntax.Node) -> bool:
    """A name, or several, that hides no function."""
    if isinstance(node, syntax.Tuple):
        return all(map(_target, node.items))
    return isinstance(node, syntax.Name) and node.name not in _FUNCTIONS


def _assign(node: Any, _in_loop: bool) -> bool:
    return isinstance(node.target, syntax.Name) and _target(node.target)


def _for(node: Any, _in_loop: bool) -> bool:
    return not node.recursive and _target(node.target)


def _call(node: Any, _in_loop: bool) -> bool:
    if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
        return False
    called = node.node
    if isinstance(called, syntax.Name):
        return called.name in _FUNCTIONS
    return isinstance(called, syntax.Getattr) and called.attr in _METHODS


def _filter(node: Any, _in_loop: bool) -> bool:
    named = bool(node.kwargs) and node.name not in _NAMED
    return node.name in _FILTERS and not named and node.dyn_args is None and node.dyn_kwargs is None


def _test(node: Any, _in_loop: bool) -> bool:
    return node.name in _TESTS and not (node.args or node.kwargs)


def _compare(node: Any, in_loop: bool) -> bool:
    """In a loop, comparisons with constants only: how long two values take to compare is not counted."""
    if not in_loop:
        return True
    if len(node.ops) != 1:
        return False
    operand = node.ops[0]
    if operand.op in {"in", "notin"}:
        return isinstance(operand.expr, syntax.List | syntax.Tuple) and isinstance(
            node.expr, syntax.Name | syntax.Const
        )
    return operand.op in _EXACT and (isinstance(node.expr, syntax.Const) or isinstance(operand.expr, syntax.Const))


def _constants(node: Any, _in_loop: bool) -> bool:
    """A list of constants; the target of a loop is a tuple of names. Others could hold each other many times over."""
    return all(isinstance(item, syntax.Const) for item in node.items) or getattr(node, "ctx", "") == "store"


def _item(node: Any, _in_loop: bool) -> bool:
    return isinstance(node.arg, syntax.Const | syntax.Name | syntax.Neg | syntax.Getattr)


def _always(_node: Any, _in_loop: bool) -> bool:
    return True


_CHECKS: Mapping[type[syntax.Node], Callable[[Any, bool], bool]] = {
    syntax.Name: _always,
    syntax.Assign: _assign,
    syntax.For: _for,
    syntax.Call: _call,
    syntax.Filter: _filter,
    syntax.Test: _test,
    syntax.Compare: _compare,
    syntax.List: _constants,
    syntax.Tuple: _constants,
    syntax.Getitem: _item,
}
