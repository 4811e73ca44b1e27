"""Several clouds are asked at once, and one that keeps silent."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from occopus_core.api.errors import TransientError
from occopus_core.api.resource import Instance, InstanceState
from occopus_core.engine.instance.observe import PATIENCE, STILL_SECONDS, Observatory, ask_each, describe
from occopus_core.engine.kernel.loop import Loop
from occopus_core.testing.time import InlineExecutor, VirtualClock

MINUTES = 180.0


class Handler:
    poll_seconds = (1.0, 5.0)
    consistency_window = 0.0

    def __init__(self):
        self.calls = 0
        self.away = False

    def describe(self, ids):
        self.calls += 1
        if self.away:
            raise TransientError("it is away")
        return {id: Instance(id, InstanceState.READY) for id in ids}


@dataclass(eq=False)
class OpenConnection:
    plugin: Handler
    limits: Any


@pytest.fixture
def loop():
    return Loop(VirtualClock(), InlineExecutor())


def work(name, submit):
    limits = SimpleNamespace(submit=lambda call, done, _what: submit(call, done), moved=lambda: 0.0)
    link = OpenConnection(Handler(), limits)
    record = SimpleNamespace(instance_id=f"i-{name}", created_at=0.0)
    implementation = SimpleNamespace(label=f"cloud {name}")
    return SimpleNamespace(link=link, record=record, node_id=name, implementation=implementation)


def late(loop):
    """Calls that take minutes."""
    return lambda call, done: loop.after(MINUTES, lambda: loop.submit(call, done))


def observe(loop, *works):
    began = loop.clock.monotonic()
    seen = loop.run(Observatory(loop).observe(works, lambda: None)).seen
    return seen, loop.clock.monotonic() - began


def test_one_that_keeps_silent_does_not_hold_up_the_others(loop):
    silent = work("silent", late(loop))
    silent.link.plugin.away = True
    seen, lasted = observe(loop, silent, work("well", loop.submit))
    assert seen["well"].get().state is InstanceState.READY
    assert isinstance(seen["silent"].error, TransientError)
    assert str(seen["silent"].error) == "describe() of cloud silent has not returned for 30 s"
    assert lasted == PATIENCE
    over = []
    loop.after(10 * MINUTES, lambda: over.append(True))
    loop.run_until(lambda: bool(over))
    assert silent.link.plugin.calls == 1, "nobody asks again for those who went on without it"


def test_where_there_is_no_other_it_is_waited_for(loop):
    seen, lasted = observe(loop, work("slow", late(loop)))
    assert seen["slow"].get().state is InstanceState.READY
    assert lasted == MINUTES


class Unreadable(Instance):
    """An instance that cannot be read any more once it has been made."""

    is_made = False

    @property
    def raw_state(self):
        if self.is_made:
            raise RuntimeError
        return ""

    @raw_state.setter
    def raw_state(self, _text):
        pass


def test_an_instance_that_cannot_be_read_is_the_error_of_this_instance_alone(monkeypatch):
    def answer(ids):
        return {id: (Unreadable if id == "i-bad" else Instance)(id, InstanceState.READY) for id in ids}

    answered = answer(["i-bad", "i-well"])
    monkeypatch.setattr(Unreadable, "is_made", True)
    found = describe(SimpleNamespace(describe=lambda _ids: answered), ["i-bad", "i-well"])
    assert found["i-well"].get().state is InstanceState.READY
    assert "an Instance for 'i-bad' that cannot be read" in str(found["i-bad"].error)


def lost(loop):
    """A call that begins and does not return, on a connection on which others return all the time."""

    def submit(call, _done):
        call()

    def give_up():
        raise AssertionError(f"it is waited for after {10 * STILL_SECONDS:g} s")

    loop.after(10 * STILL_SECONDS, give_up)
    one = work("lost", submit)
    one.link.limits.moved = loop.clock.monotonic
    one.link.silence = lambda label: f"{label} is silent"
    return one


def test_a_call_that_is_lost_ends_although_others_return_on_its_connection(loop):
    seen, lasted = observe(loop, lost(loop))
    assert str(seen["lost"].error) == "cloud lost is silent"
    assert lasted == STILL_SECONDS


def test_a_search_that_is_lost_ends_although_others_return_on_its_connection(loop):
    link, began = lost(loop).link, loop.clock.monotonic()
    (answer,) = loop.run(ask_each(loop, lambda: None, [link], "list_owned", lambda _link: None))
    assert str(answer.error) == "it is silent"
    assert loop.clock.monotonic() - began == STILL_SECONDS
