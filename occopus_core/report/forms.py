"""Writes a snapshot in one of the output formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from occopus_core.report import Snapshot, report_of
from occopus_core.report.graph import dot, mermaid
from occopus_core.report.inventory import ansible_inventory, hosts, ssh_config


def written(snapshot: Snapshot, form: str) -> str:
    """The text without its last newline. Raises `KeyError` for an unknown format."""
    return _WRITERS[form](snapshot)


def as_json(value: Mapping[str, Any]) -> str:
    """JSON, indented for readers."""
    return json.dumps(value, indent=2)


def as_yaml(value: Mapping[str, Any]) -> str:
    """YAML in the order of the mapping."""
    import yaml  # noqa: PLC0415  # the other forms need not wait for it

    return yaml.safe_dump(dict(value), sort_keys=False).rstrip("\n")


def _table(snapshot: Snapshot) -> str:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    heads = ("NODE", "INSTANCE", "STATE", "ADDRESS", "SINCE", "NOTE")
    table = Table(*heads, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, node in report_of(snapshot).items():
        scaling = node["scaling"]
        waiting = f", {len(scaling['pending'])} requests wait" if scaling["pending"] else ""
        title = f"{name} {scaling['actual']}/{scaling['target']} ({scaling['min']}..{scaling['max']}){waiting}"
        if not node["instances"]:
            table.add_row(title)
        for number, (node_id, instance) in enumerate(node["instances"].items()):
            # It became ill after it was ready, and is deleted after that.
            since = max(instance["since"], instance["unhealthy_since"] or "")
            cells = (node_id, instance["state"], instance["resource_address"], since, instance["note"])
            # Text from outside is never interpreted as markup.
            table.add_row("" if number else title, *map(Text, cells))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    frozen, parked = snapshot.infrastructure.frozen, snapshot.infrastructure.parked
    held = parked or (f"healing is frozen: {frozen}" if frozen else "")
    lines = [*captured.get().splitlines(), *([held] if held else [])]
    return "\n".join(line.rstrip() for line in lines)


_WRITERS: Mapping[str, Callable[[Snapshot], str]] = {
    "json": lambda snapshot: as_json(report_of(snapshot)),
    "yaml": lambda snapshot: as_yaml(report_of(snapshot)),
    "table": _table,
    "ansible-inventory": ansible_inventory,
    "ssh-config": ssh_config,
    "hosts": hosts,
    "mermaid": mermaid,
    "dot": dot,
}
