"""Reading a store in a file without SQLAlchemy, which takes longer to import than a short command runs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

BUSY_TIMEOUT = 60.0
"""Seconds to wait for another process that writes."""


def file_of(url: str) -> Path | None:
    """The file of a store; None if only SQLAlchemy can interpret the URL."""
    plain = url.startswith("sqlite:///") and not set("%?") & set(url)
    return Path(url.removeprefix("sqlite:///")) if plain else None


def is_absent(url: str) -> bool:
    """True if the store is a file that does not exist: it contains nothing yet."""
    path = file_of(url)
    if path is None:
        return False
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an existing store; never creates one. Raises `OSError`, `sqlite3.Error`."""
    path.stat()
    address = f"file:{quote(os.fspath(path))}?mode=rw"  # never creates the file, even if it is deleted at this moment
    with contextlib.closing(sqlite3.connect(address, timeout=BUSY_TIMEOUT, uri=True)) as connection:
        yield connection
