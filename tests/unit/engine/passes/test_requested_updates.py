"""Another description that was requested, while maintenance looks after the infrastructure."""

from __future__ import annotations

import dataclasses

import pytest

from occopus_core.descriptions.model import OutputTemplate
from occopus_core.engine.passes.errors import BusyError
from occopus_core.engine.passes.maintenance_loop import WAKE_SECONDS
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureState, NoSuchInfrastructureError, WorkedOnError

from ..conftest import infrastructure, node
from .test_maintenance_loop import Keeper

WEB = infrastructure(node("web", min=2, max=5))
MORE = infrastructure(node("web", min=2, max=5), "db")


def allowed(_record):
    return None


@pytest.fixture
def built(world):
    world.define("web", "db")
    world.build(WEB)
    world.clock.time += 60
    world.events.clear()
    return world


def ask(world, candidate, refuse=allowed, **how):
    return world.store.updates.request("infra", candidate, world.clock.now(), refuse, **how)


def kinds(world):
    return [one.kind for one in world.store.events("infra")]


def test_maintenance_of_any_process_builds_it_within_a_second(built):
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.after(52.5, lambda: ask(built, MORE))
    keeper.run(52.5 + WAKE_SECONDS + 5)
    built.assert_runs({"web": 2, "db": 1})
    assert built.store.infrastructure("infra").description == MORE
    assert kinds(built)[-1] == EventKind.INFRA_UPDATED.value
    assert EventKind.UPDATE_REQUESTED.value in kinds(built)


def test_it_is_built_by_the_next_pass_where_nothing_ran(built):
    assert ask(built, MORE)
    assert built.store.infrastructure("infra").state is InfrastructureState.UPDATING
    built.convergence().maintain()
    built.assert_runs({"web": 2, "db": 1})


def test_a_pass_that_waits_for_an_instance_makes_way(built):
    """An instance that boots for ever is what another description is to put right."""
    built.define("web", boot_seconds=100_000)
    built.cloud.change(built.live()[0]["id"], "fail", "gone")
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.after(30, lambda: ask(built, infrastructure("db")))
    keeper.run(60)
    built.assert_runs({"db": 1})


def test_one_that_fails_is_undone_and_the_one_before_is_in_force(built):
    built.define("db", fail="no such image", boot_seconds=1)
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.after(5, lambda: ask(built, MORE))
    keeper.run(60)
    built.assert_runs({"web": 2})
    assert built.store.infrastructure("infra").description == WEB
    assert any("no such image" in text for _, text in keeper.said)


def test_the_same_is_requested_once(built):
    assert ask(built, MORE)
    revision = built.store.infrastructure("infra").revision
    assert not ask(built, MORE)
    assert built.store.infrastructure("infra").revision == revision
    assert kinds(built).count(EventKind.UPDATE_REQUESTED.value) == 1


def test_services_look_after_it_where_they_are_to(built):
    ask(built, MORE)
    assert built.store.service.maintained() == []
    ask(built, MORE, maintained=True)
    assert built.store.service.maintained() == ["infra"]
    ask(built, WEB)
    assert built.store.service.maintained() == ["infra"]


def test_another_one_replaces_one_that_no_build_has_taken_up(built):
    ask(built, infrastructure("db"))
    ask(built, MORE)
    built.convergence().maintain()
    built.assert_runs({"web": 2, "db": 1})


def test_another_one_is_refused_while_a_build_is_under_way(built):
    refused = []

    def during(operation):
        if operation == "create" and not refused:
            assert not ask(built, MORE)
            with pytest.raises(WorkedOnError, match="test is building another description of the infrastructure"):
                ask(built, infrastructure("db"))
            refused.append(operation)

    built.during = during
    built.build(MORE)
    assert refused
    built.assert_runs({"web": 2, "db": 1})


def test_a_build_that_began_before_does_not_override_it(built):
    """It has the lease and has not recorded yet what it works towards."""
    asked = []

    def during(operation):
        if operation == "describe" and not asked:
            asked.append(ask(built, MORE))

    built.during = during
    with pytest.raises(BusyError, match="another description of the infrastructure 'infra' has just been requested"):
        built.build(infrastructure("db"))
    assert asked == [True]
    built.convergence().maintain()
    built.assert_runs({"web": 2, "db": 1})


def test_a_parked_infrastructure_is_built_again(built):
    lease = built.store.acquire("infra", "test", built.clock.now())
    with built.store.changing(lease) as change:
        change.put_frozen("parked: cut off")
    built.store.release(lease)
    ask(built, MORE)
    built.convergence().maintain()
    built.assert_runs({"web": 2, "db": 1})


def test_what_is_refused_changes_nothing(built):
    def refuse(record):
        raise LookupError(record.id)

    with pytest.raises(LookupError):
        ask(built, MORE, refuse)
    with pytest.raises(NoSuchInfrastructureError):
        built.store.updates.request("nobody", MORE, 0.0, allowed)
    assert built.store.infrastructure("infra").candidate is None
    assert EventKind.UPDATE_REQUESTED.value not in kinds(built)


def test_outputs_that_cannot_be_rendered_are_refused_with_the_request(built):
    bad = dataclasses.replace(MORE, outputs=(OutputTemplate("out", "{{ cmd('id') }}"),))
    with pytest.raises(InvalidDesignError, match=r"outputs\.out: cmd"):
        built.convergence().check(bad)
