"""How a call ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a call ended: with a value, or with an error."""

    value: T | None = None
    error: Exception | None = None

    @classmethod
    def of(cls, call: Callable[[], T]) -> Outcome[T]:
        """Make the call."""
        try:
            return cls(value=call())
        except Exception as error:  # noqa: BLE001  # it is passed to the caller
            return cls(error=error)

    def get(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # there is a value where there is no error
