"""The live view on a terminal: the instances in progress, the reason why each waits, and for how long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from occopus_core.cli.lines import ShortLines
from occopus_core.cli.output import redacted
from occopus_core.events import IN_TURN, Event, EventKind, Observer

MOST_ROWS = 15
"""The largest number of instances shown; the others are counted."""

_ENDED = frozenset(
    {
        EventKind.NODE_READY,
        EventKind.NODE_RECONFIGURED,
        EventKind.NODE_RECHECKED,
        EventKind.NODE_UNHEALTHY,
        EventKind.NODE_RECOVERED,
        EventKind.NODE_MOVED,
        EventKind.NODE_FAILED,
        EventKind.NODE_DROPPED,
        EventKind.NODE_UNCONFIRMED,
    }
)
_READY, _DROPPED = "ready", "dropped"
_COUNTED = {EventKind.NODE_READY: _READY, EventKind.NODE_DROPPED: _DROPPED}
_MARKS = {EventKind.NODE_READY: ("✓", "green"), EventKind.NODE_DROPPED: ("-", ""), EventKind.NODE_FAILED: ("✗", "red")}


@contextlib.contextmanager
def live_view() -> Iterator[Observer]:
    """An observer that shows its events on stderr; completed work stays there as a line.

    Nothing is drawn before the first event: until then a command may ask its user a question.
    """
    view = _View()
    console = Console(stderr=True)
    live = Live(
        get_renderable=view.render, console=console, refresh_per_second=5, transient=True, redirect_stdout=False
    )

    def observe(event: Event) -> None:
        live.start()  # without effect if already started
        view.handle(event, live)

    try:
        yield observe
    finally:
        live.stop()


@dataclass(slots=True)
class _Row:
    name: str
    doing: str
    since: float
    waiting: str = ""


class _View:
    """The instances in progress, each with the reason why it waits and the time."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._ended: dict[str, int] = {}
        """How many instances are ready, and how many are dropped; without what the command has not done yet."""
        self._lines = ShortLines()
        self._started = time.monotonic()

    def handle(self, event: Event, live: Live) -> None:
        """Handle an event; one that completes work stays on the terminal as a line."""
        text = redacted(event.text)
        if event.kind is EventKind.ROLLING_BACK:  # each deleted instance gets another line
            self._rows.clear()
            self._ended = {_DROPPED: 0}
        if event.kind is EventKind.NODE_WAITING:
            if event.node_id in self._rows:
                self._rows[event.node_id].waiting = text
            elif event.text.startswith(IN_TURN):
                self._rows[event.node_id] = _Row(event.node_name, "waiting", time.monotonic(), text)
            return
        if event.kind in _ENDED or not event.node_id:
            self._rows.pop(event.node_id, None)
            if event.kind in _COUNTED:
                self._ended[_COUNTED[event.kind]] = self._ended.get(_COUNTED[event.kind], 0) + 1
            shown = Text.assemble(_MARKS.get(event.kind, "·"), f" {redacted(self._lines.of(event))}")
            with contextlib.suppress(OSError):
                live.console.print(shown)
            return
        self._ended.setdefault(_DROPPED if event.kind is EventKind.NODE_DROPPING else _READY, 0)
        doing = event.kind.value.removeprefix("node ")
        self._rows[event.node_id] = _Row(event.node_name, doing, time.monotonic(), text)

    def render(self) -> RenderableType:
        """The current view."""
        rows = list(self._rows.items())
        table = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for node_id, row in rows[:MOST_ROWS]:
            table.add_row(row.name, node_id[:8], row.doing, f"{now - row.since:.0f} s", Text(row.waiting))
        more = f", {len(rows) - MOST_ROWS} more under way" if len(rows) > MOST_ROWS else ""
        ended = "".join(f"{self._ended[what]} {what}, " for what in (_READY, _DROPPED) if what in self._ended)
        return Group(
            *([table] if rows else []),
            Text(f"{ended}{len(rows)} under way{more}, {now - self._started:.0f} s"),
        )
