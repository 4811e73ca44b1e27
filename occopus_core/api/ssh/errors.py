"""Errors of SSH that no other kind of error says."""

from __future__ import annotations

from occopus_core.api.errors import PermanentError


class HostKeyError(PermanentError):
    """The host showed another key than the one pinned for the instance: nothing was sent to it."""
