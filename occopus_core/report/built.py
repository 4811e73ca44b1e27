"""The output at the end of a build: addresses of nodes, outputs, and which nodes are outdated."""

from __future__ import annotations

from occopus_core.report import Snapshot

MOST_ADDRESSES = 8
"""Addresses of one node that are shown."""


def address_lines(snapshot: Snapshot) -> list[str]:
    """A line for each node with the addresses of its instances; of many only the first."""
    width = max(map(len, snapshot.nodes), default=0)
    lines = []
    for node, instances in snapshot.nodes.items():
        found = [printable(one.address) for one in instances if one.address]
        more = [f"and {len(found) - MOST_ADDRESSES:,} more"] if len(found) > MOST_ADDRESSES else []
        lines.append(f"{node:{width}}  {' '.join([*found[:MOST_ADDRESSES], *more]) or '(no address)'}")
    return lines


def output_lines(snapshot: Snapshot) -> list[str]:
    """The outputs for people; nothing without outputs. Further lines of a value are indented."""
    if not snapshot.outputs:
        return []
    lines = ["outputs:"]
    for one in snapshot.outputs:
        value = f"(none: {one.problem})" if one.value is None else one.value
        first, *more = map(printable, value.rstrip("\n").split("\n"))
        lines += [f"  {one.name} = {first}".rstrip(), *(f"      {line}".rstrip() for line in more)]
    return lines


def outdated_lines(snapshot: Snapshot) -> list[str]:
    """A warning for each node with instances that lack addresses: they may not work until they are replaced."""
    lines = []
    following = snapshot.infrastructure.current.replaced_when_outdated
    for node, instances in snapshot.nodes.items():
        names = dict.fromkeys(name for one in instances for name in one.outdated)
        if names:
            hint = "" if node in following else "; a node with 'when_outdated: replace' is replaced by itself"
            lines.append(f"warning: node '{node}' is outdated: {snapshot.lack(node, names)}{hint}")
    return lines


def printable(text: str) -> str:
    """The text without control characters, which could change what a terminal shows."""
    return "".join(each if each.isprintable() else " " for each in text)
