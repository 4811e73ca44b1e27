"""Set-up that the commands share: configuration, credentials, a manager with progress, errors as messages."""

from __future__ import annotations

import contextlib
import gc
import os

from occopus_core.cli.output import redact_with, repeat_option, repeat_store, say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from occopus_core.credentials import Credentials
    from occopus_core.manager import InfrastructureManager
    from occopus_core.settings import Settings


def load_settings(path: str | None) -> Settings:
    """The configuration; prints its warnings and sets up logging. Raises `DescriptionError`."""
    from occopus_core.settings import Settings  # noqa: PLC0415  # after the options are known to be right

    settings = Settings.load(path)
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


def guarded(run: Callable[[], int]) -> int:
    """Run a command; an error that users can cause becomes its message and exit code."""
    try:
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
    told: Callable[[str, str], None] | None = None,
    lasting: bool = False,
) -> Iterator[InfrastructureManager]:
    """A manager whose progress is shown (see `progress.shown`), or logged if configured."""
    from occopus_core.cli.progress import logged, shown  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    with shown(lasting=lasting) if settings.logging is None else logged(credentials.secrets()) as observer:
        strategy: Literal["parallel", "sequential"] = "parallel" if parallel else "sequential"
        with InfrastructureManager(
            settings,
            credentials,
            process_strategy=strategy,
            observer=observer,
            told=told or _quiet,
            warn=lambda text: say(f"warning: {text}"),
        ) as manager:
            gc.freeze()  # imported modules are never garbage
            gc.enable()
            yield manager


def _quiet(_infra_id: str, _text: str) -> None:
    return
