"""The wanted number of instances of an infrastructure, from its row alone."""

from __future__ import annotations

import json
from typing import Any

from occopus_core.descriptions.serial import infrastructure_from_json, typed


def wanted_count(targets: Any, updated: Any) -> int:
    """The wanted number of instances, from two columns of a row.

    `updated` is the description that an update under way is building, which then counts; None without one. Raises
    `ValueError`, `TypeError`, `LookupError` or `AttributeError` for a damaged row.
    """
    present = {name: typed(count, int) for name, count in typed(json.loads(targets), dict).items()}
    if updated is None:
        return sum(present.values())
    nodes = infrastructure_from_json(json.loads(updated)).nodes
    return sum(node.scaling.wanted(present.get(node.name)) for node in nodes)
