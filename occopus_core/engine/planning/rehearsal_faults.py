"""Collects what a rehearsal finds wrong with one implementation, each with its place in a file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.descriptions.model import Implementation, NodeDescription
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.registry import PluginError
from occopus_core.render import CutOffError, TemplateError

_PATH = re.compile(r"(?:resource|contextualisation|config_management|health_check)(?:\.[\w-]+|\[\d+\])+")
"""A path at the beginning of a message of a plugin."""


def named_path(error: Exception) -> str:
    """The path within an implementation that an error of a plugin names, else an empty text."""
    if isinstance(error, PermanentError) and error.at:
        return error.at
    found = _PATH.match(str(error))
    return found[0] if found else ""


class Faults:
    """What is wrong with one implementation of a node. `messages` has each once, in the order in which it was found.

    A message begins with the place in the file of node definitions if that is known, else with that of the node.
    """

    def __init__(self, node: NodeDescription, implementation: Implementation) -> None:
        self.messages: list[str] = []
        self._node = node
        self._implementation = implementation

    @contextlib.contextmanager
    def collecting(self, section: str = "") -> Iterator[None]:
        """Add what is raised within, except `CutOffError`. `section` is the path of what is checked."""
        try:
            yield
        except CutOffError:
            raise
        except (TemplateError, ProviderError, PluginError, DescriptionError) as error:
            self.add(error, section)

    def add(self, error: Exception, section: str = "") -> None:
        """Add the message of an error, once."""
        message = self._message(error, section)
        if message not in self.messages:
            self.messages.append(message)

    def _message(self, error: Exception, section: str) -> str:
        if isinstance(error, DescriptionError):  # the credentials file is wrong, and named
            return str(error)
        if isinstance(error, TemplateError):
            return f"{self._place(error.at, error.line)}{error}"
        if isinstance(error, PluginError):
            return f"{self._place(section)}{error}"
        at = named_path(error)
        return f"{self._place(at or section, key=bool(at))}{self._who()}: {error}"

    def _who(self) -> str:
        node, label = self._node, self._implementation.label
        return f"node '{node.name}', node definition '{node.type}', implementation '{label}'"

    def _place(self, at: str, line: int | None = None, *, key: bool = False) -> str:
        find = self._implementation.place
        place = find(at, line, key=key) if find is not None else self._node.where
        return f"{place}: " if place else ""
