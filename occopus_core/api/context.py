"""The contract of a contextualiser: it makes the boot data that turns an instance into its node.

`occopus_core.testing.context` checks every clause.
"""

from __future__ import annotations

import enum
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from occopus_core.api.errors import PermanentError
from occopus_core.api.ssh.hostkeys import HostKeyPair

T = TypeVar("T")


class ContextForm(enum.Enum):
    """A form in which an instance receives its context. A handler declares the forms that it passes on."""

    USER_DATA = "user data"
    """`Context.user_data`: a text for the instance's first boot."""
    PROCESS = "environment and command"
    """`Context.env` and `Context.command`: environment and command of a container."""


@dataclass(frozen=True, slots=True)
class Context:
    """The data that the resource handler passes on to the instance. Hidden in `repr`: it may hold secrets."""

    user_data: str | None = field(default=None, repr=False)
    """Cloud-init user data, exactly as the instance receives it."""
    env: tuple[str, ...] = field(default=(), repr=False)
    """Environment of a container, each ``NAME=value``."""
    command: str | tuple[str, ...] | None = field(default=None, repr=False)
    """Command of a container: a text, to be split as a shell would, or its words."""
    host_key: str = ""
    """The public SSH host key that the user data gives the instance; pinned before the instance is created."""

    def words(self) -> list[str]:
        """The words of the command, split as a shell would; none without a command. Raises `PermanentError`."""
        if not isinstance(self.command, str):
            return list(self.command or ())
        try:
            return shlex.split(self.command)
        except ValueError as error:
            fault = "it ends with a backslash" if "escape" in str(error) else "a quotation in it is not closed"
            at = "contextualisation.command"
            raise PermanentError(f"{at}: {fault}", at=at) from None


class Render(Protocol):
    """Renders every string in a value as a template, in the scope of one node."""

    def __call__(self, value: T, /, at: str, **names: object) -> T:
        """The rendered value. `at` is its path in the description in messages; `names` adds names to the scope.

        Raises `occopus_core.render.TemplateError`.
        """
        ...

    def host_key(self) -> HostKeyPair:
        """An SSH host key for the instance, for its user data.

        A new pair for each creation, a fixed one if no instance is created. The public half goes into
        `Context.host_key`.
        """
        ...


class Contextualiser(ABC):
    """Turns a `contextualisation` section into the context that a handler passes on.

    MUST be stateless and thread-safe, and MUST raise only the errors of `render` and `PermanentError`. Can be used
    with every handler that passes on its `forms`.
    """

    contract_version: ClassVar[int]
    """The contract version that the plugin is written for: every plugin sets `contract_version = 1`."""
    forms: ClassVar[frozenset[ContextForm]]
    """The fields of `Context` that it may fill."""

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the section, without `type`, which the core adds."""

    @abstractmethod
    def contextualise(self, section: Mapping[str, Any], render: Render) -> Context:
        """The context of one instance. Does no I/O; passes every text of the section to `render`.

        MUST return an equal context for the same section and the same results of `render`, in every process and at any
        time: what differs (a random password, the time, the order of a set) would have a build replace the instance.
        """

    @classmethod
    def powers(cls, section: Mapping[str, Any]) -> Sequence[str]:
        """The powers on the server that this section would give its writer; see `ConfigManager.powers`."""
        return ()
