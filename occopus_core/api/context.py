"""The contract of a contextualiser: what an instance is given so that it becomes the node it should be.

`occopus_core.testing.context` checks every clause.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from occopus_core.api.ssh.hostkeys import HostKeyPair

T = TypeVar("T")


class ContextForm(enum.Enum):
    """A form in which an instance takes what it is given. A handler declares those it passes on."""

    USER_DATA = "user data"
    """`Context.user_data`: a text for the instance's first boot."""
    PROCESS = "environment and command"
    """`Context.env` and `Context.command`: what a container runs."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the resource handler passes on to the instance. Rendered, and often full of secrets: kept out of `repr`."""

    user_data: str | None = field(default=None, repr=False)
    """Cloud-init user data, the text as it is to arrive."""
    env: tuple[str, ...] = field(default=(), repr=False)
    """Environment of a container, each ``NAME=value``."""
    command: str | tuple[str, ...] | None = field(default=None, repr=False)
    """Command of a container: a text (split as a shell would) or its words."""
    host_key: str = ""
    """The public SSH host key that the user data gives the instance; pinned before the instance is created."""


class Render(Protocol):
    """Renders every string below a value as a template in the scope of one node."""

    def __call__(self, value: T, /, at: str, **names: object) -> T:
        """The value rendered. `at` is its path in the description (for messages); `names` are more names in scope.

        Raises `occopus_core.render.TemplateError`.
        """
        ...

    def host_key(self) -> HostKeyPair:
        """An SSH host key for the instance, for its user data.

        A new pair for each creation, a fixed one where nothing is created. The public half goes into
        `Context.host_key`.
        """
        ...


class Contextualiser(ABC):
    """Turns a `contextualisation` section into what a handler passes on.

    MUST be stateless and thread-safe, and MUST raise nothing but what `render` raises and `PermanentError`. It can be
    used with every handler that passes on its `forms`.
    """

    contract_version: ClassVar[int]
    """Each plugin states the version it is written for: `contract_version = 1`."""
    forms: ClassVar[frozenset[ContextForm]]
    """The fields of `Context` that it may fill."""

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the section, without `type`, which the core adds."""

    @abstractmethod
    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """The context for one instance. Does no I/O; every text of the section goes through `render`."""

    @classmethod
    def powers(cls, section: Mapping[str, Any]) -> Sequence[str]:
        """What this section would let its writer do on the server, a message for each; see `ConfigManager.powers`."""
        return ()
