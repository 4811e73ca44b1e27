"""The name under which a process holds leases."""

from __future__ import annotations

import os
import re
import socket

_NAME = re.compile(r"process (\d{1,9}) on (.+)")


def holder() -> str:
    """The name of this process."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def has_ended(name: str) -> bool:
    """True if a process of this host had this name and does not exist any more."""
    named = _NAME.fullmatch(name)
    if named is None or named[2] != socket.gethostname():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is that of another user
        return False
    return False
