"""How passes end: errors, and what a maintenance pass leaves undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passed:
    """What a maintenance pass leaves for the next one: nothing where all is as it should be."""

    undone: tuple[str, ...] = ()
    """What it could not make, or left alone for now, with why."""
    unconfirmed: tuple[str, ...] = ()
    """What providers would not say, once for each cloud and reason: how instances are, or that they are gone."""


class BuildError(Exception):
    """A build failed and was undone: `problems` say why, `unconfirmed` what could not be seen to be gone."""

    def __init__(self, problems: Sequence[str], unconfirmed: Sequence[str] = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        self.unconfirmed = tuple(unconfirmed)


class InterruptedBuildError(BuildError):
    """A build was interrupted and undone."""


class AbandonedError(Exception):
    """The user would not wait for the end; what is left is in the store, for the next pass."""


class BusyError(Exception):
    """Another process is working on the infrastructure."""


class UnconfirmedError(Exception):
    """Everything that can be was destroyed; `instances` tell those whose deletion no provider has confirmed."""

    def __init__(self, instances: Sequence[str]) -> None:
        super().__init__("; ".join(instances))
        self.instances = tuple(instances)


class UnconfiguredError(Exception):
    """A description is in force, and some instances could not be reconfigured for it: `nodes` say which, and why.

    They go on as they are; maintenance tries again.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        super().__init__("; ".join(nodes))
        self.nodes = tuple(nodes)
