"""The contract of a contextualiser: what an instance is given so that it becomes the node it should be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """What the resource handler passes on to the instance. Rendered, and often full of secrets: kept out of `repr`."""

    user_data: str | None = field(default=None, repr=False)
    """Cloud-init user data, the text as it is to arrive."""
    env: tuple[str, ...] = field(default=(), repr=False)
    """Environment of a container, each ``NAME=value``."""
    command: str | tuple[str, ...] | None = field(default=None, repr=False)
    """Command of a container: a text (split as a shell would) or its words."""


class Render(Protocol):
    """Renders every string below a value as a template in the scope of one node."""

    def __call__(self, value: T, /, at: str, **names: object) -> T:
        """The value rendered. `at` is its path in the description (for messages); `names` are more names in scope.

        Raises `occopus_core.render.TemplateError`.
        """
        ...


class Contextualiser(ABC):
    """Turns a `contextualisation` section into what a handler passes on. MUST be stateless."""

    contract_version: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the section, without `type`, which the core adds."""

    @abstractmethod
    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """The context for one instance. Calls nobody but `render`."""
