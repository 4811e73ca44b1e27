"""Collects what a rehearsal finds wrong with one implementation, each with its place in a file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from occopus_core.api.errors import PermanentError, ProviderError
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDescription
from occopus_core.descriptions.problems import DescriptionError, PlacedMessage
from occopus_core.registry import PluginError
from occopus_core.render import CutOffError, TemplateError

_PATH = re.compile(r"(?:resource|contextualisation|config_management|health_check)(?:\.[\w-]+|\[\d+\])+")
"""A path at the beginning of a message of a plugin."""


def named_path(error: Exception) -> str:
    """The path within an implementation that an error of a plugin names, else an empty text.

    A path in its text that leads further than its `at` is the more exact one.
    """
    at = error.at if isinstance(error, PermanentError) else ""
    found = _PATH.match(str(error))
    return found[0] if found and found[0].startswith(at) else at


def type_paths(infrastructure: Infrastructure) -> Mapping[str, str]:
    """By name of the node: the path of its type in the description."""
    return {node.name: f"nodes[{index}].type" for index, node in enumerate(infrastructure.nodes)}


class Faults:
    """What is wrong with one implementation of a node. `messages` has each once, in the order in which it was found.

    A message begins with the place in the file of node definitions if that is known, else with that of the node.
    `path` is the path of the node's type in its description.
    """

    def __init__(self, node: NodeDescription, implementation: Implementation, path: str = "") -> None:
        self.messages: list[str] = []
        self._path = path
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
        """Add the messages of an error, each once."""
        for each in (error, *(error.more if isinstance(error, PermanentError) else ())):
            message = self.message(each, section)
            if message not in self.messages:
                self.messages.append(message)

    def message(self, error: Exception, section: str = "") -> str:
        """The message of an error, with its place."""
        if isinstance(error, DescriptionError):  # the credentials file is wrong, and named
            return str(error)
        if isinstance(error, TemplateError):
            return self._placed(str(error), error.at, error.line)
        if isinstance(error, PluginError):
            return self._placed(str(error), section)
        at = named_path(error)
        return self._placed(f"{self._who()}: {error}", at or section, key=bool(at))

    def _who(self) -> str:
        node, label = self._node, self._implementation.label
        return f"node '{node.name}', node definition '{node.type}', implementation '{label}'"

    def _placed(self, text: str, at: str, line: int | None = None, *, key: bool = False) -> PlacedMessage:
        find = self._implementation.place
        if find is None:
            return PlacedMessage.of(self._node.where, self._path, text)
        return PlacedMessage.of(find(at, line, key=key), at, text)
