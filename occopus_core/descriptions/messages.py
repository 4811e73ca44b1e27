"""Messages for the errors of JSON Schema: the mistake, and the allowed values."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from occopus_core.api.spelling import did_you_mean
from occopus_core.descriptions.problems import Path
from occopus_core.descriptions.times import seconds_of

Error = Any
"""A `jsonschema.ValidationError`; its declared types include attributes that are not set yet."""
SECRET_KEY = re.compile(r"(?i)pass|secret|token|credential|private|key_data|access_?key|client_key|auth_data")
"""Values of keys that match are never quoted."""
_LONGEST_QUOTE = 60
_LONGEST_LIST = 12
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class Fault(NamedTuple):
    """A mistake in the value (or the key) at a path."""

    path: Path
    message: str
    key: bool = False


_MOST_COMPARED = 200
"""How many unknown keys of a mapping are compared with the known ones: each comparison takes time."""

_MOST_PAIRS = 5
"""The most pairs that a message shows."""


def explain(error: Error) -> Iterator[Fault]:
    """The faults behind one validation error, each of which a user can correct."""
    path = tuple(error.absolute_path)
    keyword = str(error.validator)
    if "propertyNames" in error.schema_path:
        yield Fault((*path, str(error.instance)), _MESSAGES.get(keyword, _other)(error), key=True)
    elif keyword == "additionalProperties":
        yield from _unknown_keys(error, path)
    elif keyword in ("anyOf", "oneOf"):
        yield from _alternatives(error, path)
    elif keyword == "required":
        present = {*error.instance, *_suggested(error)}
        missing = (key for key in error.validator_value if key not in present)
        yield from (Fault(path, _missing(error, key)) for key in missing)
    else:
        yield Fault(path, _MESSAGES.get(keyword, _other)(error))


def _unknown_keys(error: Error, path: Path) -> Iterator[Fault]:
    schema: Mapping[str, Any] = error.schema
    known = list(schema.get("properties", {}))
    patterns = list(schema.get("patternProperties", {}))
    messages: Mapping[str, str] = schema.get("unknownKeyMessages", {})
    found = (key for key in error.instance if key not in known and not any(re.search(one, key) for one in patterns))
    for number, key in enumerate(found):
        hint = f": {messages[key]}" if key in messages else ""
        hint = hint or (number < _MOST_COMPARED and did_you_mean(key, known)) or _allowed_keys(known, patterns)
        yield Fault((*path, key), f"unknown key '{key}'{hint}", key=True)


def _suggested(error: Error) -> Iterator[str]:
    """The keys suggested for unknown keys, so that each mistake is reported once."""
    if not _is_closed(error):
        return
    known = list(error.schema.get("properties", {}))
    unknown = list(itertools.islice((key for key in error.instance if key not in known), _MOST_COMPARED))
    for key in error.validator_value:
        alike = () if key in error.instance else difflib.get_close_matches(key, unknown)
        if any(did_you_mean(one, known) == did_you_mean(one, [key]) != "" for one in alike):
            yield key


def _is_closed(error: Error) -> bool:
    """Whether an unknown key is a fault."""
    return error.schema.get("additionalProperties", True) is False


def _misspelt(error: Error, key: str) -> str:
    """A similar unknown key, if the schema allows it; otherwise the unknown key is itself the fault."""
    if _is_closed(error):
        return ""
    known = error.schema.get("properties", {})
    close = did_you_mean(key, itertools.islice((one for one in error.instance if one not in known), _MOST_COMPARED))
    return re.sub("did you mean '(.*)'", r"was it meant by '\1'", close)


def _missing(error: Error, key: str) -> str:
    misspelt = _misspelt(error, key)
    return (not misspelt and _as_pair(error, key)) or f"the key '{key}' is missing{misspelt}"


def _as_pair(error: Error, key: str) -> str:
    """What to write for a mapping that stands in the place of a pair, as `web: db` does; empty for any other."""
    if error.schema.get("pairInsteadOf") != key or len(error.instance) != 1:
        return ""
    ((first, second),) = error.instance.items()
    seconds = second if isinstance(second, list) and second else [second]
    if (
        first in error.schema["properties"]
        or len(seconds) > _MOST_PAIRS
        or not all(isinstance(one, str) and one for one in seconds)
    ):
        return ""
    return f"this is not a pair: write {' and '.join(f'[{first}, {one}]' for one in seconds)}"


def _allowed_keys(known: Sequence[str], patterns: Sequence[str]) -> str:
    if known:
        return f": allowed {'is' if len(known) == 1 else 'are'} {_some(known)}"
    return f": keys of the form {' or '.join(patterns)} are allowed" if patterns else ": no keys are allowed here"


def _alternatives(error: Error, path: Path) -> Iterator[Fault]:
    """The faults of the intended branch: the one with the right type of value and the fewest faults."""
    branches: list[list[Error]] = [[] for _ in error.validator_value]
    for found in error.context or ():
        branches[int(found.schema_path[0])].append(found)
    if not any(branches):
        yield Fault(path, "this has more than one of the allowed forms: use one")
        return
    if all(found.validator == "required" and not found.path for branch in branches for found in branch):
        names = dict.fromkeys(key for schema in error.validator_value for key in schema["required"])
        yield Fault(path, f"one of the keys {_list(names)} is missing")
        return
    fitting = [branch for branch in branches if not any(_wrong_kind(found) for found in branch)]
    if not fitting:
        yield Fault(path, _no_branch(error, branches))
        return
    for found in min(fitting, key=lambda branch: (-max(len(one.path) for one in branch), len(branch))):
        yield from explain(found)


def _wrong_kind(error: Error) -> bool:
    return not error.path and error.validator in ("type", "enum", "const")


def _no_branch(error: Error, branches: Sequence[Sequence[Error]]) -> str:
    allowed: dict[str, None] = {}
    for found in (found for branch in branches for found in branch if _wrong_kind(found)):
        allowed |= dict.fromkeys(_allowed(found))
    return f"{_shown(error)} is not allowed: {_list(allowed, quote=False)} is"


def _allowed(error: Error) -> list[str]:
    if error.validator == "type":
        wanted = error.validator_value
        return [_KINDS.get(kind, kind) for kind in ([wanted] if isinstance(wanted, str) else wanted)]
    return [_quoted(value) for value in _values(error)]


def _values(error: Error) -> list[Any]:
    return [error.validator_value] if error.validator == "const" else list(error.validator_value)


def _type(error: Error) -> str:
    allowed = _list(_allowed(error), quote=False)
    if error.instance is None:
        return f"there is no value here: expected {allowed}"
    quote = ": put quotes around it" if "text" in allowed and not isinstance(error.instance, dict | list) else ""
    kind = "" if isinstance(error.instance, bool) else f"{_kind(error.instance)}, "
    return (
        f"{_shown(error)} is {kind}not {allowed}{quote}{_in_seconds(error)}{_form_of_list(error)}{_form_of_item(error)}"
    )


def _in_seconds(error: Error) -> str:
    """How to write a duration with units where a number of seconds is expected; else an empty text."""
    seconds = seconds_of(error.instance) if isinstance(error.instance, str) else None
    if seconds is None or "seconds" not in str(error.schema.get("description", "")).lower():
        return ""
    return f": write {seconds:.0f}, a number of seconds"


def _form_of_list(error: Error) -> str:
    """How to write a list of named objects that was written as a mapping by name; else an empty text."""
    items = error.schema.get("items")
    if not (isinstance(error.instance, dict) and error.instance and isinstance(items, Mapping)):
        return ""
    name, value = next(iter(error.instance.items()))
    if "name" in items.get("required", ()):
        return f": write `- name: {name}` in the place of `{name}:`, and its other keys below `name`"
    if tuple(error.absolute_path) == ("dependencies",):
        needed = next(iter(value), "db") if isinstance(value, list | dict) else value
        return f": write `- [{name}, {needed}]` for '{name}' needs '{needed}'"
    return ""


def _form_of_item(error: Error) -> str:
    """How to write a named object that was written as a text or a list; else an empty text."""
    if "object" not in error.validator_value or "name" not in error.schema.get("required", ()):
        return ""
    if isinstance(error.instance, list):
        return ": write each item of this list, or the alias of one, as an item of the list around it"
    return ": write `name: NAME`, and its other keys below" if isinstance(error.instance, str) else ""


def _enum(error: Error) -> str:
    allowed = _allowed(error)
    hint = ""
    if isinstance(error.instance, str) and not _is_secret(error):
        texts = {str(value).lower(): str(value) for value in _values(error) if isinstance(value, str)}
        close = did_you_mean(error.instance.lower(), texts)
        hint = re.sub("'(.*)'", lambda found: f"'{texts[found[1]]}'", close)
    if len(allowed) == 1:
        return f"{_shown(error)} is not allowed: only {allowed[0]} is"
    return f"{_shown(error)} is not one of {_some(allowed, quote=False)}{hint}"


def _pattern(error: Error) -> str:
    rule = error.schema.get("patternErrorMessage", f"does not match the pattern {error.validator_value}")
    return f"{_shown(error)} {rule}"


def _format(error: Error) -> str:
    return f"{_shown(error)} is not of the format '{error.validator_value}'"


def _bound(words: str) -> Callable[[Error], str]:
    return lambda error: f"{_shown(error)} {words} {error.validator_value}"


def _length(of: str, rule: str) -> Callable[[Error], str]:
    def message(error: Error) -> str:
        count = len(error.instance)
        if not count:
            return "this is empty"
        return f"this has {count} {of}{'' if count == 1 else 's'}: {rule.format(error.validator_value)}"

    return message


def _other(error: Error) -> str:
    """Name a rule that has no message, without quoting the value, which may be secret."""
    rule = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    return f"this is not allowed: {rule or f'the schema has the rule {error.validator!r} for it'}"


_MESSAGES: dict[str, Callable[[Error], str]] = {
    "type": _type,
    "enum": _enum,
    "const": _enum,
    "pattern": _pattern,
    "format": _format,
    "minimum": _bound("is less than the minimum of"),
    "maximum": _bound("is more than the maximum of"),
    "exclusiveMinimum": _bound("must be more than"),
    "exclusiveMaximum": _bound("must be less than"),
    "multipleOf": _bound("is not a multiple of"),
    "minLength": _length("character", "at least {} are needed"),
    "maxLength": _length("character", "at most {} are allowed"),
    "minItems": _length("item", "at least {} are needed"),
    "maxItems": _length("item", "at most {} are allowed"),
    "minProperties": _length("key", "at least {} are needed"),
    "maxProperties": _length("key", "at most {} are allowed"),
    "propertyNames": lambda error: f"the key '{error.instance}' cannot be a template",
    "uniqueItems": lambda _: "an item is there twice",
}


def _is_secret(error: Error) -> bool:
    schema = error.schema
    return bool(isinstance(schema, Mapping) and schema.get("writeOnly")) or any(
        SECRET_KEY.search(step)
        for step in error.absolute_path
        if isinstance(step, str) and not step.startswith("node_def:")
    )


def _shown(error: Error) -> str:
    """The value, quoted if it is short and not secret."""
    value = error.instance
    if isinstance(value, dict | list) or _is_secret(error):
        return "this"
    return _quoted(value)


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value if len(value) <= _LONGEST_QUOTE else value[: _LONGEST_QUOTE - 1] + '…'}'"
    return json.dumps(value)


def _kind(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "a number")


def shortened(names: Sequence[str]) -> str:
    """The names in a list, shortened to one line."""
    return _some(names, quote=False)


def _some(names: Sequence[str], *, quote: bool = True) -> str:
    """A list of the allowed values, shortened if it is long."""
    more = len(names) - _LONGEST_LIST
    shown = [f"'{name}'" if quote else name for name in names[:_LONGEST_LIST]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _list(names: Any, *, quote: bool = True) -> str:
    """``a, b or c``."""
    *first, last = [f"'{name}'" if quote else name for name in names]
    return f"{', '.join(first)} or {last}" if first else last
