"""The instances in formats for other programs: an Ansible inventory, an ssh configuration, lines for /etc/hosts.

Instances that are shutting down are left out, as their replacements have the same names. Addresses come from
providers: one that is neither an IP address nor a host name is never written.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from occopus_core.report import Snapshot, state_of
from occopus_core.store.records import InstanceRecord, Stage

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_LONGEST_NAME = 253
_RESERVED_GROUPS = ("all", "ungrouped", "_meta")


@dataclass(frozen=True, slots=True)
class _Host:
    """An instance and its name within the infrastructure: `<node>-<position>`, which never changes."""

    name: str
    instance: InstanceRecord


def ansible_inventory(snapshot: Snapshot) -> str:
    """The output of a dynamic inventory for ``--list``.

    It has a group for each node and one for the infrastructure, which contains all of them. Characters that are not
    allowed in group names become underscores; another one is appended to a name that is in use.
    """
    infrastructure = snapshot.infrastructure
    hostvars: dict[str, dict[str, Any]] = {}
    members: dict[str, list[str]] = {node: [] for node in snapshot.nodes}
    for host in _hosts(snapshot):
        if not _fault(host.instance.address):
            alias = f"{infrastructure.current.name}-{host.name}"
            hostvars[alias] = _hostvars(host.instance)
            members[host.instance.node_name].append(alias)
    taken = set(_RESERVED_GROUPS)
    groups = {_group(node, taken): {"hosts": aliases} for node, aliases in members.items()}
    all_of_it = _group(infrastructure.current.name, taken)
    inventory = {
        "_meta": {"hostvars": hostvars},
        "all": {"children": ["ungrouped", all_of_it]},
        all_of_it: {"children": list(groups)},
        **groups,
    }
    return json.dumps(inventory, indent=2)


def ssh_config(snapshot: Snapshot) -> str:
    """A file for ``ssh -F`` or for `Include`. Hosts are called `<infrastructure>-<node>-<position>` and by node id."""
    infrastructure = snapshot.infrastructure
    lines = [f"# infrastructure {infrastructure.current.name}, id {infrastructure.id}"]
    for host in _hosts(snapshot):
        instance = host.instance
        fault = _fault(instance.address)
        if fault:
            lines += ["", f"# {host.name} ({instance.node_id}): {fault}"]
            continue
        alias = f"{infrastructure.current.name}-{host.name}"
        # A word on the command line that begins with a dash would be an option.
        aliases = instance.node_id if alias.startswith("-") else f"{alias} {instance.node_id}"
        lines += ["", f"# {host.name}: {state_of(instance)}", f"Host {aliases}", f"    HostName {instance.address}"]
    return "\n".join(lines)


def hosts(snapshot: Snapshot) -> str:
    """Lines for /etc/hosts: the address, `<node>-<position>.<infrastructure>` and `<node>-<position>`.

    An instance whose names are not valid host names is listed by its node id.
    """
    infrastructure = snapshot.infrastructure
    lines = [f"# infrastructure {infrastructure.current.name}, id {infrastructure.id}"]
    for host in _hosts(snapshot):
        address = host.instance.address
        if not _is_ip(address):
            lines.append(f"# {host.name}: {_fault(address) or 'its address is not an IP address'}")
            continue
        names = [*filter(_is_host_name, (f"{host.name}.{infrastructure.current.name}", host.name))]
        lines.append(" ".join([address, *(names or [host.instance.node_id])]))
    return "\n".join(lines)


def _hosts(snapshot: Snapshot) -> Iterator[_Host]:
    taken: set[str] = set()
    for node, instances in snapshot.nodes.items():
        for instance in instances:
            if instance.stage is Stage.DROPPING:
                continue
            name = f"{node}-{instance.position}"
            if name.lower() in taken:
                name = instance.node_id
            taken.add(name.lower())
            yield _Host(name, instance)


def _hostvars(instance: InstanceRecord) -> dict[str, Any]:
    return {
        "ansible_host": instance.address,
        "occopus_node_id": instance.node_id,
        "occopus_node_name": instance.node_name,
        "occopus_infra_id": instance.infra_id,
        "occopus_state": state_of(instance),
        # Ansible interprets double braces as a template.
        "occopus_addresses": [address.value for address in instance.addresses if not _fault(address.value)],
    }


def _group(name: str, taken: set[str]) -> str:
    group = re.sub(r"[^A-Za-z0-9_]|^(?=[0-9])", "_", name)
    while group in taken:
        group += "_"
    taken.add(group)
    return group


def _fault(address: str) -> str:
    """Why an address cannot be used; empty if it can."""
    if not address:
        return "it has no address yet"
    return "" if _is_ip(address) or _is_host_name(address) else "its address is neither an IP address nor a host name"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone, which can be any text, means something on one machine only


def _is_host_name(text: str) -> bool:
    labels = text.split(".")
    return len(text) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
