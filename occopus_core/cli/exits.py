"""Exit codes of the commands."""

from __future__ import annotations

import enum


class UsageError(Exception):
    """The options of a command conflict with the configuration or the store; nothing was done."""


class ExitCode(enum.IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """The work failed and was undone; or maintenance left work for its next pass."""
    BAD_INPUT = 2
    """The command line or a file is wrong; nothing was done."""
    NOT_FOUND = 3
    """There is no such infrastructure, or no such node or instance in it."""
    UNAVAILABLE = 4
    """The store, the output or an extra cannot be used, or another process is working on the infrastructure."""
    UNCONFIRMED = 5
    """Done, but a provider has not confirmed every deletion, or did not answer for all instances."""
    INTERRUPTED = 130
    """Ended by SIGINT, after undoing the work in progress."""
    TERMINATED = 143
    """Ended by SIGTERM, after undoing the work in progress."""


class NameOnlyError(LookupError):
    """A name is given where only an id is accepted; the message says which."""

    def __init__(self, text: str, infra_id: str, *, new: bool) -> None:
        """With `new`, the command makes an infrastructure where the text is no id."""
        otherwise = "; for a new infrastructure: another id, or no -i" if new else ""
        super().__init__(
            f"'{text}' names the infrastructure '{infra_id}', but only its id counts without a terminal: "
            f"-i {infra_id}, or -y{otherwise}"
        )
