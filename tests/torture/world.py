"""A store on disk, a cloud and a manager, each in its own process, as the harness itself sees them: from outside."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from occopus_core.store.row_conversion import FORGOTTEN
from occopus_core.testing.simcloud.process import SimulatedCloud
from occopus_core.testing.simmanager.process import SimulatedManager

from .pace import SPEED, now

TABLES = ("infrastructures", "instances", "scale_requests", "places", "events")
MANAGED_TABLES = ("configurations", "managers")
FQDN = "db.example.org"
"""What the managed node `db` publishes, and `web` is handed."""

WEB = (2, 6)
"""The least and the most instances of the node `web`."""

LONGEST_LEASE = 1.0
"""Seconds of ours after which no lease is left."""

OLD_PORT, NEW_PORT = 1, 2

CHECKED = "checked"
"""The type of the node `any` in `sick.yaml`: the same machine with a health check that it cannot pass."""

LACKING = "lacking"
"""The type of the node `any` in `lacking.yaml`: the same machine with an image that does not exist."""

_CHECK = {"urls": ["http://127.0.0.1:1/"], "timeout": 5}


def _nodes(endpoint: str, manager: str) -> str:
    def definition(*ways: dict, config: dict | None = None, check: dict | None = None) -> list[dict]:
        boots = {"boot_seconds": 0.02, "delete_seconds": 0.05}
        health = {"ping": False, **(check or {})}
        return [
            {"resource": {"type": "sim", "endpoint": endpoint, **boots, **way}, "health_check": health}
            | ({"config_management": {"type": "sim", "endpoint": manager, **config}} if config else {})
            for way in ways
        ]

    role = "port-{{ variables.port }}"
    managed_db = {"seconds": 0.4, "leave_seconds": 0.05, "role": role, "publish": {"fqdn": FQDN}}

    held = {"delete_seconds": 0.3, "port": "80"}
    somewhere = {"project": "east", **held}, {"project": "west", "steps": 2, **held}
    return json.dumps(
        {
            "node_def:db": definition({"steps": 2}),
            "node_def:web": definition({"image": "port-{{ variables.port }}"}),
            "node_def:managed_db": definition({}, config=managed_db),
            "node_def:managed_web": definition({"image": role}, config={"seconds": 0.05, "leave_seconds": 0.05}),
            "node_def:any": definition(*somewhere),
            f"node_def:{CHECKED}": definition(*somewhere, check=_CHECK),
            f"node_def:{LACKING}": definition(*({**way, "image": "unknown"} for way in somewhere)),
            "node_def:heir": definition({"project": "east", **held}),
            "node_def:bad": definition({"fail": "disk on fire"}),
        }
    )


def _description(port: int, *others: str, managed: bool = False, **types: str) -> str:
    """The nodes `others` have their names as types, apart from those in `types`."""
    prefix, variables = ("managed_", {"port": port}) if managed else ("", {})
    web = {
        "name": "web",
        "type": f"{prefix}web",
        "scaling": {"min": WEB[0], "max": WEB[1]},
        "variables": {"port": port},
    }
    nodes = [
        {"name": "db", "type": f"{prefix}db", "variables": variables},
        web,
        *({"name": other, "type": types.get(other, other)} for other in others),
    ]
    handed = [{"attributes": ["fqdn", "db_fqdn"], "synch": True}]
    on_db = {"connection": ["web", "db"], "mappings": handed} if managed else ("web", "db")
    edges = [on_db, *((other, "web") for other in others if other == "bad")]
    return json.dumps({"user_id": "me", "infra_name": "trial", "nodes": nodes, "dependencies": edges})


DESCRIPTIONS = {
    managed: {
        "old.yaml": _description(OLD_PORT, "any", managed=managed),
        "new.yaml": _description(NEW_PORT, "heir", managed=managed),
        "bad.yaml": _description(NEW_PORT, "bad", managed=managed),
        "sick.yaml": _description(OLD_PORT, "any", managed=managed, any=CHECKED),
        "lacking.yaml": _description(OLD_PORT, "any", managed=managed, any=LACKING),
    }
    for managed in (False, True)
}
"""The descriptions of the runs without and with a configuration manager."""


class World:
    """One of each, in a folder. A run begins with `begin`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.cloud = SimulatedCloud(folder / "cloud.sqlite")
        self.cloud.start()
        self.manager = SimulatedManager(folder / "manager.json")
        self.manager.start()
        (folder / "nodes.yaml").write_text(_nodes(self.cloud.endpoint, self.manager.endpoint))
        self.describe(managed=True)
        self.managed = False
        self.faults: list[dict] = []
        self.manager_faults: list[dict] = []

    def describe(self, *, managed: bool) -> None:
        """Write the descriptions of runs with or without a configuration manager."""
        for name, text in DESCRIPTIONS[managed].items():
            (self.folder / name).write_text(text)

    def keep_store(self) -> None:
        """From now on runs begin with the store as it is."""
        shutil.copy(self.store, self.folder / "empty.db")

    def begin(self, *, managed: bool) -> None:
        """Nothing there, and nothing known but the node definitions."""
        for file in (*self.folder.glob("store.db*"), *self.folder.glob("*.trace"), *self.folder.glob("*.log")):
            file.unlink()
        shutil.copy(self.folder / "empty.db", self.store)
        self.cloud.reset()
        self.managed = managed
        self.describe(managed=managed)
        self.manager.reset()

    def set_faults(self, rules: list[dict], of_manager: list[dict]) -> None:
        """Put these in force at the cloud and at the manager, also after they crash."""
        self.faults, self.manager_faults = rules, of_manager
        self.cloud.set_faults(rules)
        if self.managed:
            self.manager.set_faults(of_manager)

    def crash(self) -> None:
        """The cloud dies and comes back, and so does the manager where there is one."""
        self.cloud.restart()
        if self.managed:
            self.manager.restart()
        self.set_faults(self.faults, self.manager_faults)

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

    def managed_rows(self) -> dict[str, list[dict[str, Any]]]:
        """What the store has of configuration managers; not which of them were ever used."""
        rows = {table: self.rows(table) for table in MANAGED_TABLES}
        rows["managers"] = [row for row in rows["managers"] if row["infra_id"] != FORGOTTEN]
        return rows

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
        """Stop the cloud and the manager."""
        self.cloud.stop()
        self.manager.stop()


def asked_for(requests: list[dict[str, Any]]) -> int:
    """How many instances of `web` there should be after these scaling requests."""
    count = WEB[0]
    for request in requests:
        count = min(max(count + request["amount"], WEB[0]), WEB[1])
    return count
