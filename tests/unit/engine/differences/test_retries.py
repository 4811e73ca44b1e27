"""How often a ready node is configured again where that never works."""

import pytest

from occopus_core.api import ConfigState, ConfigStatus, PermanentError
from occopus_core.engine.passes.errors import UnconfiguredError
from occopus_core.events import EventKind

from ..conftest import infrastructure, node
from ..fakes import config_manager


def retried(world, seconds=200):
    """How often a ready node is reconfigured by passes of a while, one each 10 seconds."""
    convergence = world.convergence()
    for _ in range(seconds // 10):
        convergence.maintain()
        world.clock.time += 10
    return world.told(EventKind.NODE_RECONFIGURING)


def test_a_reconfiguration_that_is_refused_is_tried_ever_more_seldom(world):
    refused = []

    class Manager(config_manager()):
        def configure(self, node):
            super().configure(node)
            if refused:
                raise PermanentError("no such role")

    world.install("config", "fake", Manager)
    way = {"config": {"type": "fake", "endpoint": "{{ variables.at }}"}}
    world.define("app", implementations=[way])
    world.build(infrastructure(node("app", at="chef")))
    refused.append(True)
    with pytest.raises(UnconfiguredError, match="no such role"):
        world.build(infrastructure(node("app", at="salt")))
    world.events.clear()
    assert 2 <= len(retried(world)) <= 6


def test_a_node_that_its_manager_never_knows_is_registered_ever_more_seldom(world):
    lost = []

    class Manager(config_manager()):
        def register(self, node):
            super().register(node)
            if lost:
                raise PermanentError("the quota of nodes is used up")

        def _state(self, node):
            return ConfigStatus(ConfigState.UNKNOWN) if lost else ConfigStatus(ConfigState.READY)

    world.install("config", "fake", Manager)
    world.define("app", implementations=[{"config": {"type": "fake", "endpoint": "chef"}}])
    world.build(infrastructure("app"))
    lost.append(True)
    assert 2 <= len(retried(world)) <= 6
