"""The inventory of a run: all instances of the infrastructure, grouped by the names of their nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Order = Mapping[str, Any]

_SSH_OPTIONS = (
    "-o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
    " -o UpdateHostKeys=no -o IdentitiesOnly=yes"
)


JUMP = "occopus-jump"

_CONFIG = """\
Host {jump}
    HostName {host}
    Port {port}
    User {user}
    IdentityFile {key_file}
    IdentitiesOnly yes
    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    ConnectTimeout {seconds}
Host * !{jump}
    ProxyJump {jump}
"""


def ssh_config(login: Mapping[str, Any], key_file: str, known_hosts: str, seconds: int) -> str:
    """An ssh configuration that reaches every host through the jump host of the login; empty without one."""
    jump = login["jump"]
    if jump is None:
        return ""
    return _CONFIG.format(jump=JUMP, key_file=key_file, known_hosts=known_hosts, seconds=seconds, **jump)


def inventory(orders: Iterable[Order], key_file: str, known_hosts: str, config: str) -> dict[str, Any]:
    """The inventory for these orders, as plain values for Ansible's YAML form. The name of a host is its node id.

    The files are the private key, the known hosts and the ssh configuration for a jump host.
    """
    hosts: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    for order in orders:
        for peer in order["peers"]:
            hosts.setdefault(peer["node_id"], {"ansible_host": peer["address"], "occopus": _named(order, peer)})
            groups.setdefault(peer["node_name"], {"hosts": {}})["hosts"][peer["node_id"]] = {}
    for order in orders:
        node_id = order["owner"]["node_id"]
        hosts[node_id] = {
            **order["variables"],
            "ansible_host": order["address"],
            "occopus": _named(order, order["owner"]),
        }
        for group in (order["owner"]["node_name"], *order["groups"]):
            groups.setdefault(group, {"hosts": {}})["hosts"][node_id] = {}
    login = next(iter(orders))["login"]
    variables = {
        "ansible_user": login["user"],
        "ansible_port": login["port"],
        "ansible_ssh_common_args": _SSH_OPTIONS.format(known_hosts=known_hosts),
    }
    if login["jump"] is not None:
        variables["ansible_ssh_common_args"] += f" -F {config}"
    if login["private_key"]:
        variables["ansible_ssh_private_key_file"] = key_file
    if login["password"]:
        variables["ansible_password"] = login["password"]
    if login["become_password"]:
        variables["ansible_become_password"] = login["become_password"]
    return {"all": {"hosts": hosts, "vars": variables, "children": groups}}


def known_hosts(orders: Iterable[Order]) -> str:
    """The text of a known_hosts file with the pinned keys of every host."""
    lines = {line for order in orders for line in order["known_hosts"].splitlines() if line}
    return "".join(f"{line}\n" for line in sorted(lines))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted paths as nested mappings."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        place = found
        for parent in parents:
            inner = place.get(parent)
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = inner
        place[last] = value
    return found


def _named(order: Order, one: Mapping[str, Any]) -> dict[str, str]:
    owner = order["owner"]
    return {
        "infra_id": owner["infra_id"],
        "infra_name": owner["infra_name"],
        "node_name": one["node_name"],
        "node_id": one["node_id"],
    }
