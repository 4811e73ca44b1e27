"""The fields of the contract's values: the types of those that plugins answer, and read-only ones that they get."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class FieldTypeError(TypeError):
    """A field of a value of the contract is of a wrong type. The message names types and holds no value."""


def require(owner: str, name: str, value: object, *kinds: type) -> None:
    """Raise `FieldTypeError` where the field of this name has a value of none of these types."""
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise FieldTypeError(f"{owner}.{name} is of the type {type(value).__name__}, expected {expected}")


def read_only(value: Any) -> Any:
    """The same JSON value as one that cannot be changed: mappings are read-only, lists are tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: read_only(item) for key, item in value.items()})
    return tuple(map(read_only, value)) if isinstance(value, list | tuple) else value
