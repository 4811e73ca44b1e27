"""Errors of SSH that have no other type."""

from __future__ import annotations

from occopus_core.api.errors import PermanentError


class HostKeyError(PermanentError):
    """The host showed another key than the one pinned for the instance: nothing was sent to it."""
