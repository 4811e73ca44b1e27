"""Another description that was requested, while maintenance looks after the infrastructure."""

from __future__ import annotations

import contextlib
import dataclasses
import functools

import pytest

from occopus_core.api.errors import TransientError
from occopus_core.descriptions.model import OutputTemplate
from occopus_core.engine.passes import building
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BuildError, BusyError, Passed
from occopus_core.engine.passes.life_time import first_life_time, requested_life_time
from occopus_core.engine.passes.maintenance_loop import WAKE_SECONDS
from occopus_core.engine.planning.design import InvalidDesignError, refuse_undefined
from occopus_core.events import EventKind
from occopus_core.store import tables
from occopus_core.store.records import InfrastructureState, NoSuchInfrastructureError, Stage, WorkedOnError

from ..conftest import infrastructure, node, userdata
from ..fakes import KilledError, Life
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


def test_a_pass_that_waits_for_an_instance_makes_way_for_a_build_of_another_process(built):
    built.define("web", boot_seconds=100_000)
    built.cloud.change(built.live()[0]["id"], "fail", "gone")
    keeper = Keeper(built)
    context = PassContext(dataclasses.replace(keeper.resources, holder="second"), "infra")
    ended = []
    steps = context.attended(building.build(context, infrastructure("db")))
    keeper.after(30, lambda: keeper.resources.loop.begin(steps, ended.append))
    keeper.rounds.attach("infra")
    keeper.run(60)
    assert [outcome.error for outcome in ended] == [None]
    assert built.store.infrastructure("infra").awaited_until is None
    built.assert_runs({"db": 1})


def test_a_pass_that_carries_on_an_update_makes_way_for_a_build_of_another_process(built):
    built.define("db", boot_seconds=100_000)
    ask(built, MORE)
    keeper = Keeper(built)
    context = PassContext(dataclasses.replace(keeper.resources, holder="second"), "infra")
    ended = []
    steps = context.attended(building.build(context, WEB))
    keeper.after(30, lambda: keeper.resources.loop.begin(steps, ended.append))
    keeper.rounds.attach("infra")
    keeper.run(70)
    assert [outcome.error for outcome in ended] == [None]
    assert built.store.infrastructure("infra").description == WEB
    assert built.store.infrastructure("infra").candidate is None
    built.assert_runs({"web": 2})


def test_maintenance_begins_nothing_while_a_build_waits(built):
    built.cloud.change(built.live()[0]["id"], "fail", "gone")
    built.store.await_lease("infra", built.clock.now() + 30)
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    seen = []
    keeper.after(25, lambda: seen.extend(kinds(built)))
    keeper.run(50)
    begun = EventKind.NODE_CREATING.value
    assert (seen.count(begun), kinds(built).count(begun)) == (2, 3)
    built.assert_runs({"web": 2})


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


def test_a_request_that_changes_nothing_is_followed_by_an_event(built):
    assert ask(built, WEB)
    before = built.store.instances("infra")
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.run(20)
    last = built.store.events("infra")[-1]
    assert (last.kind, last.text) == (EventKind.INFRA_UPDATED.value, "nothing had to be changed")
    assert kinds(built).count(EventKind.INFRA_UPDATED.value) == 1
    assert built.store.instances("infra") == before


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


def test_another_one_replaces_one_that_waits_for_the_end_of_an_ordinary_pass(built):
    built.define("web", boot_seconds=100_000)
    built.cloud.change(built.live()[0]["id"], "fail", "gone")
    keeper = Keeper(built)
    keeper.rounds.attach("infra")

    def twice():
        assert built.store.lease_end("infra") is not None
        ask(built, infrastructure("web"))
        ask(built, infrastructure("db"))

    keeper.after(30, twice)
    keeper.run(60)
    built.assert_runs({"db": 1})


def test_another_one_that_replaces_a_failing_build_stays_requested(built):
    """It was requested when the build had recorded its aim, and no instance yet."""
    asked, changing = [], built.store.changing

    @contextlib.contextmanager
    def then_asked(lease, **how):
        with changing(lease, **how) as change:
            yield change
        if not asked and built.store.infrastructure("infra").candidate is not None:
            asked.append(ask(built, MORE))

    built.define("far", fail="no such image", boot_seconds=1)
    built.store.changing = then_asked
    with pytest.raises(BuildError):
        built.build(infrastructure(node("web", min=2, max=5), "far"))
    built.store.changing = changing
    assert asked == [True]
    assert built.store.infrastructure("infra").candidate == MORE


@pytest.mark.parametrize("way", ["first build", "build", "request"])
def test_a_definition_removed_after_the_design_is_missed_when_it_is_recorded(world, way):
    world.define("web", "db")
    if way != "first build":
        world.build(infrastructure("web"))
    wanted, message = infrastructure("web", "db"), "node 'db': there is no node definition 'db': import its file"
    if way == "request":
        world.convergence().check(wanted)
        world.store.definition_uses.remove("db")
        with pytest.raises(InvalidDesignError, match=message):
            ask(world, wanted, check_types=functools.partial(refuse_undefined, wanted))
    else:
        context = world.convergence().context
        designed = lambda: world.store.definition_uses.remove("db")  # noqa: E731
        with pytest.raises(InvalidDesignError, match=message):
            context.resources.loop.run(context.attended(building.build(context, wanted, designed)))
    if way == "first build":
        world.assert_nothing()
    else:
        world.assert_runs({"web": 1})


@pytest.mark.parametrize(("asked", "built_then"), [(1, True), (1.0, 1), (True, 1.0)])
def test_one_that_is_equal_and_written_otherwise_is_another_one(built, asked, built_then):
    """The numbers 1 and 1.0 and the truth are equal, and templates render them as they are written."""
    built.define("web", contextualisation=userdata("{{ variables.n }}"))
    one, other = (infrastructure(node("web", min=2, max=5, n=value)) for value in (asked, built_then))
    assert one == other
    ask(built, one)
    built.build(other)
    assert built.store.infrastructure("infra").candidate is None, "it was replaced"
    built.events.clear()
    built.build(one)
    assert len(built.told(EventKind.INFRA_UPDATED)) == 1
    built.assert_runs({"web": 2})


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


@pytest.mark.parametrize("way", ["request", "build"])
@pytest.mark.parametrize(("expires", "seconds"), [("", None), ("9h", 9 * 3600), ("1h", 3600)])
def test_a_first_build_that_is_replaced_ends_when_the_other_description_says(world, way, expires, seconds):
    """It was parked, or its process was killed; the end of the one that was never built counts no more."""
    world.define("web", "db")
    began = world.clock.now()
    first = dataclasses.replace(infrastructure("web"), expires="1h")
    life_time = first_life_time(first, began)
    lease = world.store.add_infrastructure("infra", first, {"web": 1}, None, began, life_time=life_time)
    world.store.release(lease)
    world.store.service.mark("infra", maintained=True)
    lease = world.store.acquire("infra", "test", began)
    with world.store.changing(lease) as change:
        change.put_frozen("parked: cut off")
    world.store.release(lease)
    world.clock.time += 600
    second = dataclasses.replace(infrastructure("web", "db"), expires=expires)
    if way == "build":
        world.build(second)
    else:
        now = world.clock.now()
        ask(world, second, life_time=functools.partial(requested_life_time, second, now))
        waiting = world.store.infrastructure("infra")
        world.convergence().maintain()
        built = world.store.infrastructure("infra")
        assert (built.expires_at, built.warns_at) == (waiting.expires_at, waiting.warns_at)
    world.assert_runs({"web": 1, "db": 1})
    end = world.store.infrastructure("infra").expires_at
    start = began if expires == "1h" else began + 600
    assert end == (None if seconds is None else pytest.approx(start + seconds, abs=30))


def test_what_is_refused_changes_nothing(built):
    def refuse(record):
        raise LookupError(record.id)

    with pytest.raises(LookupError):
        ask(built, MORE, refuse)
    with pytest.raises(NoSuchInfrastructureError):
        built.store.updates.request("nobody", MORE, 0.0, allowed)
    assert built.store.infrastructure("infra").candidate is None
    assert EventKind.UPDATE_REQUESTED.value not in kinds(built)


def without_definition(world, name):
    with world.store._database.writing() as connection:
        connection.execute(tables.definitions.delete().where(tables.definitions.c.name == name))


def test_one_that_cannot_be_built_any_more_is_dropped_and_healing_goes_on(built):
    ask(built, MORE)
    without_definition(built, "db")
    built.cloud.change(built.live()[0]["id"], "fail", "gone")
    passed = built.convergence().maintain()
    built.assert_runs({"web": 2})
    assert built.store.infrastructure("infra").description == WEB
    [undone] = [one.text for one in built.store.events("infra") if one.kind == EventKind.ROLLING_BACK.value]
    assert undone == "node 'db': there is no node definition 'db': import its file with occopus-import"
    assert passed.undone == (f"the requested description was not built: {undone}",)


def test_one_that_was_cut_off_and_cannot_be_built_any_more_is_undone(built):
    """Its process was killed when it had created instances, and then a node definition was lost."""
    first = infrastructure(node("web", min=2, max=5), "db", "far", edges=[("far", "db")])
    built.define("far", boot_seconds=10)
    life = Life("after commit", 3)
    with pytest.raises(KilledError):
        built.build(first, life=life)
    made = [one.node_name for one in built.store.instances("infra") if one.provisional]
    assert made
    without_definition(built, "far")
    built.clock.time += 60
    with pytest.raises(BuildError) as caught:
        built.convergence().maintain()
    assert caught.value.problems == (
        "node 'far': there is no node definition 'far': import its file with occopus-import",
    )
    built.assert_runs({"web": 2})
    assert built.store.infrastructure("infra").description == WEB
    [undone] = [one.text for one in built.store.events("infra") if one.kind == EventKind.ROLLING_BACK.value]
    assert undone == caught.value.problems[0]
    assert built.convergence().maintain() == Passed()


def test_a_request_that_replaces_one_that_is_dropped_stays(built):
    ask(built, MORE)
    lease = built.store.acquire("infra", "test", built.clock.now())
    with built.store.changing(lease) as change:
        assert not change.replace_candidate(None, WEB)
        assert change.replace_candidate(None, MORE)


def test_one_waits_for_a_provider_while_healing_goes_on(built):
    silent = [True]

    def answered(operation):
        if operation == "describe" and silent and built.store.infrastructure("infra").candidate is not None:
            raise TransientError("the cloud is away")

    built.answered = answered
    ask(built, MORE)
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.run(600)
    assert built.store.infrastructure("infra").candidate == MORE
    waits = [one.text for one in built.store.events("infra") if "to build the requested" in one.text]
    assert waits == ["for a provider, to build the requested description: the cloud is away"]
    silent.clear()
    built.convergence().maintain()
    built.assert_runs({"web": 2, "db": 1})


def test_healing_on_other_clouds_goes_on_while_one_waits(world):
    world.define("web")
    world.define("far", endpoint="elsewhere")
    world.build(infrastructure("web", "far"))
    world.clock.time += 60
    world.handler.describe = deaf(world.handler.describe, "elsewhere")
    [gone] = [one.instance_id for one in world.store.instances("infra") if one.node_name == "web"]
    world.cloud.change(gone, "fail", "gone")
    ask(world, infrastructure("web", node("far", min=2)))
    world.convergence().maintain()
    webs = [one for one in world.store.instances("infra") if one.node_name == "web"]
    assert [one.stage for one in webs] == [Stage.READY]
    assert webs[0].instance_id != gone
    assert world.store.infrastructure("infra").candidate is not None


def deaf(describe, endpoint):
    def answer(handler, ids):
        if handler.connection.settings["endpoint"] == endpoint:
            raise TransientError("the cloud is away")
        return describe(handler, ids)

    return answer


def test_outputs_that_cannot_be_rendered_are_refused_with_the_request(built):
    bad = dataclasses.replace(MORE, outputs=(OutputTemplate("out", "{{ cmd('id') }}"),))
    with pytest.raises(InvalidDesignError, match=r"outputs\.out: cmd"):
        built.convergence().check(bad)
