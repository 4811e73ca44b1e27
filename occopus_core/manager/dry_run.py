"""`dry_run` of the configuration: commands show plans and change nothing."""

from __future__ import annotations

from occopus_core.settings import Settings


class DryRunError(Exception):
    """A change was requested, but the configuration has `dry_run` set."""


def refuse_dry_run(settings: Settings) -> None:
    """Raise `DryRunError` if the configuration has `dry_run` set."""
    if settings.dry_run:
        raise DryRunError(f"nothing was changed: 'dry_run' is set in {settings.file or 'the settings'}")
