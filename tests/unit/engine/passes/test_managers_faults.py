"""Faults of configuration managers, and of what is recorded of them, at the edges of the life of an infrastructure."""

import logging

import pytest

from occopus_core.api import Registered
from occopus_core.engine.instance.manager_cleanup import registered_node
from occopus_core.engine.passes.abandoned import find_registered, forget_abandoned, forget_registered
from occopus_core.engine.passes.errors import AbandonedError, BuildError, InterruptedBuildError
from occopus_core.events import EventKind
from occopus_core.registry import Registry
from occopus_core.store.configurations import ManagerRecord

from ..configured import Managers
from ..conftest import infrastructure, interrupter


@pytest.fixture
def managers(world):
    return Managers(world)


def operations(managers):
    return [step for step, _ in managers.at().operations("status")]


# In service


@pytest.mark.parametrize("fault", ["lost", "failed"])
def test_a_node_that_was_in_service_leaves_it_also_while_it_is_reconfigured(world, managers, fault):
    """A manager that no longer vouches for a node may still send traffic to it."""
    managers.define("app")
    world.build(infrastructure("app"))
    (managed,) = managers.at().service.nodes.values()
    if fault == "lost":
        managers.at().service.nodes.clear()
    else:
        managed.fail = "disk full"
    convergence = world.convergence()

    def interrupt(operation):
        if operation == "configure":
            convergence.interrupt("SIGINT")

    managers.at().during = interrupt
    with pytest.raises(AbandonedError):
        convergence.maintain()
    managers.at().during = lambda _operation: None
    (record,) = world.store.configurations.of("infra")
    assert record.served
    assert not record.applied
    world.destroy()
    assert "leave" in operations(managers)
    world.assert_nothing()


@pytest.mark.parametrize(
    ("event", "last"),
    [
        (EventKind.NODE_CREATING, ["register", "forget", "forget_infrastructure"]),
        (EventKind.NODE_CONFIGURING, ["register", "cancel", "leave", "forget", "forget_infrastructure"]),
    ],
)
def test_a_node_that_may_have_been_configured_leaves(world, managers, event, last):
    """What a job that was cancelled has put on the node is removed by `leave`, the last call with an address."""
    managers.define("app", seconds=10**6)
    with pytest.raises(InterruptedBuildError):
        interrupter(world, 1, (event,)).build(infrastructure("app"))
    assert [operation for operation in operations(managers) if operation in {*last, "leave"}] == last
    world.assert_nothing()
    managers.assert_nothing()


# What a plugin declares, and raises


def test_a_destruction_does_not_end_with_what_a_plugin_declares_wrongly(world, managers):
    managers.define("app")
    world.build(infrastructure("app"))
    managers.plugin.leave_seconds = "60"
    world.registry = Registry(world._plugins)  # as in the next process
    world.destroy()
    world.assert_nothing()
    (event,) = [event for event in world.events if event.kind.value == "not forgotten"]
    assert "breaks its contract: its class attribute leave_seconds is '60'" in event.text


def test_an_unexpected_exception_is_logged_with_its_traceback_at_debug_and_without_secrets(world, managers, caplog):
    def register(self, node):
        raise KeyError("a secret of mine: swordfish-and-chips")

    managers.plugin.register = register
    managers.define("app")
    convergence = world.convergence()
    connections = convergence.context.resources.connections
    connections.redact._secrets = {"swordfish-and-chips"}
    with caplog.at_level(logging.DEBUG, logger="occopus.plugins"), pytest.raises(BuildError) as raised:
        convergence.build(infrastructure("app"))
    assert "secret of mine" not in str(raised.value)
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "Traceback" in record.getMessage()
    assert "in register" in record.getMessage()
    assert "a secret of mine: ***" in record.getMessage()
    assert "swordfish" not in record.getMessage()


def test_the_same_for_a_handler(world, caplog):
    world.define("app")

    def describe(operation):
        if operation == "create":
            raise KeyError("oh")

    world.during = describe
    with caplog.at_level(logging.DEBUG, logger="occopus.plugins"), pytest.raises(BuildError):
        world.build(infrastructure("app"))
    assert "KeyError: 'oh'" in caplog.records[0].getMessage()


def test_what_a_contract_allows_is_not_logged(world, managers, caplog):
    managers.define("app")
    managers.at().set_faults([{"kind": "permanent", "operation": "register"}])
    with caplog.at_level(logging.DEBUG, logger="occopus.plugins"), pytest.raises(BuildError):
        world.build(infrastructure("app"))
    assert caplog.records == []


# Infrastructures that are gone


def revived(world, managers):
    """A node that a late call of `register` has brought back after its infrastructure was forgotten."""
    managers.define("app")
    world.build(infrastructure("app"))
    (record,) = world.store.configurations.of("infra")
    world.destroy()
    managers.assert_nothing()
    link = world.convergence().context.resources.connections.config(record.section)
    link.plugin.register(registered_node(record, world.store.installation))


def sweep(world):
    resources = world.resources()

    def steps():
        listed = yield from find_registered(resources)
        return (yield from forget_registered(resources, listed))

    return resources.loop.run(steps())


def test_a_sweep_has_the_infrastructure_of_a_stray_node_forgotten(world, managers):
    revived(world, managers)
    assert managers.at().service.infrastructures == {"infra"}
    assert sweep(world) == []
    managers.assert_nothing()


def test_a_sweep_leaves_infrastructures_alone_that_exist(world, managers):
    managers.define("app")
    world.build(infrastructure("app"))
    (record,) = world.store.configurations.of("infra")
    stray = Registered("infra", "app", "00000000-0000-4000-8000-000000000000")
    managers.plugin.list_registered = lambda self, installation: [stray]
    assert sweep(world) == []
    assert "forget_infrastructure" not in operations(managers)
    assert list(managers.at().service.nodes) == [record.node_id]


def test_what_an_infrastructure_of_the_same_id_uses_stays_recorded(world, managers):
    """It is built while its predecessor is being forgotten: its manager is asked to forget it again at its end."""
    managers.define("app")
    world.build(infrastructure("app"))
    managers.at().set_faults([{"kind": "error_500", "operation": "forget_infrastructure"}])
    world.destroy()
    managers.at().set_faults([])
    assert [record.infra_id for record in world.store.configurations.abandoned_managers()] == ["infra"]

    def build_again(operation):
        if operation == "forget_infrastructure":
            managers.at().during = lambda _operation: None
            world.build(infrastructure("app"))

    managers.at().during = build_again
    resources = world.resources()
    resources.loop.run(forget_abandoned(resources))
    assert [record.infra_id for record in world.store.configurations.managers("infra")] == ["infra"]
    world.destroy()
    world.assert_nothing()
    managers.assert_nothing()


def test_a_manager_that_forgot_is_still_known_to_sweeps(world, managers):
    managers.define("app")
    world.build(infrastructure("app"))
    world.destroy()
    assert [type(record) for record in world.store.configurations.all_managers()] == [ManagerRecord]
