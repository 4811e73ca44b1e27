"""A store on disk and a cloud in a process of its own, as the harness itself sees them: from outside."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from occopus_core.testing.simcloud.process import SimulatedCloud

from .pace import SPEED, now

TABLES = ("infrastructures", "instances", "scale_requests", "places", "events")
WEB = (2, 6)
"""The least and the most instances of the node `web`."""

LONGEST_LEASE = 1.0
"""Seconds of ours after which no lease is left."""

OLD_PORT, NEW_PORT = 1, 2


def _nodes(endpoint: str) -> str:
    def definition(*ways: dict) -> list[dict]:
        boots = {"boot_seconds": 0.02, "delete_seconds": 0.05}
        return [
            {"resource": {"type": "sim", "endpoint": endpoint, **boots, **way}, "health_check": {"ping": False}}
            for way in ways
        ]

    slow = {"delete_seconds": 0.3}
    return json.dumps(
        {
            "node_def:db": definition({"steps": 2}),
            "node_def:web": definition({"image": "port-{{ variables.port }}"}),
            "node_def:any": definition({"project": "east", **slow}, {"project": "west", "steps": 2, **slow}),
            "node_def:bad": definition({"fail": "disk on fire"}),
        }
    )


def _description(port: int, *others: str) -> str:
    web = {"name": "web", "type": "web", "scaling": {"min": WEB[0], "max": WEB[1]}, "variables": {"port": port}}
    nodes = [{"name": "db", "type": "db"}, web, *({"name": other, "type": other} for other in others)]
    edges = [("web", "db"), *((other, "web") for other in others if other == "bad")]
    return json.dumps({"user_id": "me", "infra_name": "trial", "nodes": nodes, "dependencies": edges})


DESCRIPTIONS = {
    "old.yaml": _description(OLD_PORT, "any"),
    "new.yaml": _description(NEW_PORT),
    "bad.yaml": _description(NEW_PORT, "bad"),
}


class World:
    """One of each, in a folder. A run begins with `begin`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.cloud = SimulatedCloud(folder / "cloud.sqlite")
        self.cloud.start()
        for name, text in {**DESCRIPTIONS, "nodes.yaml": _nodes(self.cloud.endpoint)}.items():
            (folder / name).write_text(text)
        self.faults: list[dict] = []

    def keep_store(self) -> None:
        """From now on runs begin with the store as it is."""
        shutil.copy(self.store, self.folder / "empty.db")

    def begin(self) -> None:
        """Nothing there, and nothing known but the node definitions."""
        for file in (*self.folder.glob("store.db*"), *self.folder.glob("*.trace"), *self.folder.glob("*.log")):
            file.unlink()
        shutil.copy(self.folder / "empty.db", self.store)
        self.cloud.reset()

    def set_faults(self, rules: list[dict]) -> None:
        """Put these in force, also after a crash of the cloud."""
        self.faults = rules
        self.cloud.set_faults(rules)

    def crash(self) -> None:
        """The cloud dies and comes back."""
        self.cloud.restart()
        self.cloud.set_faults(self.faults)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        with contextlib.closing(sqlite3.connect(self.store, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]

    def infrastructure(self) -> dict[str, Any] | None:
        """Its row, None where there is none."""
        rows = self.rows("infrastructures")
        return rows[0] if rows else None

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """All that a process might have written."""
        return {table: self.rows(table) for table in TABLES}

    def machines(self) -> list[dict[str, Any]]:
        """Everything at the cloud, hidden and departing things included."""
        return self.cloud.inventory()

    def await_lease(self) -> None:
        """Until nobody holds the infrastructure, as is so a while after a process was killed."""
        row = self.infrastructure()
        if row is not None and row["lease_expires"] is not None:
            left = (row["lease_expires"] - now()) / SPEED
            time.sleep(min(max(0.0, left) + 0.002, LONGEST_LEASE))

    def close(self) -> None:
        """Stop the cloud."""
        self.cloud.stop()


def asked_for(requests: list[dict[str, Any]]) -> int:
    """How many instances of `web` there should be after these scaling requests."""
    count = WEB[0]
    for request in requests:
        count = min(max(count + request["amount"], WEB[0]), WEB[1])
    return count
