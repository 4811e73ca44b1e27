"""Translates container groups and their parts from the terms of Azure to those of the core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState, Owner
from occopus_resource_azure import tags
from occopus_resource_azure.errors import is_no_room, line
from occopus_resource_azure.tags import Thing

_PROVISIONING: Mapping[str, InstanceState] = {
    "pending": InstanceState.PENDING,
    "creating": InstanceState.PENDING,
    "repairing": InstanceState.PENDING,
    "unhealthy": InstanceState.PENDING,
    "deleting": InstanceState.DELETING,
    "failed": InstanceState.FAILED,
    "canceled": InstanceState.FAILED,
}
"""States that alone mean PROVISIONING. In the others, Succeeded and Updating, the processes decide."""
_GROUP: Mapping[str, InstanceState] = {
    "pending": InstanceState.PENDING,
    "running": InstanceState.READY,
    "succeeded": InstanceState.STOPPED,
    "stopped": InstanceState.STOPPED,
    "failed": InstanceState.FAILED,
}
_CRASH_LOOP = "CrashLoopBackOff"
_MOST_RESTARTS = 3
"""The restarts after which crashes count as a loop: what the container needs may start later."""
_SETTLED_SECONDS = 10.0
"""How long a restarted container must run before it counts as running."""


@dataclass(slots=True)
class Parts:
    """Everything that one token has made."""

    containers: list[Thing] = field(default_factory=list)
    vnets: list[Thing] = field(default_factory=list)
    groups: list[Thing] = field(default_factory=list)

    @property
    def container(self) -> Thing | None:
        """The container group."""
        return next(iter(self.containers), None)

    def helpers(self) -> Iterator[Thing]:
        """All parts except the container group."""
        yield from self.vnets
        yield from self.groups

    def whose(self) -> Owner | None:
        """The owner in the tags of any part."""
        found = (tags.owner(thing) for thing in (*self.containers, *self.helpers()))
        return next((owner for owner in found if owner is not None), None)


def instance(token: str, parts: Parts) -> Instance:
    """The instance of these parts. Its id is its token, which all parts carry from the start."""
    id = InstanceId(token)
    if parts.container is not None:
        return _of_container(token, parts, parts.container)
    helpers = list(parts.helpers())
    if not helpers:
        return Instance(id, InstanceState.ABSENT)
    if any(tags.stage(thing) == tags.MADE for thing in helpers):
        reason = "its container group is gone, parts of it are left"
        return Instance(id, InstanceState.FAILED, (), token, parts.whose(), "", reason)
    return Instance(id, InstanceState.PROVISIONING, (), token, parts.whose(), "", "its network is being made")


def _of_container(token: str, parts: Parts, group: Thing) -> Instance:
    provisioning, running = _provisioning(group), _state(group)
    state, reason = _PROVISIONING.get(provisioning.lower()), ""
    if state is None:
        state = _GROUP.get(running.lower(), InstanceState.PENDING if not running else InstanceState.UNKNOWN)
    if no_room(group):
        state, reason = InstanceState.PROVISIONING, no_room(group)  # the next `create` raises it
    elif state is InstanceState.READY:
        state, reason = _proven(group)
    elif state is not InstanceState.DELETING:
        reason = _why(group)
    addresses = tuple(_addresses(group))
    if state is InstanceState.READY and not addresses and _opens_ports(group):
        state, reason = InstanceState.PENDING, "it runs, and has no address yet"
    raw_state = f"{provisioning}/{running}" if running else provisioning
    return Instance(InstanceId(token), state, addresses, token, parts.whose(), raw_state, reason)


def is_running(group: Thing) -> bool:
    """Whether its processes were seen running."""
    return _of_container("", Parts(containers=[group]), group).state is InstanceState.READY


def no_room(group: Thing) -> str:
    """Why Azure had no capacity for a group that it accepted; empty if it had."""
    if _provisioning(group).lower() != "failed":
        return ""
    events = list(_events(group))
    message = _warning(group)
    return message if is_no_room([str(event.get("name", "")) for event in events], message) else ""


def _proven(group: Thing) -> tuple[InstanceState, str]:
    """READY if every process runs, and none has just crashed."""
    for container in _containers(group):
        view = container["properties"].get("instanceView") or {}
        current = view.get("currentState") or {}
        restarts = int(view.get("restartCount") or 0)
        reason = _crash(view)
        looping = str(current.get("detailStatus", "")) == _CRASH_LOOP
        if looping and restarts >= _MOST_RESTARTS:
            return InstanceState.FAILED, f"a crash loop: {reason}"
        if str(current.get("state", "")).lower() != "running" or (restarts and not _settled(current)):
            return InstanceState.PENDING, reason or _why(group)
    return InstanceState.READY, ""


def _settled(current: Mapping[str, Any]) -> bool:
    try:
        started = datetime.fromisoformat(str(current["startTime"]))
    except (KeyError, ValueError):
        return True
    since = started if started.tzinfo else started.replace(tzinfo=UTC)
    return (datetime.now(UTC) - since).total_seconds() >= _SETTLED_SECONDS


def _crash(view: Mapping[str, Any]) -> str:
    """The last exit of a container's process, and the number of its restarts."""
    restarts = int(view.get("restartCount") or 0)
    ended = [view.get("currentState") or {}, view.get("previousState") or {}]
    last = next((each for each in ended if each.get("exitCode") is not None), None)
    words = [f"restarted {restarts} times"] if restarts else []
    if last is not None:
        detail = f" ({last['detailStatus']})" if last.get("detailStatus") else ""
        words.insert(0, f"its process ended with exit code {last['exitCode']}{detail}")
    return ", ".join(words)


def _why(group: Thing) -> str:
    crashes = [_crash(container["properties"].get("instanceView") or {}) for container in _containers(group)]
    return next(filter(None, crashes), "") or _warning(group)


def _warning(group: Thing) -> str:
    """The latest event that is a warning, or that explains why the group failed."""
    failed = _provisioning(group).lower() == "failed"
    events = [each for each in _events(group) if failed or str(each.get("type", "")).lower() == "warning"]
    last = max(events, key=lambda each: str(each.get("lastTimestamp") or ""), default=None)
    if last is None:
        return "Azure says Failed" if failed else ""
    return ": ".join(filter(None, (str(last.get("name") or ""), line(last.get("message") or ""))))


def _events(group: Thing) -> Iterator[Mapping[str, Any]]:
    views = [group["properties"].get("instanceView")]
    views += [container["properties"].get("instanceView") for container in _containers(group)]
    for view in views:
        yield from (view or {}).get("events") or ()


def _containers(group: Thing) -> list[Thing]:
    return list(group["properties"].get("containers") or ())


def _provisioning(group: Thing) -> str:
    return str(group["properties"].get("provisioningState", ""))


def _state(group: Thing) -> str:
    return str((group["properties"].get("instanceView") or {}).get("state") or "")


def _addresses(group: Thing) -> Iterator[Address]:
    """The IP address, then the name."""
    given = group["properties"].get("ipAddress") or {}
    kind = AddressKind.PUBLIC if str(given.get("type", "")).lower() == "public" else AddressKind.PRIVATE
    for value in (given.get("ip"), given.get("fqdn")):
        if value and given.get("ip"):
            yield Address(str(value), kind)


def _opens_ports(group: Thing) -> bool:
    """Whether it gets an address: Azure describes a group in a network without one until it has it."""
    return any(container["properties"].get("ports") for container in _containers(group))
