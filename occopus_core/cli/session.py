"""Set-up that the commands share: configuration, credentials, a manager with progress, errors as messages."""

from __future__ import annotations

import contextlib
import gc
import os

from occopus_core.cli.output import only_results, redact_with, repeat_option, repeat_store, say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Literal, TypeVar

    from occopus_core.credentials import Credentials
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings

    A = TypeVar("A")
    B = TypeVar("B")


def load_settings(path: str | None, *, notifies: bool = True) -> Settings:
    """The configuration; prints its warnings and sets up logging. `notifies` is as for `Settings.load`.

    Raises `DescriptionError`.
    """
    from occopus_core.settings import Settings  # noqa: PLC0415  # after the options are known to be right

    settings = Settings.load(path, notifies=notifies)
    repeat_option("cfg", path)
    repeat_store(os.environ.get("OCCOPUS_STORE", ""))
    for warning in settings.warnings:
        say(f"warning: {warning}")
    settings.apply_logging()
    return settings


def say_dry_run(settings: Settings) -> None:
    """Print that only a plan is shown, if `dry_run` is configured."""
    if settings.dry_run:
        say(f"'dry_run' is set in {settings.file}: this is the plan; nothing is changed")


def load_credentials(path: str | None) -> Credentials:
    """The credentials; prints their warnings. Later messages are redacted with them. Raises `DescriptionError`."""
    from occopus_core.credentials import Credentials  # noqa: PLC0415
    from occopus_core.redaction import Redactor  # noqa: PLC0415

    credentials = Credentials.load(path)
    repeat_option("auth_data_path", path)
    redact_with(Redactor(credentials.secrets()))
    for warning in credentials.warnings:
        say(f"warning: {warning}")
    return credentials


def log_calls(*, verbose: bool) -> None:
    """If enabled, print each call of a cloud or a configuration manager on stderr, with its time.

    Exceptions that the plugin contract does not allow are printed too, with their tracebacks.
    """
    if not verbose:
        return
    import logging  # noqa: PLC0415  # only where it is wanted
    from datetime import UTC, datetime  # noqa: PLC0415

    from occopus_core.engine.kernel.call_log import LOGGER  # noqa: PLC0415
    from occopus_core.error_place import UNEXPECTED  # noqa: PLC0415

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ} {record.getMessage()}")

    for name in (LOGGER, UNEXPECTED):
        log = logging.getLogger(name)
        log.handlers[:] = [Lines()]
        log.setLevel(logging.DEBUG)
        log.propagate = False


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """The results of two functions that read files. Raises one `DescriptionError` with the errors of both."""
    try:
        found = first()
    except Exception as error:
        _add_faults(error, second)
        raise
    return found, second()


def _add_faults(error: Exception, second: Callable[[], object]) -> None:
    """Raises `DescriptionError` if the second function adds errors to those of `error`."""
    from occopus_core.descriptions.problems import DescriptionError  # noqa: PLC0415

    if isinstance(error, DescriptionError):
        try:
            second()
        except DescriptionError as other:
            raise DescriptionError(dict.fromkeys([*error.problems, *other.problems])) from None


def load_files(options: argparse.Namespace) -> tuple[Settings, Credentials]:
    """The configuration and the credentials that the options name. Raises `DescriptionError`."""
    return both(lambda: load_settings(options.cfg), lambda: load_credentials(options.auth_data_path))


def guarded(run: Callable[[], int]) -> int:
    """Run a command; an error that users can cause becomes its message and exit code.

    See `only_results` and `without_secrets`.
    """
    from occopus_core.cli.uncaught import without_secrets  # noqa: PLC0415  # after the options are known to be right

    try:
        with only_results(), without_secrets():
            return run()
    except Exception as error:
        from occopus_core.cli.failures import exit_code, lines  # noqa: PLC0415  # only when something went wrong

        code = exit_code(error)
        if code is None:
            raise
        for line in lines(error):
            say(line)
        return code


@contextlib.contextmanager
def watched(
    settings: Settings,
    credentials: Credentials,
    *,
    parallel: bool,
    on_error: Callable[[str, str], None] | None = None,
    lasting: bool = False,
    verbose: bool = False,
) -> Iterator[InfrastructureManager]:
    """A manager whose progress is shown (see `progress.shown`), or logged if configured.

    With `verbose` each call of a provider is also a line.
    """
    from occopus_core.cli.progress import logged, shown  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    log_calls(verbose=verbose)
    secrets = credentials.secrets()
    with shown(lasting=lasting, lines=verbose) if settings.logging is None else logged(secrets) as observer:
        strategy: Literal["parallel", "sequential"] = "parallel" if parallel else "sequential"
        with InfrastructureManager(
            settings,
            credentials,
            process_strategy=strategy,
            observer=observer,
            on_error=on_error or _quiet,
            warn=lambda text: say(f"warning: {text}"),
        ) as manager:
            gc.freeze()  # imported modules are never garbage
            gc.enable()
            yield manager


def _quiet(_infra_id: str, _text: str) -> None:
    return
