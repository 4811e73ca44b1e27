"""A build, an update and a destruction with a configuration manager, killed at one moment after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os

from occopus_core.api import Address
from occopus_core.engine.passes.errors import BusyError
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import NoSuchInfrastructureError

from ..unit.engine.conftest import infrastructure, node
from ..unit.engine.fakes import KilledError, Life

MOMENTS = ("before commit", "after commit", "in a call", "after a call", "in a job call", "after a job call")
_FEWEST = 3
NODES = int(os.environ.get("OCCOPUS_TEST_NODES", "2"))
"""Instances of each infrastructure: the more, the more moments there are."""


def on(server, handler):
    """A handler all of whose instances have the address of an SSH server."""

    def there(instance):
        return dataclasses.replace(instance, addresses=(Address(server.addresses[0]),))

    class Handler(handler):
        def create(self, request):
            return there(super().create(request))

        def describe(self, ids):
            return {id: there(one) for id, one in super().describe(ids).items()}

    return Handler


def mortal(lives, call):
    """A method with a moment before and after each call."""

    def called(*arguments):
        for life in lives:
            life.moment("in a job call")
        result = call(*arguments)
        for life in lives:
            life.moment("after a job call")
        return result

    return called


class Campaign:
    """Kills of passes over a `world` of the engine's tests.

    The world has `lives`, which the manager under test asks at its moments, and a file `log`, in which each job writes
    ``begun NODE VERSION``. `define` writes the node definition `web` of a version, 1 or 2; `nothing_is_left` checks an
    infrastructure that was destroyed and the ids of all nodes it has had. `struck` is called after each kill.
    """

    def __init__(self, world, define, nothing_is_left, struck=lambda: None):
        self._world = world
        self._define = define
        self._nothing_is_left = nothing_is_left
        self._struck = struck

    def run(self, moment, most):
        """At most so many kills, at every moment of this kind at the most."""
        kills = 0
        for number in itertools.count(1):
            infra_id, life = f"infra{number}", Life(moment, number)
            kills += self._live(infra_id, life)
            if not life.over:
                break
            known = self._carry_on(infra_id)
            self._finish(infra_id)
            self._world.assert_nothing(infra_id)
            assert self._world.store.configurations.of(infra_id) == []
            self._nothing_is_left(infra_id, known)
            if kills >= most:
                break
        assert kills >= min(most, _FEWEST), "it was never killed"
        print(f"{kills} kills {moment}")

    def _live(self, infra_id, life):
        """1 where it was killed."""
        world, described = self._world, infrastructure(node("web", min=NODES))
        world.lives[:] = [life]
        world.during = lambda operation: life.moment("in a call")
        world.answered = lambda operation: life.moment("after a call")
        try:
            self._define(1)
            world.build(described, infra_id=infra_id, life=life)
            self._define(2)
            world.build(described, infra_id=infra_id, life=life)
            world.destroy(infra_id=infra_id, life=life)
        except KilledError:
            self._struck()
            return 1
        else:
            return 0
        finally:
            world.lives.clear()
            world.during = world.answered = lambda operation: None
            world.clock.time += LEASE_SECONDS + 1
            world.clock._left = 5400.0

    def _carry_on(self, infra_id):
        """The ids of all nodes there were, once the update is done; a destruction that has begun goes on later."""
        world = self._world
        self._define(2)
        known = [record.node_id for record in world.store.instances(infra_id)]
        with contextlib.suppress(BusyError):
            world.build(infrastructure(node("web", min=NODES)), infra_id=infra_id)
            known += [record.node_id for record in world.store.instances(infra_id)]
            rows = [row for row in world.store.configurations.of(infra_id) if row.forget_since is None]
            assert [row.state.value for row in rows] == ["ready"] * NODES
            begun = world.log.read_text().splitlines()
            assert all(f"begun {row.node_id} 2" in begun for row in rows)
        return known

    def _finish(self, infra_id):
        with contextlib.suppress(NoSuchInfrastructureError):
            self._world.destroy(infra_id=infra_id)
