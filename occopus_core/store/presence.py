"""Detects that the file of a store was deleted or replaced, and keeps the installation's id beside the file."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from occopus_core.store.records import StoreError

_SUFFIX = ".installation"
_INSTALLATION = re.compile(r"[A-Za-z0-9-]{1,63}")


class Presence:
    """The file of an SQLite store. Thread-safe."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened = _identity(path)
        self.installation = ""
        """The id of the store in the file, if known."""

    def refuse_if_replaced(self) -> None:
        """Raise `StoreError` if the file was deleted or replaced."""
        present = _identity(self._path)
        if present == self._opened:
            return
        happened = "was deleted" if present is None else "was replaced by another file"
        raise StoreError(f"the store {self._path} {happened} while it was in use; {self._advice()}")

    def refuse_if_another(self, installation: str | None) -> None:
        """Raise `StoreError` if the store in the file belongs to another installation than before."""
        if self.installation and installation != self.installation:
            raise StoreError(f"the store {self._path} was overwritten while it was in use; {self._advice()}")

    def _advice(self) -> str:
        return (
            f"no more work is done: put a backup of the installation {self.installation} in its place, then "
            "'occopus-maintain --sweep' finds instances that the backup does not know"
        )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - before every transaction: pathlib costs as much again
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the store {path} cannot be used: {error.strerror}") from error
    return found.st_dev, found.st_ino


def remembered(path: str) -> str | None:
    """The id of the store that was last in this file; None if unknown."""
    try:
        found = Path(path + _SUFFIX).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return found if _INSTALLATION.fullmatch(found) else None


def remember(path: str, installation: str) -> None:
    """Write the installation's id beside the file, for a store that is created there after a loss. Idempotent.

    Errors are ignored: the file is needed only after a loss.
    """
    if remembered(path) == installation or not _INSTALLATION.fullmatch(str(installation)):  # a row may be damaged
        return
    draft = f"{path}{_SUFFIX}.{os.getpid()}"
    with contextlib.suppress(OSError):
        with open(draft, "w", encoding="ascii", opener=_for_its_owner) as written:
            written.write(f"{installation}\n")
        Path(draft).replace(path + _SUFFIX)


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
