"""Non-blocking advisory locks: a handler must not wait, and the lock of a killed process is released."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def try_lock(path: Path, flags: int) -> Iterator[bool]:
    """Open `path` with `flags` and hold it. False if another process holds it or it is being removed."""
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _held(descriptor)
    finally:
        # Closing alone would not release the lock while a process forked in the meantime has not reached its exec.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0  # a lock on a removed file protects nothing
