"""The message and the exit code of every error that a user can cause."""

from __future__ import annotations

from collections.abc import Sequence

from occopus_core.api.errors import ProviderError
from occopus_core.cli.confirmation import DeclinedError
from occopus_core.cli.exits import ExitCode, NameOnlyError, UsageError
from occopus_core.cli.lines import unconfirmed
from occopus_core.cli.output import OutputError
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.engine.passes.errors import BuildError, BusyError, UnconfiguredError, UnconfirmedError
from occopus_core.engine.passes.life_time import LifeTimeError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.manager import DryRunError, InfraIdError, NoSuchNodeError
from occopus_core.manager.logins import NoSuchInstanceError, UndescribedLoginError
from occopus_core.registry import PluginError
from occopus_core.store.records import (
    AmbiguousNameError,
    DefinitionInUseError,
    LeaseLostError,
    NoSuchDefinitionError,
    NoSuchInfrastructureError,
    NoSuchPlaceError,
    PlaceInUseError,
    StoreError,
)

_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (BuildError, ExitCode.FAILED),
    (UnconfirmedError, ExitCode.UNCONFIRMED),
    (UnconfiguredError, ExitCode.FAILED),
    (UsageError, ExitCode.BAD_INPUT),
    (DeclinedError, ExitCode.FAILED),
    (AmbiguousNameError, ExitCode.NOT_FOUND),
    (NameOnlyError, ExitCode.NOT_FOUND),
    (InvalidDesignError, ExitCode.BAD_INPUT),
    (DescriptionError, ExitCode.BAD_INPUT),
    (PluginError, ExitCode.BAD_INPUT),
    (InfraIdError, ExitCode.BAD_INPUT),
    (UndescribedLoginError, ExitCode.BAD_INPUT),
    (LifeTimeError, ExitCode.BAD_INPUT),
    (DryRunError, ExitCode.BAD_INPUT),
    (NoSuchInfrastructureError, ExitCode.NOT_FOUND),
    (NoSuchNodeError, ExitCode.NOT_FOUND),
    (NoSuchInstanceError, ExitCode.NOT_FOUND),
    (NoSuchPlaceError, ExitCode.NOT_FOUND),
    (NoSuchDefinitionError, ExitCode.NOT_FOUND),
    (StoreError, ExitCode.UNAVAILABLE),
    (PlaceInUseError, ExitCode.UNAVAILABLE),
    (DefinitionInUseError, ExitCode.UNAVAILABLE),
    (BusyError, ExitCode.UNAVAILABLE),
    (LeaseLostError, ExitCode.UNAVAILABLE),
    (OutputError, ExitCode.UNAVAILABLE),
    (ProviderError, ExitCode.FAILED),
)


def exit_code(error: Exception) -> ExitCode | None:
    """The exit code for an error; None for an unexpected error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def lines(error: Exception) -> Sequence[str]:
    """The message of an error and its notes, as lines."""
    return [*_message(error), *getattr(error, "__notes__", ())]


def _message(error: Exception) -> Sequence[str]:
    match error:
        case BuildError():
            problems = [f"error: {problem}" for problem in error.problems]
            undone = "; what could be undone was undone" if error.unconfirmed else " and was undone"
            return [*problems, f"the build failed{undone}", *unconfirmed(error.unconfirmed)]
        case UnconfirmedError():
            return unconfirmed(error.instances)
        case UnconfiguredError():
            problems = [f"error: {node}" for node in error.nodes]
            return [*problems, "the description is in force; maintenance tries to configure the others again"]
        case InvalidDesignError() | DescriptionError():
            return [f"error: {problem}" for problem in error.problems]
        case _:
            return [f"error: {' '.join(str(error).split())}"]  # messages of some libraries have several lines
