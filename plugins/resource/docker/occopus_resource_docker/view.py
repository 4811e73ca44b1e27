"""Translates listed containers from the terms of an engine to those of the contract."""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from occopus_core.api import Address, AddressKind, Instance, InstanceId, InstanceState
from occopus_resource_docker.labels import JOB, NETWORK, RESTARTED, TOKEN, written

_STATES: Mapping[str, InstanceState] = {
    "configured": InstanceState.PROVISIONING,
    "created": InstanceState.PROVISIONING,
    "initialized": InstanceState.PENDING,
    "restarting": InstanceState.PENDING,
    "running": InstanceState.READY,
    "paused": InstanceState.STOPPED,
    "stopping": InstanceState.STOPPED,
    "stopped": InstanceState.STOPPED,
    "exited": InstanceState.STOPPED,
    "removing": InstanceState.DELETING,
    "dead": InstanceState.FAILED,
}
"""States of Docker, and further ones of Podman."""
_EXIT = re.compile(r"(Exited|Restarting) \((\d+)\)")
_EXITED = "it exited with code {}"
_KILLED = frozenset(map(_EXITED.format, (128 + signal.SIGKILL, 128 + signal.SIGTERM)))
_COMPLETED = "it completed: its process exited with code 0 (resource.job: true says that it is to)"
_STARTING, _UNHEALTHY = "(health: starting)", "(unhealthy)"
_HEALTH = {_STARTING: "its health check has not passed yet", _UNHEALTHY: "its health check fails"}
_SETTLED_SECONDS = 10
"""How long a container that was restarted must run before it counts as running."""
_YOUNG = re.compile(r"Up (?:Less than a|(\d+)) seconds?\b")
_JUST_STARTED = "Up Less than a second"
"""How long a started container does not count as running yet: one that exits at once must never count."""
_LONGEST = 300
_REASONS = {
    "created": "it is to be started",
    "paused": "it is paused",
    "dead": "the engine could remove it in part only",
}


def instance(listed: Mapping[str, Any], host: str) -> Instance:
    """One element of a list of containers; `host` is the address of the engine's own machine."""
    labels = listed.get("Labels") or {}
    raw_state = str(listed.get("State", "")).lower()
    state, reason = _judged(raw_state, str(listed.get("Status", "")), job=JOB in labels)
    token = labels.get(TOKEN, "")
    return Instance(
        id=InstanceId(token),
        state=state,
        addresses=_addresses(listed, labels, host),
        token=token,
        owner=written(labels),
        raw_state=raw_state,
        reason=reason,
    )


def is_unhealthy(listed: Mapping[str, Any]) -> bool:
    """Whether the engine reports a failed health check."""
    return _UNHEALTHY in str(listed.get("Status", ""))


def may_be_looping(listed: Mapping[str, Any]) -> bool:
    """Whether it runs and may be restarting repeatedly: a list does not have the number of restarts."""
    young = _YOUNG.match(str(listed.get("Status", "")))
    return (
        RESTARTED in (listed.get("Labels") or {})
        and str(listed.get("State", "")).lower() == "running"
        and young is not None
        and int(young[1] or 0) < _SETTLED_SECONDS
    )


def looping(restarts: int) -> str:
    """Why a running container does not count as running yet."""
    times = "once" if restarts == 1 else f"{restarts} times"
    return f"its process has ended and was restarted {times}; it must run for {_SETTLED_SECONDS} s"


def failed_check(output: str) -> str:
    """The reason of a container whose health check fails with this output."""
    said = " ".join(output.split())
    short = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    return f"{_HEALTH[_UNHEALTHY]}: {short}" if short else _HEALTH[_UNHEALTHY]


def _judged(raw_state: str, status: str, *, job: bool) -> tuple[InstanceState, str]:
    """State, and reason if it is not ready. Considers the health check of its image, and whether it is a job."""
    state = _STATES.get(raw_state, InstanceState.UNKNOWN)
    exited = _EXIT.match(status)
    completed = state is InstanceState.STOPPED and exited is not None and exited[2] == "0"
    if completed:
        return (InstanceState.READY, "") if job else (state, _COMPLETED)
    if state is not InstanceState.READY:
        return state, _reason(raw_state, status)
    if job:
        return InstanceState.PENDING, "the job is running"
    if status.startswith(_JUST_STARTED):
        return InstanceState.PENDING, ""
    unwell = next((reason for words, reason in _HEALTH.items() if words in status), "")
    return (InstanceState.PENDING, unwell) if unwell else (state, "")


def was_killed(instance: Instance) -> bool:
    """Whether it was killed, as all containers are when their engine ends."""
    return instance.state is InstanceState.STOPPED and instance.reason in _KILLED


def _addresses(listed: Mapping[str, Any], labels: Mapping[str, str], host: str) -> tuple[Address, ...]:
    """IPv4 before IPv6; on the network of the engine's machine, which lists omit, the address of that machine."""
    if labels.get(NETWORK) == "host":
        return (Address(host, _kind(host)),)
    found = sorted(_of_networks(listed), key=lambda address: ":" in address)
    return tuple(Address(address, _kind(address)) for address in found)


def _of_networks(listed: Mapping[str, Any]) -> Iterator[str]:
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    for network in networks.values():
        for key in ("IPAddress", "GlobalIPv6Address"):
            if network.get(key):
                yield network[key]


def _kind(address: str) -> AddressKind:
    try:
        private = ipaddress.ip_address(address).is_private
    except ValueError:  # a host name
        private = False
    return AddressKind.PRIVATE if private else AddressKind.PUBLIC


def _reason(raw_state: str, status: str) -> str:
    exited = _EXIT.match(status)
    if exited:
        again = ", and is restarted" if exited[1] == "Restarting" else ""
        return _EXITED.format(exited[2]) + again
    return _REASONS.get(raw_state, "")
