"""The view of a terminal."""

import io

import pytest
from rich.console import Console
from rich.live import Live

from occopus_core.cli.live import MOST_ROWS, _View, live_view
from occopus_core.events import Event, EventKind


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch):
    """No second passes between two lines of a test."""
    monkeypatch.setattr("occopus_core.cli.live.time.monotonic", lambda: 1000.0)


def shown(view: _View) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(view.render())
    return console.file.getvalue()


def test_what_is_under_way_and_what_has_ended():
    view = _View()
    console = Console(file=io.StringIO(), width=120)
    live = Live(console=console)
    view.handle(Event(EventKind.NODE_CREATING, "i", "db", "0123456789", "sim"), live)
    view.handle(Event(EventKind.NODE_WAITING, "i", "db", "0123456789", "[no markup] pending"), live)
    view.handle(Event(EventKind.NODE_WAITING, "i", "web", "unknown", "not under way"), live)
    now = shown(view)
    assert "db  01234567  creating  0 s  [no markup] pending" in now
    assert "0 ready, 1 under way, 0 s" in now
    view.handle(Event(EventKind.NODE_READY, "i", "db", "0123456789", "127.0.0.9"), live)
    assert "1 ready, 0 under way" in shown(view)
    view.handle(Event(EventKind.NODE_UNCONFIRMED, "i", "db", "0123456789", "which is said at the end"), live)
    assert console.file.getvalue() == "✓ node ready db 01234567: 127.0.0.9\n· node unconfirmed db 01234567\n"


def test_an_instance_that_waits_for_its_turn_and_the_end_of_a_reconfiguration():
    view = _View()
    console = Console(file=io.StringIO(), width=120)
    live = Live(console=console)
    view.handle(Event(EventKind.NODE_RECONFIGURING, "i", "db", "aaaaaaaa", "ssh"), live)
    view.handle(Event(EventKind.NODE_WAITING, "i", "db", "bbbbbbbb", "for its turn: 1 at a time"), live)
    now = shown(view)
    assert "db  aaaaaaaa  reconfiguring  0 s  ssh" in now
    assert "db  bbbbbbbb  waiting        0 s  for its turn: 1 at a time" in now
    view.handle(Event(EventKind.NODE_RECONFIGURED, "i", "db", "aaaaaaaa", "ssh"), live)
    view.handle(Event(EventKind.NODE_RECONFIGURING, "i", "db", "bbbbbbbb", "ssh"), live)
    view.handle(Event(EventKind.NODE_UNHEALTHY, "i", "db", "bbbbbbbb", "not reconfigured: no disk"), live)
    assert "0 ready, 0 under way" in shown(view)
    assert console.file.getvalue().splitlines() == [
        "· node reconfigured db aaaaaaaa: ssh",
        "· node unhealthy db bbbbbbbb: not reconfigured: no disk",
    ]


def test_a_destruction_counts_what_is_dropped_and_healing_both():
    view = _View()
    live = Live(console=Console(file=io.StringIO(), width=120))
    view.handle(Event(EventKind.NODE_DROPPING, "i", "db", "aaaaaaaa"), live)
    assert "0 dropped, 1 under way" in shown(view)
    assert "ready" not in shown(view)
    view.handle(Event(EventKind.NODE_DROPPED, "i", "db", "aaaaaaaa"), live)
    assert "1 dropped, 0 under way" in shown(view)
    view.handle(Event(EventKind.NODE_CREATING, "i", "db", "bbbbbbbb", "sim"), live)
    view.handle(Event(EventKind.NODE_READY, "i", "db", "bbbbbbbb", "127.0.0.9"), live)
    assert "1 ready, 1 dropped, 0 under way" in shown(view)


def test_a_kept_instance_is_shown_until_it_passes_its_new_health_checks():
    view = _View()
    console = Console(file=io.StringIO(), width=120)
    live = Live(console=console)
    view.handle(Event(EventKind.NODE_RECHECKING, "i", "db", "aaaaaaaa", "ports"), live)
    view.handle(Event(EventKind.NODE_WAITING, "i", "db", "aaaaaaaa", "port 80 refused"), live)
    assert "db  aaaaaaaa  rechecking  0 s  port 80 refused" in shown(view)
    view.handle(Event(EventKind.NODE_RECHECKED, "i", "db", "aaaaaaaa"), live)
    assert "0 ready, 0 under way" in shown(view)
    assert console.file.getvalue().splitlines() == ["· node rechecked db aaaaaaaa"]


def test_it_follows_a_rollback():
    view = _View()
    live = Live(console=Console(file=io.StringIO(), width=120))
    for kind, name in (("READY", "a"), ("CREATING", "b"), ("CONFIGURING", "b"), ("CREATING", "c")):
        view.handle(Event(EventKind[f"NODE_{kind}"], "i", name, name * 8), live)
    assert "1 ready, 2 under way" in shown(view)
    view.handle(Event(EventKind.ROLLING_BACK, "i", text="interrupted"), live)
    assert "0 dropped, 0 under way" in shown(view)
    for name in "ab":
        view.handle(Event(EventKind.NODE_DROPPING, "i", name, name * 8), live)
    view.handle(Event(EventKind.NODE_WAITING, "i", "c", "c" * 8, "pending"), live)
    view.handle(Event(EventKind.NODE_DROPPED, "i", "a", "a" * 8), live)
    now = shown(view)
    assert "b  bbbbbbbb  dropping  0 s" in now
    assert "1 dropped, 1 under way" in now
    assert "configuring" not in now


def test_many_instances_are_counted():
    view = _View()
    live = Live(console=Console(file=io.StringIO()))
    for number in range(MOST_ROWS + 7):
        view.handle(Event(EventKind.NODE_BOOTING, "i", "web", f"{number:08}"), live)
    now = shown(view)
    assert now.count("booting") == MOST_ROWS
    assert "22 under way, 7 more under way" in now


def test_nothing_is_drawn_before_the_first_event(capfd, monkeypatch):
    """A question that is asked until then, and its answer, stay on the terminal."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    with live_view() as observe:
        assert capfd.readouterr().err == ""
        observe(Event(EventKind.NODE_DROPPING, "i", "db", "0123456789"))
        observe(Event(EventKind.NODE_DROPPED, "i", "db", "0123456789"))
    assert "- node dropped db 01234567" in capfd.readouterr().err
