"""The graph of an infrastructure with the states of its nodes, for Mermaid and for Graphviz."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from occopus_core.report import Snapshot, state_of
from occopus_core.store.records import InstanceRecord

MOST_INSTANCES = 20
"""A node with more instances than this is shown with the number of instances in each state."""

# White text is legible on these colours, and these colours are on white and black pages.
TEXT = "#ffffff"
COLOURS = {
    "ready": "#1a7f37",
    "shutdown": "#656d76",
    "pending": "#0969da",
    "unknown": "#8250df",
    "temp_failed": "#bc4c00",
    "failed": "#cf222e",
    "absent": "#9a6700",
}
"""By state, better ones first; "absent" is the state of a node without instances."""
NEUTRAL = "#767676"
_PANEL = "#24292f"
_FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class _Item:
    lines: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class _Box:
    """A node, or the legend. Its key is a safe identifier in both languages, whatever the node's name."""

    key: str
    title: str
    """One line: Mermaid has no room for two."""
    colour: str
    items: Sequence[_Item]


_LEGEND = _Box("legend", "states", NEUTRAL, [_Item((state,), state) for state in COLOURS])


def mermaid(snapshot: Snapshot) -> str:
    """A flowchart; an arrow leads from a node to its dependee."""
    boxes = _boxes(snapshot)
    lines = ["---", f"title: {json.dumps(snapshot.infrastructure.current.name)}", "---", "flowchart LR"]
    for box in (*boxes.values(), _LEGEND):
        lines += _mermaid_box(box)
    lines += [f"    {boxes[dependent].key} --> {boxes[dependee].key}" for dependent, dependee in snapshot.edges]
    lines += [f"    classDef {state} fill:{colour},stroke:{TEXT},color:{TEXT}" for state, colour in COLOURS.items()]
    return "\n".join(lines)


def dot(snapshot: Snapshot) -> str:
    """A digraph; an arrow leads from a node to its dependee."""
    boxes = _boxes(snapshot)
    name = _dot_text([snapshot.infrastructure.current.name])
    lines = [
        f"digraph {name} {{",
        "    rankdir=LR; compound=true; bgcolor=transparent",
        f'    graph [label={name}, labelloc=t, fontname="{_FONT}", fontsize=20, fontcolor="{NEUTRAL}"]',
        f'    node [shape=box, style="filled,rounded", color="{TEXT}", fontname="{_FONT}", fontcolor="{TEXT}"]',
        f'    edge [color="{NEUTRAL}", penwidth=1.5]',
    ]
    for box in (*boxes.values(), _LEGEND):
        lines += _dot_box(box)
    for dependent, dependee in snapshot.edges:
        tail, head = boxes[dependent].key, boxes[dependee].key
        lines.append(f"    {tail}_0 -> {head}_0 [ltail=cluster_{tail}, lhead=cluster_{head}]")
    return "\n".join([*lines, "}"])


def _boxes(snapshot: Snapshot) -> dict[str, _Box]:
    return {
        name: _box(f"n{number}", name, instances, snapshot.target(name))
        for number, (name, instances) in enumerate(snapshot.nodes.items())
    }


def _box(key: str, name: str, instances: Sequence[InstanceRecord], target: int) -> _Box:
    counts = Counter(map(state_of, instances))
    states = [state for state in COLOURS if counts[state]] or ["absent"]
    items = list(_items(name, instances, counts, states))
    return _Box(key, f"{name} {len(instances)}/{target}, {states[-1]}", COLOURS[states[-1]], items)


def _items(
    name: str, instances: Sequence[InstanceRecord], counts: Counter[str], states: Sequence[str]
) -> Iterator[_Item]:
    if not instances:
        yield _Item(("no instance",), "absent")
    elif len(instances) > MOST_INSTANCES:
        yield from (_Item((f"{counts[state]} {state}",), state) for state in states)
    else:
        for instance in instances:
            state = state_of(instance)
            lines = (f"{name}-{instance.position}", instance.address, state)
            yield _Item(tuple(filter(None, lines)), state)


def _mermaid_box(box: _Box) -> list[str]:
    items = [
        f"        {box.key}_{number}[{_mermaid_text(item.lines)}]:::{item.state}"
        for number, item in enumerate(box.items)
    ]
    return [
        f"    subgraph {box.key}[{_mermaid_text([box.title])}]",
        "        direction LR",
        *items,
        "    end",
        f"    style {box.key} fill:{_PANEL},stroke:{box.colour},stroke-width:3px,color:{TEXT}",
    ]


def _mermaid_text(lines: Sequence[str]) -> str:
    """Quoted text; possible markup, quotes and Markdown are written as character numbers."""
    safe = (re.sub(r"[^\w ,.:/-]", lambda found: f"#{ord(found[0])};", _printable(line)) for line in lines)
    return '"' + "<br/>".join(safe) + '"'


def _dot_box(box: _Box) -> list[str]:
    items = [
        f'        {box.key}_{number} [label={_dot_text(item.lines)}, fillcolor="{COLOURS[item.state]}"]'
        for number, item in enumerate(box.items)
    ]
    return [
        f"    subgraph cluster_{box.key} {{",
        f'        graph [label={_dot_text([box.title])}, fontsize=14, fontcolor="{TEXT}"]',
        f'        style="filled,rounded"; fillcolor="{_PANEL}"; color="{box.colour}"; penwidth=3',
        *items,
        "    }",
    ]


def _dot_text(lines: Sequence[str]) -> str:
    """Quoted text; Graphviz interprets escapes and HTML entities in a label."""
    safe = (_printable(line).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines)
    return '"' + "\\n".join(safe) + '"'


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
