"""What must never be, and what must be in the end: the store against the inventory of the cloud."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from .acts import INFRA
from .world import CHECKED, FQDN, LACKING, NEW_PORT, OLD_PORT, World, asked_for

ABSENT, OLD, NEW, UNUSABLE = "absent", "old", "new", "unusable"
"""What may become of the infrastructure."""

FOUND = 0
"""The position of a row for a machine that was found at the cloud."""

_NODES = {OLD: {"db": 1, "any": 1}, NEW: {"db": 1, "heir": 1}}
_GENERATIONS = {"db": 2, "web": 1}
"""The nodes that a manager configures, and how many configurations the descriptions have for an instance."""
_PORTS = {OLD: OLD_PORT, NEW: NEW_PORT}


def unsafe(world: World, *, forgetful: bool, hurt: Collection[str]) -> Iterator[str]:
    """What is wrong at a moment at which no process is alive, however the last one ended.

    Where the cloud is `forgetful` it has duplicates. What we did to the `hurt` machines the store cannot know.
    """
    machines = world.machines()
    rows = {row["token"]: row for row in world.rows("instances")}
    for token, count in Counter(machine["token"] for machine in machines).items():
        if count > 1 and not forgetful:
            yield f"duplicate: {count} machines have the token {token}"
    for machine in machines:
        row = rows.get(machine["token"])
        if row is None and not forgetful:
            yield f"leaked: no row knows the machine {_name(machine)}"
        elif row is not None and row["position"] != FOUND and machine["owner"]["node_id"] != row["node_id"]:
            yield f"leaked: the machine {_name(machine)} has the tags of {machine['owner']}"
        if machine["owner"]["infra_id"] != INFRA or not machine["owner"]["installation"]:
            yield f"leaked: the machine {_name(machine)} is nobody's: {machine['owner']}"
    there = {machine["id"] for machine in machines if machine["state"] != "deleting"}
    for row in rows.values():
        if row["stage"] == "ready" and row["instance_id"] not in there | set(hurt):
            yield f"lost: the row {_name(row)} is ready, and its machine {row['instance_id']} is not there"


def unrevised(world: World, known: dict[str, tuple[int, str]]) -> Iterator[str]:
    """Infrastructures whose rows have changed since the last look without another revision. `known` is brought up."""
    for row in world.rows("infrastructures"):
        apart = {"revision", "epoch", "lease_holder", "lease_expires", "seen_at"}
        own = {name: value for name, value in row.items() if name not in apart}
        tables = ("instances", "scale_requests", "configurations")
        rows = [one for table in tables for one in world.rows(table) if one["infra_id"] == row["id"]]
        revision, content = row["revision"], json.dumps([own, rows], sort_keys=True)
        before = known.get(row["id"])
        if before is not None and content != before[1] and revision <= before[0]:
            yield f"unnoticed: '{row['id']}' has changed and still has the revision {revision}"
        known[row["id"]] = revision, content


def unsettled(world: World, possible: Collection[str], *, forgetful: bool, may_stray: bool = False) -> Iterator[str]:
    """What is not yet as it should be after recovery: the infrastructure is what it may be, completely.

    Where there `may_stray` something, a process that was paused has made it after its infrastructure was gone.
    """
    infrastructure, rows, machines = world.infrastructure(), world.rows("instances"), world.machines()
    if infrastructure is None:
        yield from _unexpected(ABSENT, possible)
        if not may_stray:
            yield from (f"leaked: {_name(machine)}, its infrastructure is gone" for machine in machines)
        yield from (f"leaked: the row {_name(row)}, its infrastructure is gone" for row in rows)
        return
    if not infrastructure["wanted"] or infrastructure["candidate"] or infrastructure["lease_holder"]:
        yield f"unfinished: {infrastructure}"
        return
    description = json.loads(infrastructure["description"])
    port = _port(description)
    state = OLD if port == OLD_PORT else NEW
    unusable = any(node["type"] in (CHECKED, LACKING) for node in description["nodes"])
    yield from _unexpected(UNUSABLE if unusable else state, possible)
    requests = world.rows("scale_requests")
    yield from (f"not applied: {request}" for request in requests if request["applied_at"] is None)
    expected = {**_NODES[state], "web": asked_for(requests)}
    found = dict(Counter(row["node_name"] for row in rows))
    if found != expected:
        yield f"not as described: {found} instead of {expected}"
    yield from (
        f"unfinished: the row {_name(row)}"
        for row in rows
        if row["stage"] != "ready" or row["provisional"] or row["condemned"]
    )
    yield from _unlike(rows, machines, port, forgetful=forgetful)
    if world.managed:
        yield from _misconfigured(world, port)


def _unlike(rows: list[dict], machines: list[dict], port: int, *, forgetful: bool) -> Iterator[str]:
    known = {(row["instance_id"], row["token"]) for row in rows}
    there = {(machine["id"], machine["token"]) for machine in machines if machine["state"] == "ready"}
    yield from (f"lost: nothing is there of {each}" for each in known - there)
    if forgetful:
        return
    yield from (f"leaked: {_name(machine)}" for machine in machines if (machine["id"], machine["token"]) not in known)
    for machine in machines:
        if machine["owner"]["node_name"] == "web" and machine["order"]["image"] != f"port-{port}":
            yield f"not as described: {_name(machine)} has {machine['order']['image']} instead of port {port}"


def remaining(world: World) -> Iterator[str]:
    """What is left after everything was destroyed."""
    yield from (f"leaked: {_name(machine)} after everything was destroyed" for machine in world.machines())
    for table in ("instances", "infrastructures"):
        yield from (f"left: the row {row} after everything was destroyed" for row in world.rows(table))


def unmanaged(world: World) -> Iterator[str]:
    """What is wrong at the configuration manager at a moment at which no process is alive."""
    held, rows = world.manager.inventory(), world.managed_rows()
    known = {row["node_id"] for row in rows["configurations"]}
    used = {row["infra_id"] for row in rows["managers"]}
    for node in held["nodes"]:
        if node["node_id"] not in known:
            yield f"leaked: no row knows the node {_name(node)} of the manager"
        if len(node["generations"]) > _GENERATIONS[node["node_name"]]:
            yield f"configured twice: {_name(node)} had a job for each of {node['generations']}"
    yield from (f"leaked: no row knows that the manager holds {id}" for id in set(held["infrastructures"]) - used)
    registered = {node["token"] for node in held["nodes"]}
    for machine in world.machines():
        managed = machine["owner"]["node_name"] in _GENERATIONS and machine["state"] != "deleting"
        if managed and machine["token"] not in registered:
            yield f"lost: the manager does not know the machine {_name(machine)}"


def badly_forgotten(world: World, *, must_leave: bool) -> Iterator[str]:
    """The nodes that the manager was asked to forget too early, where nothing kept it from being asked in time."""
    for node in world.manager.inventory()["forgotten"]:
        if node["state"] == "running":
            yield f"not cancelled: a job of {node['node_name']} was running when it was forgotten"
        if must_leave and node["state"] == "ready" and not node["left"]:
            yield f"not left: {node['node_name']} was forgotten in service"


def remaining_managed(world: World, *, may_stray: bool) -> Iterator[str]:
    """What is left at the manager, or in the store about it, after everything was destroyed."""
    held = world.manager.inventory()
    yield from (f"leaked: the manager holds {_name(node)} after everything was destroyed" for node in held["nodes"])
    if not may_stray:
        yield from (f"leaked: the manager holds {id} after everything was destroyed" for id in held["infrastructures"])
    for table, rows in world.managed_rows().items():
        yield from (f"left: a row of {table} after everything was destroyed: {_name(row)}" for row in rows)


def _misconfigured(world: World, port: int) -> Iterator[str]:
    rows = {row["node_id"]: row for row in world.rows("configurations")}
    held = {node["node_id"]: node for node in world.manager.inventory()["nodes"]}
    for row in world.rows("instances"):
        if row["node_name"] not in _GENERATIONS:
            continue
        record, node = rows.get(row["node_id"]), held.get(row["node_id"])
        if record is None or node is None:
            yield f"lost: nothing is held for {_name(row)}"
        elif not record["applied"] or not record["applied"] == record["wanted"] == node["generation"]:
            yield f"not configured: {_name(row)} has {node['generation']}, the store {record['applied']}"
        elif node["status"]["state"] != "ready":
            yield f"not configured: {_name(row)} is {node['status']}"
        elif row["node_name"] == "db" and node["section"]["role"] != f"port-{port}":
            yield f"not as described: {_name(row)} has the role {node['section']['role']}"
        elif row["node_name"] == "web" and node["mapped"] != {"db_fqdn": FQDN}:
            yield f"not as described: {_name(row)} was handed {node['mapped']}"


def _unexpected(state: str, possible: Collection[str]) -> Iterator[str]:
    if state not in possible:
        yield f"not as described: the infrastructure is {state}, instead of {' or '.join(sorted(possible))}"


def _port(description: dict[str, Any]) -> int:
    return next(node["variables"]["port"] for node in description["nodes"] if node["name"] == "web")


def _name(thing: dict[str, Any]) -> str:
    keys = ("id", "instance_id", "node_id", "token", "node_name", "state", "stage", "provisional")
    return " ".join(f"{key}={thing[key]}" for key in keys if key in thing)
