"""Connections whose credentials are renewed while they are in use."""

from __future__ import annotations

import json

import pytest

from occopus_core.api import AuthError, PermanentError
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import Implementation

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
    with pytest.raises(PermanentError) as caught:
        made.config({"type": "mine", "endpoint": "there"})
    assert str(caught.value) == "needs a user ***"
