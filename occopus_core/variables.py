"""Values as templates see them: a number, a truth or nothing prints as it was written, and is a value all the same.

A variable with nothing behind it does not print: that is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment

from occopus_core.api.scalars import canonical
from occopus_core.api.written import WrittenList, WrittenMap
from occopus_core.template_errors import NoValueError

_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


class _Printed:
    """Prints as the text it was written as."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return format(self.plain(), spec) if spec else self.text

    def plain(self) -> Any:
        """The value alone."""
        raise NotImplementedError


class _Whole(_Printed, int):
    def plain(self) -> int:
        return int.__int__(self)


class _Number(_Printed, float):
    def plain(self) -> float:
        return float.__float__(self)


class _Truth(_Printed, int):
    def plain(self) -> bool:
        return bool(self)


class _Nothing(_Printed):
    def plain(self) -> None:
        return None

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Nothing)

    def __hash__(self) -> int:
        return hash(None)


class _Blank(_Nothing):
    """Nothing was written. It is false and none, but cannot be printed."""

    text = ""

    def __str__(self) -> str:
        raise NoValueError(self)


def in_scope(value: Any, *, former: bool = False) -> Any:
    """The value as a template is to see it. With `former`, only whole numbers with leading zeros print as written.

    What did not come from a file stays as it is.
    """
    if isinstance(value, WrittenMap):
        return {key: _seen(item, value.texts.get(key), former=former) for key, item in value.items()}
    if isinstance(value, WrittenList):
        return [_seen(item, value.texts.get(at), former=former) for at, item in enumerate(value)]
    return value


def all_in_scope(names: Mapping[str, object], *, former: bool = False) -> dict[str, object]:
    """The values by these names as a template is to see them, see `in_scope`."""
    return {name: in_scope(value, former=former) for name, value in names.items()}


def _seen(value: Any, text: str | None, *, former: bool) -> Any:
    if isinstance(value, str | dict | list):
        return in_scope(value, former=former)
    if former:
        leading = isinstance(value, int) and text is not None and _LEADING_ZERO.fullmatch(text)
        return _with_text(value, str(text)) if leading else value
    simple = text is None and not (value is None or isinstance(value, bool))
    return value if simple else _with_text(value, canonical(value) if text is None else text)


def _with_text(value: Any, text: str) -> _Printed:
    made: _Printed
    if value is None:
        made = _Nothing() if text else _Blank()
    elif isinstance(value, bool):
        made = _Truth(value)
    else:
        made = _Whole(value) if isinstance(value, int) else _Number(value)
    made.text = text
    return made


def plain(value: Any) -> Any:
    """The value, and all that is in it, without the texts."""
    if isinstance(value, _Printed):
        return value.plain()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def install(environment: Environment) -> None:
    """Have the tests and ``tojson`` of an environment take such values for what they are."""
    for name in ("none", "true", "false", "boolean", "integer", "float", "number", "sameas"):
        test: Any = environment.tests[name]
        environment.tests[name] = _on_plain(test)
    undefined = environment.undefined()
    of_absent: tuple[tuple[dict[str, Any], str], ...] = (
        (environment.filters, "default"),
        (environment.filters, "d"),
        (environment.tests, "defined"),
        (environment.tests, "undefined"),
    )
    for functions, name in of_absent:
        functions[name] = _on_absent(functions[name], undefined)
    environment.policies["json.dumps_function"] = lambda value, **options: json.dumps(plain(value), **options)


def _on_absent(function: Callable[..., Any], undefined: object) -> Callable[..., Any]:
    return lambda value, *others, **named: function(undefined if isinstance(value, _Blank) else value, *others, **named)


def _on_plain(test: Callable[..., bool]) -> Callable[..., bool]:
    return lambda *values: test(*(each.plain() if isinstance(each, _Printed) else each for each in values))
