"""Another description, or the destruction, is requested at every moment of the build of a requested description."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from occopus_core.engine.passes.errors import AbandonedError, BuildError
from occopus_core.events import EventKind
from occopus_core.manager.updating import refuse_update
from occopus_core.store.records import NoSuchInfrastructureError, WorkedOnError

from ..conftest import infrastructure, node

MOMENTS = ("after commit", "in a call", "after a call")
OLD = infrastructure("a", node("b", port=1), "c", edges=[("b", "a")])
NEW = infrastructure("a", node("b", port=2), node("d", min=2), edges=[("b", "a"), ("d", "b")])
OTHER = infrastructure(node("b", port=3), "c")
RUNS = {id(OLD): {"a": 1, "b": 1, "c": 1}, id(NEW): {"a": 1, "b": 1, "d": 2}, id(OTHER): {"b": 1, "c": 1}}


class Interruption:
    """Does something at the n-th moment of one kind, once; see `Life`."""

    def __init__(self, kind, moments, act):
        self._kind, self._left, self._act = kind, moments, act
        self.over = False

    def moment(self, kind):
        if kind == self._kind and not self.over:
            self._left -= 1
            if not self._left:
                self.over = True
                self._act()


@pytest.fixture
def world(world):
    # Few looks at what is under way: each of them is a moment.
    world.handler.poll_seconds = (1.0, 5.0)
    world.define("a", steps=2, boot_seconds=1, delete_seconds=1)
    world.define("b", boot_seconds=1, delete_seconds=1, image="port {{ variables.port }}")
    world.define("c", "d")
    return world


def ask(world, infra_id, candidate):
    def refuse(record):
        refuse_update(candidate, "", record)

    world.store.updates.request(infra_id, candidate, world.clock.now(), refuse)


def interrupted(world, moment, act):
    """Build what was requested, with `act` at the first, second, ... such moment; yields what it was done to."""
    for number in itertools.count(1):
        infra_id = f"infra{number}"
        world.build(OLD, infra_id=infra_id)
        ask(world, infra_id, NEW)
        life = Interruption(moment, number, lambda infra_id=infra_id: act(infra_id))
        world.during = lambda operation, life=life: life.moment("in a call")
        world.answered = lambda operation, life=life: life.moment("after a call")
        with contextlib.suppress(BuildError, AbandonedError, NoSuchInfrastructureError):
            world.convergence(infra_id, life=life).maintain()
        world.during = world.answered = lambda operation: None
        if not life.over:
            assert number > 3, "there was no such moment"
            return
        yield infra_id


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_destruction_that_is_requested_meanwhile(world, moment):
    for infra_id in interrupted(world, moment, world.store.request_destroy):
        with contextlib.suppress(NoSuchInfrastructureError):
            world.convergence(infra_id).maintain()
        world.assert_nothing(infra_id)


@pytest.mark.parametrize("moment", MOMENTS)
def test_another_description_that_is_requested_meanwhile(world, moment):
    refused = set()

    def act(infra_id):
        try:
            ask(world, infra_id, OTHER)
        except WorkedOnError:
            refused.add(infra_id)

    asked = []
    for infra_id in interrupted(world, moment, act):
        asked.append(infra_id)
        world.convergence(infra_id).maintain()
        wanted = NEW if infra_id in refused else OTHER
        world.assert_runs(RUNS[id(wanted)], infra_id)
        undone = [one for one in world.store.events(infra_id) if one.kind == EventKind.ROLLING_BACK.value]
        assert undone == [], "neither was undone"
    assert refused
    assert refused < set(asked)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_request_while_it_is_destroyed_is_refused(world, moment):
    for number in itertools.count(1):
        infra_id, said = f"infra{number}", []
        world.build(OLD, infra_id=infra_id)

        def act(infra_id=infra_id, said=said):
            try:
                ask(world, infra_id, NEW)
            except Exception as error:  # noqa: BLE001
                said.append(str(error))

        life = Interruption(moment, number, act)
        world.during = lambda operation, life=life: life.moment("in a call")
        world.answered = lambda operation, life=life: life.moment("after a call")
        world.destroy(infra_id=infra_id, life=life)
        world.during = world.answered = lambda operation: None
        world.assert_nothing(infra_id)
        if not life.over:
            assert number > 3, "there was no such moment"
            return
        assert len(said) == 1
        assert "is being destroyed" in said[0] or "no infrastructure has the id" in said[0]
