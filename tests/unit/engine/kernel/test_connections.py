"""Connections whose credentials are renewed while they are in use."""

from __future__ import annotations

import json
import threading

import pytest

from occopus_core.api import AuthError, PermanentError
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import Implementation
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.plugin_thread import PluginThread

from ..conftest import infrastructure
from ..fakes import config_manager

HERE = Implementation({"type": "memory", "endpoint": "here"})
THERE = Implementation({"type": "memory", "endpoint": "there"})


@pytest.fixture
def write(tmp_path):
    """Writes a password for each endpoint, as another file in the place of the former."""

    def write(**passwords):
        entries = [{"type": "memory", "endpoint": key, "auth_data": {"p": value}} for key, value in passwords.items()]
        (tmp_path / "new").write_text(json.dumps({"resource": entries}))
        return (tmp_path / "new").replace(tmp_path / "auth.yaml")

    return write


@pytest.fixture
def connections(world, write):
    world.credentials = Credentials.load(str(write(here="of-here-1", there="of-there-1")), {})
    return world.resources().connections


def connect(connections, implementation):
    return connections.resource(implementation, json.dumps({"endpoint": implementation.resource["endpoint"]}))


def test_a_connection_goes_on_with_what_is_in_the_file_by_now(connections, write):
    here, there = connect(connections, HERE), connect(connections, THERE)
    before = there.plugin
    write(here="of-here-2", there="of-there-1")
    assert here.plugin.connection.auth == {"p": "of-here-1"}, "until it is looked for"
    connections.renew()
    assert here.plugin.connection.auth == {"p": "of-here-2"}
    assert there.plugin is before, "nothing is new there"
    assert (connect(connections, HERE), connect(connections, THERE)) == (here, there), "they are not made anew"
    assert connections.redact("of-here-1 of-here-2") == "*** ***"


def call(link, act):
    """How a call over a connection ends."""
    done = []
    link.limits.submit(act, done.append)
    link.limits._loop.run_until(lambda: bool(done))
    return done[0]


def refuse():
    raise AuthError("expired")


def test_what_was_refused_is_called_again_at_once(connections, write):
    link = connect(connections, HERE)
    assert str(call(link, refuse).error) == "expired"
    assert str(call(link, lambda: "called").error) == "expired", "nobody is called for a while"
    write(here="of-here-2")
    connections.renew()
    assert call(link, lambda: "called").value == "called"


def test_a_call_of_the_former_credentials_that_is_refused_late_closes_nothing(connections, write):
    link = connect(connections, HERE)

    def late():
        write(here="of-here-2")
        connections.renew()
        refuse()

    assert str(call(link, late).error) == "expired"
    assert call(link, lambda: "called").value == "called"


def test_a_plugin_that_does_not_take_them_leaves_the_connections_as_they_are(connections, write):
    here, there = connect(connections, HERE), connect(connections, THERE)

    def picky(_connection):
        raise ValueError("that is no password")

    here._make = picky
    write(here="of-here-2", there="of-there-2")
    connections.renew()
    assert here.plugin.connection.auth == {"p": "of-here-1"}
    assert there.plugin.connection.auth == {"p": "of-there-2"}


def test_entries_that_contradict_each_other_leave_a_connection_as_it_is(connections, tmp_path, write):
    link = connect(connections, HERE)
    write(here="of-here-2")
    entry = {"type": "memory", "auth_data": {"p": "of-all"}}
    entries = json.loads((tmp_path / "auth.yaml").read_text())["resource"]
    (tmp_path / "auth.yaml").write_text(json.dumps({"resource": [*entries, entry]}))
    connections.renew()
    assert link.plugin.connection.auth == {"p": "of-here-1"}


def test_the_text_of_an_error_of_a_managers_constructor_is_kept_without_the_secret(world, connections):
    class Refusing(config_manager()):
        def __init__(self, connection):
            raise AuthError("needs a user\nof-here-1")

    world.install("config", "mine", Refusing)
    made = world.resources().connections
    with pytest.raises(AuthError) as caught:
        made.config({"type": "mine", "endpoint": "there"}).call("check", lambda manager, _: manager.check(None))
    assert str(caught.value) == "needs a user ***"


class Gate:
    """Constructors wait in it until it is opened; nobody waits for them."""

    def __init__(self, monkeypatch):
        self.reached, self.opened = threading.Event(), threading.Event()
        monkeypatch.setattr(PluginThread, "join", lambda thread, _seconds: self._join(thread))

    def _join(self, thread):
        while thread.is_alive() and not (self.reached.is_set() and not self.opened.is_set()):
            threading.Thread.join(thread, 0.001)


def test_a_constructor_that_hangs_holds_up_its_own_connection_alone(world, connections, monkeypatch):
    gate = Gate(monkeypatch)

    class Slow(world.handler):
        def __init__(self, connection):
            super().__init__(connection)
            gate.reached.set()
            gate.opened.wait()

    world.install("resource", "slow", Slow)
    made = world.resources().connections
    link = made.resource(Implementation({"type": "slow", "endpoint": "here"}), '{"endpoint": "here"}')
    assert link.plugin.poll_seconds == Slow.poll_seconds
    said = r"^the resource handler 'slow here' breaks its contract: its constructor has not returned for 30 s \(tests/"
    with pytest.raises(PermanentError, match=said):
        link.plugin.describe([])
    assert connect(made, THERE).plugin.describe([]) == {}
    gate.opened.set()
    assert link.plugin.describe([]) == {}


def test_a_check_that_hangs_refuses_the_build(world, monkeypatch):
    gate = Gate(monkeypatch)

    class Slow(world.handler):
        def check(self, request):
            gate.reached.set()
            gate.opened.wait()

    world.install("resource", "memory", Slow)
    world.define("web")
    said = r"'memory memory' breaks its contract: check\(\) has not returned for 30 s \(tests/"
    with pytest.raises(InvalidDesignError, match=said):
        world.build(infrastructure("web"))
    gate.opened.set()
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})


def test_a_manager_whose_constructor_hangs_is_named(world, monkeypatch):
    gate = Gate(monkeypatch)

    class Slow(config_manager()):
        def __init__(self, connection):
            super().__init__(connection)
            gate.reached.set()
            gate.opened.wait()

    world.install("config", "slow", Slow)
    link = world.resources().connections.config({"type": "slow", "endpoint": "here"})
    with pytest.raises(PermanentError, match="'slow here' breaks its contract: its constructor has not returned"):
        link.call("check", lambda manager, _: manager.check(None))
    gate.opened.set()
    link.call("check", lambda manager, _: manager.check(None))


class OfObject:
    """An attribute that is right for the class and another one for its objects."""

    def __init__(self, get):
        self._get = get

    def __get__(self, plugin, owner):
        return (0.2, 5.0) if plugin is None else self._get()


def raises():
    raise KeyError("s3cret")


@pytest.mark.parametrize(
    ("get", "said"),
    [
        (raises, r"reading its poll_seconds raised KeyError \(tests/"),
        (lambda: (9, 1), r"its poll_seconds is \(9, 1\), expected the shortest and the longest"),
        (lambda: None, r"its poll_seconds is None, expected"),
    ],
)
@pytest.mark.parametrize("kind", ["resource", "config"])
def test_an_attribute_of_an_object_that_raises_or_is_wrong_is_named(world, kind, get, said):
    base = world.handler if kind == "resource" else config_manager()
    world.install(kind, "odd", type("Odd", (base,), {"poll_seconds": OfObject(get)}))
    made = world.resources().connections
    if kind == "resource":
        link = made.resource(Implementation({"type": "odd", "endpoint": "here"}), '{"endpoint": "here"}')
    else:
        link = made.config({"type": "odd", "endpoint": "here"})
    assert link.plugin.poll_seconds == (0.2, 5.0)
    with pytest.raises(PermanentError, match=f"'odd here' breaks its contract: {said}") as caught:
        link.plugin.check(None)
    assert "s3cret" not in str(caught.value)
