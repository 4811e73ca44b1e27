"""Reports in the format of Occopus 1.x, for `compatibility: 1.x`."""

from __future__ import annotations

from collections.abc import Iterator

from occopus_core.report import Snapshot


def addresses(snapshot: Snapshot) -> str:
    """A line for each instance that has an address: its addresses, separated by blanks."""
    return "\n".join(line for _, _, line in _instances(snapshot))


def built(snapshot: Snapshot) -> str:
    """The output after a build: the instances of each node with addresses and node ids, then the infrastructure."""
    lines = ["List of nodes/ip addresses:"]
    for node in snapshot.nodes:
        lines.append(f"{node}:")
        lines += [f"    {line} ({node_id})" for name, node_id, line in _instances(snapshot) if name == node]
    return "\n".join([*lines, snapshot.infrastructure.id])


def _instances(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    """The node, the node id and the addresses of each instance."""
    for node, instances in snapshot.nodes.items():
        for instance in instances:
            known = dict.fromkeys([instance.address, *(address.value for address in instance.addresses)])
            line = " ".join(filter(None, known))
            if line:
                yield node, instance.node_id, line
