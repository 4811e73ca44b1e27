"""Evaluates one template text in this process: a text, or a `FaultError`."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Collection, Mapping
from typing import Any

import jinja2
from jinja2 import nodes as syntax
from jinja2.utils import missing

from occopus_core.descriptions.problems import did_you_mean
from occopus_core.sandbox import OverBudgetError, Sandbox, budget
from occopus_core.variables import install

MOST_NAMES = 10
"""The largest number of names of a mapping that a message lists."""

MOST_TOKENS = 5000
"""A template with more of Jinja2's tokens is not even parsed outside a process of its own."""

UNREADABLE = (RecursionError, ValueError, MemoryError, SyntaxError)
"""The errors of Jinja2 and Python for a template with too deep nesting or too long a number."""

_SMALL_TEXT = 8192
"""Compiled templates up to this length are kept in the larger cache."""


class FaultError(Exception):
    """A template could not be rendered: the line, where there is one, and the reason.

    `cut_off` is true where it was stopped because it needs too much time or memory.
    """

    def __init__(self, line: int | None, reason: str, *, cut_off: bool = False) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.cut_off = cut_off


class RefusalError(Exception):
    """A template function cannot return a value; the message says why."""


class _MissingKeyError(jinja2.UndefinedError):
    """A mapping does not have this key."""

    def __init__(self, mapping: Mapping[Any, Any], key: object, message: str) -> None:
        super().__init__(message)
        self.mapping = mapping
        self.key = key

    def reason(self, scope: Mapping[str, object]) -> str:
        """Name the mapping, the missing key, and the keys that it has."""
        names = sorted(map(str, self.mapping))
        more = ", ..." if len(names) > MOST_NAMES else ""
        has = f"has: {', '.join(names[:MOST_NAMES])}{more}" if names else "is empty"
        return f"{_path_to(self.mapping, scope) or 'the mapping'} has no '{self.key}'; it {has}"


class _UndefinedNameError(jinja2.UndefinedError):
    """The name is undefined."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _hint(name: str, names: Collection[str]) -> str:
    if name == "ip":
        return ": only health_check has the node's address; another one: getip('NODE')"
    return did_you_mean(name, names) or f": put quotes around it if text is meant: '{name}'"


class _Undefined(jinja2.StrictUndefined):
    """Remembers the requested name, or key and mapping."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = jinja2.UndefinedError
    ) -> None:
        if hint is None and isinstance(obj, Mapping):
            exc = functools.partial(_MissingKeyError, obj, name)
        elif hint is None and obj is missing:
            exc = functools.partial(_UndefinedNameError, str(name))
        super().__init__(hint, obj, name, exc)


def evaluate(text: str, scope: Mapping[str, object], left: list[int]) -> str:
    """Render a template in this process. `left` holds the units it may cost, and is counted down.

    Raises `FaultError`.
    """
    try:
        with budget(left):
            return compiled(text).render(scope)
    except jinja2.TemplateSyntaxError as error:
        raise FaultError(error.lineno, syntax_reason(error)) from error
    except Exception as error:  # a template raises the errors of its expressions
        cut_off = isinstance(error, OverBudgetError | MemoryError)
        raise FaultError(_line(error), _reason(error, scope), cut_off=cut_off) from error


def syntax_reason(error: jinja2.TemplateSyntaxError) -> str:
    """The reason of a syntax error, with advice on texts in another language such as ``${#array[@]}`` of a shell."""
    message = error.message or "syntax error"
    if "end of comment tag" not in message:
        return message
    return "'{#' begins a comment that has no end: write {% raw %} before and {% endraw %} after what is no template"


def compiled(text: str) -> jinja2.Template:
    """The compiled template; compiling evaluates no part of it. Raises `jinja2.TemplateSyntaxError`."""
    return _small(text) if len(text) <= _SMALL_TEXT else _large(text)


@functools.lru_cache(maxsize=2048)
def _small(text: str) -> jinja2.Template:
    return environment().from_string(text)


@functools.lru_cache(maxsize=32)
def _large(text: str) -> jinja2.Template:
    return environment().from_string(text)


def parsed(text: str) -> syntax.Template:
    """The syntax tree. Raises `jinja2.TemplateSyntaxError` and `UNREADABLE`."""
    return environment().parse(text)


def is_long(text: str) -> bool:
    """True where a template has more than `MOST_TOKENS` tokens. Reads no further than that."""
    try:
        tokens = environment().lexer.tokeniter(text, None)
        return next(itertools.islice(tokens, MOST_TOKENS, None), None) is not None
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return False  # the mistake comes before the limit: parsing ends there, too


@functools.cache
def environment() -> Sandbox:
    """The sandbox of all templates."""
    made = Sandbox(undefined=_Undefined, keep_trailing_newline=True, optimized=False)
    install(made)
    made.filters["b64encode"] = lambda text: base64.b64encode(str(text).encode()).decode()
    return made


def _reason(error: Exception, scope: Mapping[str, object]) -> str:
    if isinstance(error, _MissingKeyError):
        return error.reason(scope)
    if isinstance(error, _UndefinedNameError):
        return f"{error}{_hint(error.name, scope.keys())}"
    if isinstance(error, MemoryError):
        return "the template takes too much memory"
    known = isinstance(error, jinja2.TemplateError | RefusalError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _path_to(wanted: object, scope: Mapping[Any, object]) -> str:
    """The template expression for a mapping, such as ``variables.database``; empty if it is not in the scope."""
    for name, value in scope.items():
        if value is wanted:
            return str(name)
        if isinstance(value, Mapping) and (found := _path_to(wanted, value)):
            return f"{name}.{found}"
    return ""


def _line(error: BaseException) -> int | None:
    """The line of the template that failed, from the traceback."""
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
