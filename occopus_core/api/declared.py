"""Checks the types and values of what plugins declare: class attributes, and answers of methods without I/O."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from occopus_core.api.config import ConfigManager
from occopus_core.api.context import Context, ContextForm, Contextualiser
from occopus_core.api.health import HealthChecker
from occopus_core.api.notify import Notifier
from occopus_core.api.resource import Feature, ResourceHandler


def fault_of_declarations(plugin: type) -> str:
    """The mistake in the class attributes of a plugin, in words; empty if there is none."""
    for name in declared_names(plugin):
        if fault := fault_of_declared(plugin, name, getattr(plugin, name, None)):
            return f"its class attribute {fault}"
    return _fault_of_harmless_keys(plugin) or _fault_of_features(plugin)


def declared_names(plugin: type) -> Sequence[str]:
    """The names of the attributes by which a plugin of this kind declares facts."""
    return [name for base, rules in _RULES.items() if issubclass(plugin, base) for name in rules]


def fault_of_declared(plugin: type, name: str, value: object) -> str:
    """What is wrong with the value of such an attribute, beginning with its name; empty if nothing is."""
    is_right, expected = next(rules[name] for base, rules in _RULES.items() if issubclass(plugin, base))
    return "" if is_right(value) else f"{name} is {reprlib.repr(value)}, expected {expected}"


def asked_methods(plugin: type) -> Sequence[str]:
    """The names of the class methods of a plugin whose answers are checked when it is loaded."""
    return [name for base, names in _ASKED.items() if issubclass(plugin, base) for name in names]


def fault_of_method(name: str, method: Any) -> str:
    """What is wrong with the answer of such a class method for an empty section; empty if nothing is.

    Raises what the method raises: an empty section may lack what it needs.
    """
    if not callable(method):
        return f"its {name} is {reprlib.repr(method)}, expected a method"
    return fault_of_answer(name, method({}))


def fault_of_answer(name: str, answer: object) -> str:
    """What is wrong with the answer of a class method of a plugin, in words; empty if nothing is."""
    if name == "auth_fault":
        return "" if isinstance(answer, str) else f"{name}() answered {type(answer).__name__}, expected a text"
    found = list(answer) if isinstance(answer, Iterable) and not isinstance(answer, str) else [None]
    texts = [one for one in found if isinstance(one, str)]
    if len(texts) < len(found):
        return f"{name}() answered a value that is not a sequence of texts"
    return f"{name}() answered a text with half of a character" if _has_half_characters(texts) else ""


def fault_of_context(made: object, forms: Collection[ContextForm]) -> str:
    """What is wrong with the answer of a contextualiser that declares these forms; empty if nothing is."""
    if not isinstance(made, Context):
        return f"contextualise() answered {type(made).__name__}, expected a Context"
    words = () if made.command is None or isinstance(made.command, str) else made.command
    for name, value, kinds in (
        ("user_data", made.user_data, (str, type(None))),
        ("env", made.env, (list, tuple)),
        ("command", words, (list, tuple)),
        ("host_key", made.host_key, (str,)),
    ):
        items = value if isinstance(value, list | tuple) else ()
        if not isinstance(value, kinds) or not all(isinstance(item, str) for item in items):
            return f"the {name} of its Context is of a wrong type"
        if _has_half_characters([value, *items]):
            return f"the {name} of its Context has half of a character"
    used = {ContextForm.USER_DATA: made.user_data is not None, ContextForm.PROCESS: bool(made.env or made.command)}
    undeclared = [form.value for form in ContextForm if used[form] and form not in forms]
    return f"its Context has {undeclared[0]}, which is not among its forms" if undeclared else ""


def _has_half_characters(values: Iterable[object]) -> bool:
    """True if a text among the values has a surrogate, which no encoding can write."""
    return any(_SURROGATE.search(value) for value in values if isinstance(value, str))


def guarded_keys(plugin: type) -> frozenset[str]:
    """The keys of a section whose values, in a definition from the network, need the operator's leave.

    They say where, or as whom, this side connects: every connection key that the plugin does not declare harmless.
    """
    keys: Sequence[str] = getattr(plugin, "connection_keys", ())
    return frozenset({_ENDPOINT, *keys}) - frozenset(getattr(plugin, "harmless_keys", ()))


def _fault_of_harmless_keys(plugin: type) -> str:
    harmless: Sequence[str] = getattr(plugin, "harmless_keys", ())
    if _ENDPOINT in harmless:
        return f"its class attribute harmless_keys names '{_ENDPOINT}', which is never harmless"
    others = [key for key in harmless if key not in getattr(plugin, "connection_keys", ())]
    if others:
        return f"its class attribute harmless_keys names '{others[0]}', which is not one of its connection_keys"
    return ""


def _fault_of_features(plugin: type) -> str:
    if not issubclass(plugin, ResourceHandler):
        return ""
    for one in Feature:
        if one in plugin.features and getattr(plugin, one.value) is getattr(ResourceHandler, one.value):
            return f"its class attribute features has Feature.{one.name}, but its class has no {one.value}()"
    return ""


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value, 1, MOST_COUNT)


def _is_pause(value: object) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2:  # noqa: PLR2004  # the shortest and the longest
        return False
    shortest, longest = value
    return _is_number(shortest, 0, MOST_POLL[0]) and _is_number(longest, 0, MOST_POLL[1]) and 0 < shortest <= longest


def _seconds(most: int) -> tuple[Callable[[object], bool], str]:
    return (lambda value: _is_number(value, 0, most)), f"a number of seconds from 0 to {most}"


def _all_of(kind: type, *containers: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, containers) and all(isinstance(one, kind) for one in value)  # type: ignore[attr-defined]


_SURROGATE = re.compile("[\ud800-\udfff]")
JUMP = "jump"
"""The key of a login for a host on the way (`occopus_core.api.ssh.LOGIN_PROPERTIES`): refused in every section."""
_ENDPOINT = "endpoint"

MOST_COUNT = 10_000
"""The largest `max_concurrency`, `max_jobs` and `batch_size`."""
MOST_POLL = (30, 300)
"""The largest `poll_seconds`. An operation is looked at no later than this, whatever a plugin declares."""
MOST_WINDOW = 3_600
"""The largest `consistency_window`: a destruction may have to wait for that long."""
MOST_GRACE = 86_400
"""The largest `leave_seconds` and `stop_seconds`: a day."""

_COUNT = (_is_count, f"a whole number from 1 to {MOST_COUNT}")
_POLL = (
    _is_pause,
    "the shortest and the longest time in seconds, above 0 and at most {} and {}".format(*MOST_POLL),
)
_NAMES = (_all_of(str, tuple, list), "a tuple of names")
_FORMS = (_all_of(ContextForm, frozenset, set), "a frozenset of ContextForm")

_ASKED: Mapping[type, Sequence[str]] = {
    ResourceHandler: ("powers", "sources", "exclusive", "unshared", "auth_fault"),
    ConfigManager: ("powers",),
    HealthChecker: ("powers",),
    Contextualiser: ("powers",),
}
"""The class methods whose answers are checked when a plugin is loaded."""

_RULES: Mapping[type, Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    ResourceHandler: {
        "connection_keys": _NAMES,
        "harmless_keys": _NAMES,
        "context_forms": _FORMS,
        "features": (_all_of(Feature, frozenset, set), "a frozenset of Feature"),
        "stop_seconds": _seconds(MOST_GRACE),
        "max_concurrency": _COUNT,
        "poll_seconds": _POLL,
        "consistency_window": _seconds(MOST_WINDOW),
    },
    ConfigManager: {
        "connection_keys": _NAMES,
        "harmless_keys": _NAMES,
        "max_concurrency": _COUNT,
        "max_jobs": (lambda value: value is None or _is_count(value), f"{_COUNT[1]}, or None"),
        "poll_seconds": _POLL,
        "live": (lambda value: isinstance(value, bool), "True or False"),
        "leave_seconds": _seconds(MOST_GRACE),
    },
    Contextualiser: {"forms": _FORMS},
    Notifier: {"batch_size": _COUNT},
}
