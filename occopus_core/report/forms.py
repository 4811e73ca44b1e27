"""Writes a snapshot in one of the output formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from occopus_core.descriptions.times import written as time_text
from occopus_core.report import Snapshot, report_of
from occopus_core.report.built import output_lines
from occopus_core.report.graph import dot, mermaid
from occopus_core.report.inventory import ansible_inventory, hosts, ssh_config
from occopus_core.report.maintenance import maintained_text


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

    with_costs = snapshot.costs is not None
    heads = ("NODE", "INSTANCE", "STATE", "ADDRESS", "WHERE", "SINCE", *(["COST"] if with_costs else []), "NOTE")
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
            where = snapshot.places[node_id].text if node_id in snapshot.places else ""
            cells = (node_id, instance["state"], instance["resource_address"], where, since)
            cost = [("unknown" if instance["cost"] is None else f"{instance['cost']:.2f}")] if with_costs else []
            # Text from outside is never interpreted as markup.
            table.add_row("" if number else title, *map(Text, (*cells, *cost, instance["note"])))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    lines = [*captured.get().splitlines(), *_remarks(snapshot)]
    return "\n".join(line.rstrip() for line in lines)


def _remarks(snapshot: Snapshot) -> list[str]:
    """What is said of the infrastructure as a whole."""
    infrastructure, remarks = snapshot.infrastructure, []
    if infrastructure.parked:
        remarks.append(infrastructure.parked)
    elif infrastructure.frozen:
        remarks.append(f"healing is frozen: {infrastructure.frozen}")
    if infrastructure.expires_at is not None:
        remarks.append(f"it is destroyed at {time_text(infrastructure.expires_at)}")
    if snapshot.costs is not None:
        known = [cost for cost in snapshot.costs.values() if cost is not None]
        unknown = len(snapshot.costs) - len(known)
        total = f"{sum(known):.2f}" if known else "unknown"
        remarks.append(
            f"cost so far: {total}" + (f", and that of {unknown} more is unknown" if known and unknown else "")
        )
    return [*remarks, maintained_text(snapshot.maintainer, snapshot.at), *output_lines(snapshot)]


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
