"""The inventory on disk: an SQLite file that survives the death of the server at any instruction."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

from occopus_core.testing.simcloud.inventory import Machine

# Data that a killed process has handed to the operating system is safe; only a crash of the host would need more.
_SETUP = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS machine (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS serial (only INTEGER PRIMARY KEY CHECK (only = 1), last INTEGER NOT NULL);
"""


class Journal:
    """Collects changes and writes those of concurrent calls in one transaction (group commit)."""

    def __init__(self, path: Path) -> None:
        """Raises `sqlite3.Error`."""
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(_SETUP)
        self._changed: dict[str, tuple[Machine, bool]] = {}
        self._serial = self._stored_serial()
        self._commit: asyncio.Future[None] | None = None

    def load(self) -> tuple[list[Machine], int]:
        """The recorded machines, and the last serial number in use."""
        rows = self._database.execute("SELECT document FROM machine ORDER BY id")
        return [Machine(**json.loads(document)) for (document,) in rows], self._serial

    def record(self, machine: Machine, present: bool) -> None:
        """Include this change in the next commit."""
        self._changed[machine.id] = machine, present
        self._serial = max(self._serial, int(machine.id.removeprefix("sim-"), 16))

    async def committed(self) -> None:
        """Return when all recorded changes are on disk."""
        if not self._changed:
            return
        if self._commit is None:
            loop = asyncio.get_running_loop()
            self._commit = loop.create_future()
            loop.call_soon(self._flush, self._commit)
        await self._commit

    def _stored_serial(self) -> int:
        row = self._database.execute("SELECT last FROM serial").fetchone()
        return int(row[0]) if row else 0

    def _flush(self, commit: asyncio.Future[None]) -> None:
        self._commit = None
        try:
            self._write()
        except sqlite3.Error as error:
            commit.set_exception(error)
        else:
            commit.set_result(None)

    def _write(self) -> None:
        changed = self._changed.values()
        kept = [(machine.id, json.dumps(machine.as_dict())) for machine, present in changed if present]
        removed = [(machine.id,) for machine, present in changed if not present]
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO machine VALUES (?, ?)", kept)
            self._database.executemany("DELETE FROM machine WHERE id = ?", removed)
            self._database.execute("INSERT OR REPLACE INTO serial VALUES (1, ?)", (self._serial,))
        self._changed = {}
