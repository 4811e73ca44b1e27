"""Evaluates one template text in this process: a text, or a `FaultError`."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Mapping

import jinja2
from jinja2 import nodes as syntax

from occopus_core.sandbox import OverBudgetError, Sandbox, budget
from occopus_core.template_errors import Undefined, literals_of, reason_of
from occopus_core.variables import install

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


def evaluate(text: str, scope: Mapping[str, object], left: list[int]) -> str:
    """Render a template in this process. `left` holds the units it may cost, and is counted down.

    Raises `FaultError`.
    """
    try:
        template = compiled(text)
    except jinja2.TemplateSyntaxError as error:
        raise FaultError(error.lineno, syntax_reason(error)) from error
    except (jinja2.TemplateError, *UNREADABLE) as error:  # no value is involved yet
        raise FaultError(None, _unreadable(error), cut_off=isinstance(error, MemoryError)) from error
    try:
        with budget(left):
            return template.render(scope)
    except Exception as error:  # noqa: BLE001  # a template raises the errors of its expressions
        cut_off = isinstance(error, OverBudgetError | MemoryError)
        reason = reason_of(error, scope, lambda: _literals(text))
        # The error itself may hold values: it is not chained.
        raise FaultError(_line(error), reason, cut_off=cut_off) from None


def syntax_reason(error: jinja2.TemplateSyntaxError) -> str:
    """The reason of a syntax error, with advice on texts in another language such as ``${#array[@]}`` of a shell."""
    message = error.message or "syntax error"
    if "end of comment tag" not in message:
        return message
    return "'{#' begins a comment that has no end: write {% raw %} before and {% endraw %} after what is no template"


def _unreadable(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "the template takes too much memory"
    return str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"


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
    made = Sandbox(undefined=Undefined, keep_trailing_newline=True, optimized=False)
    install(made)
    made.filters["b64encode"] = lambda text: base64.b64encode(str(text).encode()).decode()
    return made


def _literals(text: str) -> frozenset[str]:
    """The names and constants in a template; none for one that is too long to be parsed once more."""
    try:
        return frozenset() if is_long(text) else literals_of(parsed(text))
    except (jinja2.TemplateSyntaxError, *UNREADABLE):
        return frozenset()


def _line(error: BaseException) -> int | None:
    """The line of the template that failed, from the traceback."""
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
