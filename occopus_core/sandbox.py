"""The sandbox of templates: they can access only their scope, and each has a cost budget.

Descriptions may come from untrusted users. The cost of an expression is counted before it is evaluated if it can be
predicted, and each iteration of a loop counts. Not all of Jinja2 can be counted: templates that use more than
`occopus_core.plain` lists also run in a process of their own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import wraps
from types import BuiltinMethodType
from typing import Any, ClassVar, cast

from jinja2 import Environment, pass_context
from jinja2 import nodes as syntax
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from occopus_core.template_errors import LimitError, RefusalError, raised_in, unsafe_attribute

BUDGET = 10_000_000
"""The budget for rendering the texts of one value: each character created costs 1. It allows 1 to 2 s of work."""

TURN, CALL, ITEM = 10, 100, 5
"""Cost per iteration, call and value, in proportion to the time that each takes."""

LARGEST_NUMBER = 100_000
"""The largest width, count or precision that a filter or a method accepts."""

TURNS = "occopus turns"
"""The filter that counts the turns of a loop."""

_left: ContextVar[list[int] | None] = ContextVar("left", default=None)
_SIZED = frozenset(
    {"center", "ljust", "rjust", "zfill", "expandtabs", "to_bytes", "indent", "batch", "slice", "round", "wordwrap"}
    | {"truncate", "tojson", "urlize"}
)
"""Filters and methods whose numbers determine the size of the result."""
_QUADRATIC = frozenset({"striptags", "urlize", "wordwrap", "title", "sum", "unique", "pprint"})
_LONG_NUMBER = re.compile(r"\d{6,}")
_INDIRECT_WIDTH = re.compile(r"%[^a-zA-Z%]*\*|\{[^{}]*\{")


class OverBudgetError(LimitError):
    """The template has used up its budget."""


@contextlib.contextmanager
def budget(left: list[int] | None = None) -> Iterator[None]:
    """Limit the cost of rendering in this block to `left` (`BUDGET`). Exceeding it raises `OverBudgetError`."""
    token = _left.set([BUDGET] if left is None else left)
    try:
        yield
    finally:
        _left.reset(token)


def spend(cost: int) -> None:
    """Count a cost. Raises `OverBudgetError` if it exceeds the budget."""
    left = _left.get()
    if left is not None:
        left[0] -= cost
        if left[0] < 0:
            raise OverBudgetError("the template makes or repeats too much")


def weight(value: object) -> int:
    """The length of the text that a value would make, or slightly more than `BUDGET`."""
    found, waiting = 0, [value]
    while waiting and found <= BUDGET:
        one = waiting.pop()
        found += ITEM
        if isinstance(one, str | bytes):
            found += len(one)
        elif isinstance(one, int):
            found += one.bit_length() // 3
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
    return found


def _refuse_large(numbers: Iterable[object]) -> None:
    if any(isinstance(number, int) and abs(number) > LARGEST_NUMBER for number in numbers):
        raise LimitError(f"no number here may be larger than {LARGEST_NUMBER}")


def _check_format(text: object, values: Iterable[object]) -> None:
    if _LONG_NUMBER.search(str(text)):
        raise LimitError(f"no width may be larger than {LARGEST_NUMBER}")
    if _INDIRECT_WIDTH.search(str(text)):
        _refuse_large(values)
    widths = sum(map(int, re.findall(r"\d+", str(text))))
    spend(widths)


def _foresee(name: str, value: Any, values: tuple[Any, ...]) -> None:
    """Count the result of a filter or method before it is called."""
    weights = [weight(each) for each in values]
    whole = weight(value)
    spend(whole + sum(weights))
    if name in _SIZED:
        _refuse_large(values)
    if name in _QUADRATIC:
        spend(whole * whole // 1000)
    if name in {"format", "format_map"}:
        _check_format(value, values)
        spend(max(weights, default=0) * (str(value).count("{") + str(value).count("%")))
    elif name in {"replace", "translate", "expandtabs", "indent"}:
        numbers = [each for each in values if isinstance(each, int)]
        spend(_times(name, value, values) * max([*weights, *numbers], default=4))
    elif name == "join":
        items = value if isinstance(value, list | tuple) else values[0] if values else ()
        spend(
            max([whole if isinstance(value, str) else 0, *weights]) * (len(items) if hasattr(items, "__len__") else 0)
        )


def _times(name: str, value: Any, values: tuple[Any, ...]) -> int:
    """How often the method inserts a text."""
    text = str(value)
    if name == "replace" and values and isinstance(values[0], str) and values[0]:
        return text.count(values[0])
    return text.count({"expandtabs": "\t", "indent": "\n"}[name]) + 1 if name in {"expandtabs", "indent"} else len(text)


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its cost counted."""
    passes = getattr(function, "jinja_pass_arg", None) is not None

    @wraps(function)
    def bounded(*arguments: Any, **named: Any) -> Any:
        value, *others = arguments[1:] if passes else arguments
        _foresee(name, value, (*others, *named.values()))
        try:
            result = function(*arguments, **named)
        except Exception as error:
            raised_in(error, f"the filter '{name}'")
            raise
        spend(weight(result))
        return result

    return bounded


def _turns(items: Any, cost: int) -> Iterator[Any]:
    for item in items:
        spend(cost)
        yield item


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with a budget."""

    intercepted_binops: ClassVar[frozenset[str]] = frozenset({"*", "**", "%", "+", "-", "/", "//"})  # type: ignore[misc]

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=_counted, **options)
        del self.globals["lipsum"]
        self.filters = {name: _bounded(name, function) for name, function in self.filters.items()}
        self.filters[TURNS] = _turns

    def _parse(self, source: str, name: str | None, filename: str | None) -> syntax.Template:
        template = super()._parse(source, name, filename)
        for loop in template.find_all(syntax.For):
            cost = TURN + sum(len(text.data) for text in loop.find_all(syntax.TemplateData))
            cost += sum(1 for _ in loop.find_all(syntax.Node))
            loop.iter = _filter(loop.iter, TURNS, [syntax.Const(cost)])
        _replace_concatenations(template)
        return template

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """See `jinja2.sandbox.SandboxedEnvironment`."""
        if operator == "*":
            spend(_product(left, right))
        elif operator == "**":
            spend(weight(left) * abs(right) if isinstance(right, int) else 1)
        elif operator == "%" and isinstance(left, str):
            _foresee("format", left, right if isinstance(right, tuple) else (right,))
        elif operator in {"%", "/", "//"}:
            spend(_product(left, right) if isinstance(right, int) else 1)
        else:
            spend(weight(left) + weight(right))
        try:
            return super().call_binop(context, operator, left, right)
        except Exception as error:
            raised_in(error, f"the operator '{operator}'")
            raise

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # named as in Jinja2
        """See `jinja2.sandbox.SandboxedEnvironment`."""
        method = getattr(__obj, "__wrapped__", __obj)
        value = getattr(method, "__self__", None)
        if isinstance(value, str | bytes | int):
            _foresee(method.__name__, value, (*args, *kwargs.values()))
        spend(CALL)
        try:
            result = super().call(__context, __obj, *args, **kwargs)
        except RefusalError as error:
            if error.given is None:  # else it comes through a macro, whose arguments are others
                error.given = (*args, *kwargs.values())
            raise
        except Exception as error:
            if isinstance(method, BuiltinMethodType):  # other names of functions are not those in the template
                raised_in(error, f"the method '{method.__name__}'")
            raise
        spend(weight(result))
        return result

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """See `jinja2.sandbox.SandboxedEnvironment`."""
        return self.undefined(obj=obj, name=attribute, exc=unsafe_attribute(obj, attribute))  # type: ignore[arg-type]


@pass_context  # so that constants are not put out, and evaluated, while the template is compiled
def _counted(_context: Context, value: Any) -> Any:
    spend(weight(value))
    return value


def _product(left: Any, right: Any) -> int:
    if isinstance(left, int) and isinstance(right, int):
        return weight(left) * weight(right) // 100
    number, value = (left, right) if isinstance(left, int) else (right, left)
    return weight(value) * max(number, 0) if isinstance(number, int) else 1


def _filter(value: syntax.Node, name: str, arguments: list[syntax.Expr]) -> syntax.Filter:
    made = syntax.Filter(cast("syntax.Expr", value), name, arguments, [], None, None)
    made.set_lineno(value.lineno)
    made.set_environment(cast("Environment", value.environment))
    return made


def _replace_concatenations(node: syntax.Node) -> None:
    """Replace ``~`` by the filter that joins texts and counts them."""
    for name, value in node.iter_fields():
        if isinstance(value, syntax.Node):
            _replace_concatenations(value)
            setattr(node, name, _joined(value))
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, syntax.Node):
                    _replace_concatenations(each)
            setattr(node, name, [_joined(each) for each in value])


def _joined(node: Any) -> Any:
    if not isinstance(node, syntax.Concat):
        return node
    items = syntax.List(node.nodes, lineno=node.lineno, environment=node.environment)
    return _filter(items, "join", [])
