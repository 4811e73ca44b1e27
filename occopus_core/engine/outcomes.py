"""How a pass can end, other than well."""

from __future__ import annotations

from collections.abc import Sequence


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
    """Everything that can be was destroyed; `instances` name those whose deletion no provider has confirmed."""

    def __init__(self, instances: Sequence[str]) -> None:
        super().__init__("; ".join(instances))
        self.instances = tuple(instances)
