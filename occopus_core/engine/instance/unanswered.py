"""Requests that providers did not answer, summarised for users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from occopus_core.api.errors import ProviderError
from occopus_core.engine.kernel.error_text import reason


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An instance whose provider did not answer a request: for its state, or to confirm its deletion."""

    node_name: str
    place: str
    """The name of the cloud in messages."""
    why: Exception | str

    @property
    def kind(self) -> tuple[str, str]:
        """The key by which requests are summarised in one line; numbers that providers give to calls are left out."""
        return self.place, self.why.message if isinstance(self.why, ProviderError) else reason(self.why)


def summarise(unanswered: Iterable[Unanswered]) -> list[str]:
    """A line for each provider and reason, for any number of instances."""
    groups: dict[tuple[str, str], list[Unanswered]] = {}
    for one in unanswered:
        groups.setdefault(one.kind, []).append(one)
    return [
        f"{_counted([one.node_name for one in group])} ({group[0].place}): {reason(group[0].why)}"
        for group in groups.values()
    ]


def _counted(node_names: Sequence[str]) -> str:
    nodes = [f"'{name}'" for name in sorted(set(node_names))]
    what = f"node {nodes[0]}" if len(nodes) == 1 else f"nodes {', '.join(nodes)}"
    return what if len(node_names) == 1 else f"{len(node_names)} instances of {what}"
