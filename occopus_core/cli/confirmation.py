"""Questions on a terminal before something is destroyed. Without a terminal, there are no questions."""

from __future__ import annotations

import os
import sys

from occopus_core.cli.output import say

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.settings import Settings


class DeclinedError(Exception):
    """The user did not confirm; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("not confirmed: nothing was changed")


def can_ask(settings: Settings) -> bool:
    """True if this process may ask on the terminal.

    Scripts of 1.x expect no questions: never with `compatibility: 1.x`.
    """
    return not settings.former and _is_ours(0) and _is_ours(2)


def confirm(question: str) -> None:
    """Ask, and continue only after a yes. Raises `DeclinedError`."""
    say(f"{question} [y/N]")
    try:
        answer = sys.stdin.readline()
    except (OSError, ValueError, AttributeError):
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise DeclinedError


def _is_ours(descriptor: int) -> bool:
    """True for a terminal that this process may read and write: a job in the background would be stopped."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
