"""Takes over what configuration managers answer of nodes: texts that are safe to show, without secrets of nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from occopus_core.api.config import ConfigNode, ConfigStatus
from occopus_core.named_secrets import hiding
from occopus_core.printable import cleaned, cut, end_of
from occopus_core.sound_errors import sound_text

KEPT_LINES = 10
"""The most lines of output that the reason of a failure has."""

KEPT_LENGTH = 300
"""The most characters of one of them."""

_MOST_OUTPUT = 100_000
"""Of what a job has printed, this much of its end is looked at."""

_MOST_FORMER = 8
"""So many of the latest descriptions of a node are remembered, the present one included."""

_Values = tuple[Mapping[str, Any], ...]


class GivenValues:
    """What nodes have given their manager: texts about a node may repeat secrets of its former descriptions, too.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, tuple[tuple[str, _Values], ...]] = {}

    def add(self, nodes: Sequence[ConfigNode]) -> None:
        """The manager is called for these nodes."""
        with self._lock:
            for node in nodes:
                given, known = (node.generation, _values_of(node)), self._values.get(node.node_id, ())
                if given not in known:
                    self._values[node.node_id] = (*known, given)[-_MOST_FORMER:]

    def forget(self, nodes: Sequence[ConfigNode]) -> None:
        """The manager has no data of these nodes any more."""
        with self._lock:
            for node in nodes:
                self._values.pop(node.node_id, None)

    def knows(self, node: ConfigNode, generation: str) -> bool:
        """True if the values of this generation of the node are known; an empty one counts as the present one."""
        with self._lock:
            return generation in ("", *(known for known, _ in self._values.get(node.node_id, ())))

    def hiding(self, nodes: Sequence[ConfigNode]) -> Callable[[str], str]:
        """A function that hides in a text the values of these nodes that may be secret by their names."""
        with self._lock:
            found = [values for node in nodes for _, values in self._values.get(node.node_id, ())]
        return hiding(*(each for values in found for each in values))


def sound_status(status: ConfigStatus, redact: Callable[[str], str]) -> ConfigStatus:
    """A valid status of the contract's own class, with plain texts without control characters and secrets.

    Reason and progress are one line of bounded length; of the output, the last lines that are not empty are kept.
    """
    return ConfigStatus(
        status.state,
        sound_text(status.reason, redact),
        sound_text(status.progress, redact),
        status.attributes,
        str.__str__(status.generation),
        _output(str.__str__(status.output), redact),
    )


def _output(text: str, redact: Callable[[str], str]) -> str:
    lines = cleaned(redact(end_of(text, _MOST_OUTPUT)), str, _MOST_OUTPUT)
    kept = redact("\n".join([line for line in lines if line][-KEPT_LINES:]))  # again: control characters are gone
    return "\n".join(cut(line, KEPT_LENGTH) for line in kept.split("\n"))


def _values_of(node: ConfigNode) -> _Values:
    return node.section, node.attributes, node.mapped, node.variables
