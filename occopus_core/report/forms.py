"""Writes a snapshot in one of the output formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from occopus_core.descriptions.times import written as time_text
from occopus_core.report import ReportState, Snapshot, report_of
from occopus_core.report.built import output_lines
from occopus_core.report.graph import dot, mermaid
from occopus_core.report.inventory import ansible_inventory, hosts, ssh_config
from occopus_core.report.maintenance import maintained_text
from occopus_core.report.tables import WIDEST, is_roomy, shortened, table_text, wrapped
from occopus_core.report.under_way import working
from occopus_core.store.records import InfrastructureState


def written(snapshot: Snapshot, form: str, width: int = WIDEST) -> str:
    """The text without its last newline; a table is made for a terminal of `width` characters.

    Raises `KeyError` for an unknown format.
    """
    return _table(snapshot, width) if form == "table" else _WRITERS[form](snapshot)


def as_json(value: Mapping[str, Any]) -> str:
    """JSON, indented for readers."""
    return json.dumps(value, indent=2)


def as_yaml(value: Mapping[str, Any]) -> str:
    """YAML in the order of the mapping."""
    import yaml  # noqa: PLC0415  # the other forms need not wait for it

    return yaml.safe_dump(dict(value), sort_keys=False).rstrip("\n")


def _table(snapshot: Snapshot, width: int) -> str:
    cost = ["COST"] if snapshot.costs is not None else []
    heads = ["NODE", "INSTANCE", "STATE", "ADDRESS", "WHERE", "SINCE", *cost, "NOTE"]
    rows = _rows(snapshot, {})
    if not is_roomy(heads, rows, width):
        rows = _rows(snapshot, shortened(one.node_id for node in snapshot.nodes.values() for one in node))
    return "\n".join([table_text(heads, rows, width), *wrapped(_remarks(snapshot), width), *output_lines(snapshot)])


def _rows(snapshot: Snapshot, short: Mapping[str, str]) -> list[Sequence[str]]:
    """The rows of the table, with the beginnings `short` in the place of node ids; then times end with the minute."""
    rows: list[Sequence[str]] = []
    for name, node in report_of(snapshot).items():
        title = _title(name, node)
        for number, (node_id, instance) in enumerate(node["instances"].items()):
            # It became ill after it was ready, and was marked for deletion after that.
            since = max(instance["since"], instance["unhealthy_since"] or "")
            where = snapshot.places[node_id].text if node_id in snapshot.places else ""
            cells = (instance["state"], instance["resource_address"] or "", where, _minute(since) if short else since)
            cost = (
                [("unknown" if instance["cost"] is None else f"{instance['cost']:.2f}")] if "cost" in instance else []
            )
            rows.append(("" if number else title, short.get(node_id, node_id), *cells, *cost, instance["note"]))
        if node["note"] or not node["instances"]:
            blank = [""] * (5 if snapshot.costs is None else 6)
            rows.append(("" if node["instances"] else title, *blank, node["note"]))
    return rows


def _title(name: str, node: Mapping[str, Any]) -> str:
    """The node with the numbers of its instances: made and wanted, and ready where that is another number."""
    scaling, states = node["scaling"], [one["state"] for one in node["instances"].values()]
    ready = states.count(ReportState.READY.value)
    made = "" if ready == len(states) else f", {ready:,} ready"
    count = len(scaling["pending"])
    waiting = (", 1 request waits" if count == 1 else f", {count:,} requests wait") if count else ""
    return f"{name} {scaling['actual']}/{scaling['target']}{made} ({scaling['min']}..{scaling['max']}){waiting}"


def _minute(time: str) -> str:
    """A time of a report without its seconds."""
    return f"{time[:16]}Z"


_UNDER_WAY = {
    InfrastructureState.BUILDING: "it is being built",
    InfrastructureState.UPDATING: "another description of it is being applied",
    InfrastructureState.DROPPING: "it is being destroyed",
}


def _under_way(snapshot: Snapshot) -> list[str]:
    infrastructure = snapshot.infrastructure
    begun = _UNDER_WAY.get(infrastructure.state, "")
    if infrastructure.rolling_back:
        begun = f"the {infrastructure.undone} is being rolled back: {infrastructure.rolling_back}"
    if not begun:
        return []
    return ["; ".join(filter(None, (begun, working(snapshot.holding, snapshot.at), snapshot.abandoned)))]


def _remarks(snapshot: Snapshot) -> list[str]:
    """Notes on the whole infrastructure."""
    infrastructure = snapshot.infrastructure
    remarks = _under_way(snapshot)
    if infrastructure.parked:
        remarks.append(infrastructure.parked)
    elif infrastructure.frozen:
        remarks.append(f"healing is frozen: {infrastructure.frozen}")
    if infrastructure.expires_at is not None:
        remarks.append(_end(infrastructure.expires_at, snapshot))
    if snapshot.costs is not None:
        known = [cost for cost in snapshot.costs.values() if cost is not None]
        unknown = len(snapshot.costs) - len(known)
        total = f"{sum(known):.2f}" if known else "unknown"
        remarks.append(
            f"cost so far: {total}" + (f", and that of {unknown} more is unknown" if known and unknown else "")
        )
    return [*remarks, maintained_text(snapshot.maintainer, snapshot.at), *([snapshot.stale] if snapshot.stale else [])]


def _end(expires_at: float, snapshot: Snapshot) -> str:
    """When its life time ends; only maintenance destroys it then."""
    if snapshot.maintainer is not None and snapshot.maintainer.is_alive(snapshot.at):
        return f"it is destroyed at {time_text(expires_at)}"
    return f"it expires at {time_text(expires_at)}, and is destroyed by maintenance after that: none is running"


_WRITERS: Mapping[str, Callable[[Snapshot], str]] = {
    "json": lambda snapshot: as_json(report_of(snapshot)),
    "yaml": lambda snapshot: as_yaml(report_of(snapshot)),
    "table": lambda snapshot: _table(snapshot, WIDEST),
    "ansible-inventory": ansible_inventory,
    "ssh-config": ssh_config,
    "hosts": hosts,
    "mermaid": mermaid,
    "dot": dot,
}
