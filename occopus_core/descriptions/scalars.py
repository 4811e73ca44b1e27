"""What a plain word of YAML means: nothing, a truth, a number or text, as PyYAML's safe loader has it."""

from __future__ import annotations

import math
from typing import Any

import yaml

MAX_DIGITS = 400
"""A number written with more characters is refused before it is computed."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""The whole numbers that every reader of JSON we store to can hold."""

STANDARD = "tag:yaml.org,2002:"
_TEXT = f"{STANDARD}str"
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "null": "nothing"}
_CONSTRUCTORS = {
    f"{STANDARD}null": "construct_yaml_null",
    f"{STANDARD}bool": "construct_yaml_bool",
    f"{STANDARD}int": "construct_yaml_int",
    f"{STANDARD}float": "construct_yaml_float",
}
TAGS = frozenset({_TEXT, f"{STANDARD}timestamp", f"{STANDARD}binary", *_CONSTRUCTORS})
"""The standard tags of scalars; a time and a binary value stay the text they are written as."""


class _Scalars(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    def __init__(self) -> None:
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)


_scalars: Any = _Scalars()


def resolve(text: str) -> Any:
    """The value of a plain scalar. Raises `ValueError` for a number that cannot be kept."""
    return construct(_scalars.resolve(yaml.ScalarNode, text, (True, False)), text)


def construct(tag: str, text: str) -> Any:
    """The value of a scalar with a standard tag. Raises `ValueError`, without quoting the text, which may be secret."""
    name = _CONSTRUCTORS.get(tag)
    if name is None:
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError("this number is too long: quote it if text is meant")
    try:
        value = getattr(_scalars, name)(yaml.ScalarNode(tag, text))
    except (ValueError, LookupError):
        kind = _WORDS[tag.removeprefix(STANDARD)]
        raise ValueError(f"this cannot be read as {kind}: quote it if text is meant") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("infinity and not-a-number cannot be used: quote it if text is meant")
    if isinstance(value, int) and not SMALLEST <= value <= LARGEST:
        raise ValueError("this number has more than 64 bits: quote it if text is meant")
    return value
