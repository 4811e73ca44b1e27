"""Results of passes: errors, and the work that a maintenance pass leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passed:
    """The work that a maintenance pass leaves for the next one; empty when everything is as described."""

    undone: tuple[str, ...] = ()
    """Work that failed or is held back, each with the reason."""
    unconfirmed: tuple[str, ...] = ()
    """Questions providers did not answer, once for each cloud and reason: states of instances, confirmed deletions."""


class BuildError(Exception):
    """A build failed and was rolled back: `problems` has the reasons, `unconfirmed` the deletions not confirmed."""

    def __init__(self, problems: Sequence[str], unconfirmed: Sequence[str] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.unconfirmed = tuple(unconfirmed)


class InterruptedBuildError(BuildError):
    """A build was interrupted and rolled back."""


class AbandonedError(Exception):
    """The user ended the pass before it was done; unfinished work is in the store, for the next pass."""


class BusyError(Exception):
    """Another process is working on the infrastructure."""


class UnconfirmedError(Exception):
    """Everything that can be was destroyed; `instances` names those whose deletion no provider has confirmed."""

    def __init__(self, instances: Sequence[str]) -> None:
        super().__init__("; ".join(instances))
        self.instances = tuple(instances)


class UnconfiguredError(Exception):
    """The description is in force, but some instances could not be reconfigured: `nodes` names them with the reasons.

    They keep their configuration; maintenance tries again.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        super().__init__("; ".join(nodes))
        self.nodes = tuple(nodes)
