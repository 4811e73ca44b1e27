"""The objects of a Chef server that represent an infrastructure, and how those of Occopus are recognised."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from occopus_core.api import ConfigNode

MARK = "occopus"
"""The normal attribute of a node in which Occopus stores its owner and its configuration."""


def environment(infra_id: str, infra_name: str) -> dict[str, Any]:
    """The environment of an infrastructure."""
    return {
        "name": infra_id,
        "description": f"Occopus infrastructure {infra_name}",
        "cookbook_versions": {},
        "default_attributes": {},
        "override_attributes": {},
        "json_class": "Chef::Environment",
        "chef_type": "environment",
    }


def role_name(infra_id: str, node_name: str) -> str:
    """The role of all instances of a node. The name of a node contains no underscore."""
    return f"{infra_id}_{node_name}"


def infrastructure_of(role: str) -> str:
    """The infrastructure of a role; empty for a role that belongs to no node."""
    return role.rpartition("_")[0]


def role(node: ConfigNode) -> dict[str, Any]:
    """The role in the run list of every instance of a node; users may add to it."""
    return {
        "name": role_name(node.infra_id, node.node_name),
        "description": f"Node {node.node_name} of the Occopus infrastructure {node.infra_name}",
        "run_list": [],
        "env_run_lists": {},
        "default_attributes": {},
        "override_attributes": {},
        "json_class": "Chef::Role",
        "chef_type": "role",
    }


def chef_node(node: ConfigNode, present: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The desired node.

    `present` is the node on the server: automatic attributes stay, those of Occopus are replaced.
    """
    automatic = dict((present or {}).get("automatic") or {})
    return {
        "name": node.node_id,
        "chef_environment": node.infra_id,
        "run_list": [f"role[{role_name(node.infra_id, node.node_name)}]", *node.section.get("run_list", ())],
        "normal": {**normal(node), MARK: _mark(node, automatic.get("ohai_time"))},
        "automatic": automatic,
        "default": dict((present or {}).get("default") or {}),
        "override": dict((present or {}).get("override") or {}),
        "json_class": "Chef::Node",
        "chef_type": "node",
    }


def normal(node: ConfigNode) -> dict[str, Any]:
    """The node's attributes, including the mapped values at their dotted paths."""
    attributes: dict[str, Any] = copy.deepcopy(dict(node.attributes))
    for path, value in node.mapped.items():
        *parents, last = path.split(".")
        place = attributes
        for parent in parents:
            inner = place.get(parent)
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = inner
        place[last] = value
    return attributes


def _mark(node: ConfigNode, converged: Any) -> dict[str, Any]:
    return {
        "installation": node.installation,
        "infra_id": node.infra_id,
        "node_name": node.node_name,
        "node_id": node.node_id,
        "generation": node.generation,
        "converged_before": converged,
    }


def mark_of(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The Occopus attribute of a node on the server; empty without one."""
    attributes = found.get("normal")
    mark = attributes.get(MARK) if isinstance(attributes, Mapping) else None
    return mark if isinstance(mark, Mapping) else {}


def converged(found: Mapping[str, Any]) -> bool:
    """Whether a node has reported a converge since it was last configured."""
    automatic = found.get("automatic")
    at = automatic.get("ohai_time") if isinstance(automatic, Mapping) else None
    return at is not None and at != mark_of(found).get("converged_before")


def published(found: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes for dependents: normal and automatic ones, the latter first, as in Chef's precedence."""
    attributes = {**(found.get("normal") or {}), **(found.get("automatic") or {})}
    attributes.pop(MARK, None)
    return attributes
