"""The types of the fields of values that plugins answer."""

from __future__ import annotations


class FieldTypeError(TypeError):
    """A field of a value of the contract is of a wrong type. The message names types and holds no value."""


def require(owner: str, name: str, value: object, *kinds: type) -> None:
    """Raise `FieldTypeError` where the field of this name has a value of none of these types."""
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise FieldTypeError(f"{owner}.{name} is of the type {type(value).__name__}, expected {expected}")
