"""The messages of errors in templates: they hold names and what a template itself says, but no value of a variable.

Python and Jinja2 repeat values in their errors: `KeyError: 'hunter2'`. A message is shown only if all its parts are
known to be names, types or literals of the template; of any other error only the type is shown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jinja2
from jinja2 import nodes as syntax
from jinja2.exceptions import SecurityError
from jinja2.utils import missing, object_type_repr

from occopus_core.api.spelling import did_you_mean
from occopus_core.redaction import hide

MOST_NAMES = 10
"""The largest number of names of a mapping that a message lists."""

Literals = Callable[[], Collection[str]]
"""Returns the names and constants that the template itself holds."""


class RefusalError(Exception):
    """A template function cannot return a value; the message says why.

    The message may repeat the arguments of the function: they are hidden unless the template itself holds them, or they
    are among `names`, which are known to be names of nodes.
    """

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.names = names
        self.given: tuple[object, ...] | None = None
        """The arguments, once they are known."""

    def reason(self, literals: Literals) -> str:
        """The message without values."""
        known = {*literals(), *self.names} if self.given else set()
        return hide([text for text in map(_text_of, self.given or ()) if text not in known], str(self))


class LimitError(SecurityError):
    """The template exceeds a limit of the sandbox; the message holds no value."""


class _MissingPartError(jinja2.UndefinedError):
    """A value does not have this attribute, element or key."""

    def __init__(self, value: object, part: object, message: str, *, is_unsafe: bool = False) -> None:
        super().__init__(message)
        self.value = value
        self.part = part
        self.is_unsafe = is_unsafe

    def reason(self, scope: Mapping[str, object], literals: Collection[str]) -> str:
        """Name the missing part, if the template names it; of a mapping also the keys that it has."""
        part = repr(self.part) if _text_of(self.part) in literals else ""
        if self.is_unsafe:
            return f"access to attribute {part or 'of that name'} of '{type(self.value).__name__}' object is unsafe."
        if not isinstance(self.value, Mapping):
            what = "attribute" if isinstance(self.part, str) else "element"
            has_no = f"no {what} {part}" if part else f"no such {what}"
            return f"'{object_type_repr(self.value)}' has {has_no}"
        path = _path_to(self.value, scope)
        # A mapping that the template makes may have values as keys.
        names = sorted(name for name in map(_text_of, self.value) if path or name in literals)
        more = ", ..." if len(names) > MOST_NAMES else ""
        has = f"it has: {', '.join(names[:MOST_NAMES])}{more}" if names else "it is empty"
        advice = _advice(f"{path}.{self.part}") if part else ""
        parts = (f"{path or 'the mapping'} has no {part or 'such key'}", has if names or not self.value else "", advice)
        return "; ".join(filter(None, parts))


class _UndefinedNameError(jinja2.UndefinedError):
    """The name is undefined."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name

    def reason(self, scope: Mapping[str, object], _literals: Collection[str]) -> str:
        """Names come from the template: nothing else is looked up without a value."""
        return f"{self}{_hint(self.name, scope.keys())}"


class NoValueError(jinja2.UndefinedError):
    """The value is a variable with nothing behind it."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def reason(self, scope: Mapping[str, object], _literals: Collection[str]) -> str:
        """Name the variable. Its name comes from the description."""
        path = _path_to(self.value, scope)
        return "; ".join(filter(None, (f"{path or 'a variable'} has nothing behind it", _advice(path))))


class _StatedError(jinja2.UndefinedError):
    """A result that Jinja2 does not have, such as the first item of an empty list; the message holds no value."""


class Undefined(jinja2.StrictUndefined):
    """Remembers the requested name, or part and value."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = jinja2.UndefinedError
    ) -> None:
        if exc is jinja2.UndefinedError:
            if hint is not None:
                exc = _StatedError
            elif obj is missing:
                exc = functools.partial(_UndefinedNameError, str(name))
            else:
                exc = functools.partial(_MissingPartError, obj, name)
        super().__init__(hint, obj, name, exc)


def unsafe_attribute(value: object, attribute: str) -> Callable[[str], Exception]:
    """What raises the error of an attribute that the sandbox does not allow."""
    return functools.partial(_MissingPartError, value, attribute, is_unsafe=True)


def literals_of(tree: syntax.Template) -> frozenset[str]:
    """The names and constants in a template, as texts."""
    constants = (_text_of(node.value) for node in tree.find_all(syntax.Const))
    attributes = (node.attr for node in tree.find_all(syntax.Getattr))
    names = (node.name for node in tree.find_all((syntax.Filter, syntax.Test)))
    return frozenset({*constants, *attributes, *names})


def reason_of(error: Exception, scope: Mapping[str, object], literals: Literals) -> str:
    """The message of an error of rendering, without values."""
    if isinstance(error, _MissingPartError | _UndefinedNameError | NoValueError):
        return error.reason(scope, literals())
    if isinstance(error, MemoryError):
        return "the template takes too much memory"
    if isinstance(error, LimitError | _StatedError):
        return str(error)
    if isinstance(error, RefusalError):
        return error.reason(literals)
    return without_values(error, literals)


def raised_in(error: Exception, what: str) -> None:
    """Note the filter, function or operator of a template that has raised the error; the innermost one counts."""
    error.__dict__.setdefault("raised_in", what)


def without_values(error: Exception, literals: Literals = frozenset) -> str:
    """The type of an error, and its message if that can hold no value, else what has raised it."""
    message = _text_of(error)
    name = _NAMED.fullmatch(message)
    if _HARMLESS.fullmatch(message) or (name is not None and name[1] in literals()):
        return message if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {message}"
    what = error.__dict__.get("raised_in")
    raised = f"{what} raised {type(error).__name__}" if what else type(error).__name__
    return f"{raised}: its message is not shown, because it may hold the value of a variable"


def _hint(name: str, names: Collection[str]) -> str:
    if name == "ip":
        return ": only health_check has the node's address; another one: getip('NODE')"
    return did_you_mean(name, names) or f": put quotes around it if text is meant: '{name}'"


def _advice(path: str) -> str:
    """How a variable gets its value; empty for what is not a variable of the infrastructure."""
    found = _VARIABLE.fullmatch(path)
    return f"give it a value in the description, or with --var {found[1]}=..." if found else ""


_VARIABLE = re.compile(r"variables\.([\w-]+)")


def _text_of(value: object) -> str:
    """The text of a value; empty for one that has no text, such as an undefined name or a very large number."""
    try:
        return str(value)
    except (jinja2.TemplateError, ValueError, TypeError, RecursionError):
        return ""


def _path_to(wanted: object, scope: Mapping[Any, object]) -> str:
    """The template expression for a mapping, such as ``variables.database``; empty if it is not in the scope."""
    for name, value in scope.items():
        if value is wanted:
            return str(name)
        if isinstance(value, Mapping) and (found := _path_to(wanted, value)):
            return f"{name}.{found}"
    return ""


_NAMED = re.compile(r"No (?:filter|test) named '([^']*)'(?: found)?\.?")
"""A message with a name that may come from a value: `map` and `select` take names."""

_TYPE = r"['\"]?[A-Za-z_][\w.]*['\"]?"
_COUNT = r"(?:exactly |at most |at least |from \d+ to )?(?:\d+|no|one|two)"
_PARAMETERS = r"'\w+'(?:,? and '\w+'|, '\w+')*"

_GIVEN = r"(?: but \d+ (?:was|were) given| \(\d+ given\))"
_DIGITS = r"(?:: value has \d+ digits)?; use sys\.set_int_max_str_digits\(\) to increase the limit"

_HARMLESS = re.compile(
    "|".join(
        [
            r"(?:float |integer )?(?:division|floor division|modulo|division or modulo)(?: by zero)?",
            r"0\.0 cannot be raised to a negative power",
            rf"unsupported operand type\(s\) for \S{{1,2}}(?: or pow\(\))?: {_TYPE} and {_TYPE}",
            rf"bad operand type for unary .: {_TYPE}",
            rf"can only concatenate \w+ \(not {_TYPE}\) to \w+",
            rf"can't multiply sequence by non-int of type {_TYPE}",
            rf"'[<>=]+' not supported between instances of {_TYPE} and {_TYPE}",
            rf"{_TYPE} object is not (?:callable|iterable|subscriptable|reversible|a mapping)",
            rf"{_TYPE} object cannot be interpreted as an integer",
            rf"argument of type {_TYPE} is not iterable",
            rf"'in <string>' requires string as left operand, not {_TYPE}",
            rf"object of type {_TYPE} has no len\(\)",
            rf"(?:cannot use {_TYPE} as a \w+ \w+ \()?unhashable type: {_TYPE}\)?",
            rf"cannot unpack non-iterable {_TYPE} object",
            r"too many values to unpack \(expected \d+\)",
            r"not enough values to unpack \(expected \d+, got \d+\)",
            r"not enough arguments for format string",
            r"%\w format: (?:a real number|an integer) is required, not \w+",
            r"substring not found",
            r"not all arguments converted during string formatting",
            r"slice indices must be integers or None or have an __index__ method",
            r"\w+ index out of range",
            rf"[\w.<>]+\(\) missing \d+ required (?:positional|keyword-only) arguments?: {_PARAMETERS}",
            rf"[\w.<>]+\(\) takes {_COUNT} (?:positional |keyword )?arguments?{_GIVEN}?",
            r"\w+ expected (?:at least |at most )?\d+ arguments?, got \d+",
            r"Range too big\. The sandbox blocks ranges larger than MAX_RANGE \(\d+\)\.",
            rf"Exceeds the limit \(\d+ digits\) for integer string conversion{_DIGITS}",
            r"maximum recursion depth exceeded[\w ]*",
            r"Can only get item pairs from a mapping\.",
            r"You can only sort by either \"key\" or \"value\"",
            r"method must be common, ceil or floor",
            r"argument must be iterable",
            r"map requires a filter argument",
            r"Missing parameter for attribute name",
            r"no items for cycling given",
            r"The loop must have the 'recursive' marker to be called recursively\.",
            r"no loader for this environment specified",
        ]
    )
)
"""Messages of Python and Jinja2 that hold types, counts and names of functions, but no values."""
