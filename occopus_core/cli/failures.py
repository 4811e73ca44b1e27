"""Every error a user can meet, as its message and its exit code."""

from __future__ import annotations

from occopus_core.api.errors import ProviderError
from occopus_core.cli.common import ExitCode
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.convergence import (
    AbandonedError,
    BuildError,
    BusyError,
    InterruptedBuildError,
    UnconfirmedError,
)
from occopus_core.engine.design import InvalidDesignError
from occopus_core.manager import InfraIdError
from occopus_core.registry import PluginError
from occopus_core.store.records import LeaseLostError, NoSuchInfrastructureError, StoreError


def explain(error: Exception) -> tuple[ExitCode | None, list[str]]:
    """The exit code and the lines to say; no exit code for what must not happen at all."""
    match error:
        case InterruptedBuildError():
            return ExitCode.INTERRUPTED, ["the build was interrupted and undone", *_left(error.unconfirmed)]
        case BuildError():
            lines = [f"error: {problem}" for problem in error.problems]
            return ExitCode.FAILED, [*lines, "the build failed and was undone", *_left(error.unconfirmed)]
        case UnconfirmedError():
            return ExitCode.UNCONFIRMED, _left(error.instances)
        case AbandonedError():
            return ExitCode.INTERRUPTED, ["stopped at once; what is left is recorded"]
        case InvalidDesignError():
            return ExitCode.BAD_INPUT, [f"error: {problem}" for problem in error.problems]
        case DescriptionError():
            return ExitCode.BAD_INPUT, [str(problem) for problem in error.problems]
        case PluginError() | InfraIdError():
            return ExitCode.BAD_INPUT, [f"error: {error}"]
        case NoSuchInfrastructureError():
            return ExitCode.NOT_FOUND, [f"error: {error}"]
        case StoreError() | BusyError() | LeaseLostError():
            return ExitCode.UNAVAILABLE, [f"error: {error}"]
        case ProviderError():
            return ExitCode.FAILED, [f"error: {error}"]
        case _:
            return None, []


def _left(instances: tuple[str, ...]) -> list[str]:
    return [f"unconfirmed: {instance}" for instance in instances]
