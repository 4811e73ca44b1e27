import dataclasses
import random
import re

import pytest

from occopus_core.api import InstanceState, TransientError
from occopus_core.engine.instance.creation import UNREACHED_SECONDS
from occopus_core.engine.instance.failover import PASS_OVER_SECONDS
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BuildError
from occopus_core.events import EventKind
from occopus_core.store.records import Stage

from ..conftest import Convergence, infrastructure, node

TWO = [{"resource": {"project": "east", "name": "east"}}, {"resource": {"project": "west", "name": "west"}}]


def projects(world):
    return sorted(one["project"] for one in world.live())


def refused(world):
    """What was said each time that a project had no room, but for where it was not asked again."""
    return [text for text in said(world) if "is passed over" not in text]


def said(world):
    return [event.text for event in world.events if event.kind is EventKind.NODE_MOVED]


@pytest.mark.parametrize("seed", range(4))
def test_the_next_implementation_takes_over(world, seed):
    world.rng = random.Random(seed)
    world.define("web", implementations=TWO, boot_seconds=2)
    world.cloud.set_limits({"east": 0})
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    assert projects(world) == ["west"]


def test_the_order_is_random_and_seeded(world):
    world.define("web", implementations=TWO)
    chosen = []
    for seed in [*range(8), *range(8)]:
        world.rng = random.Random(seed)
        world.build(infrastructure("web"))
        chosen.append(projects(world)[0])
        world.destroy()
    assert chosen[:8] == chosen[8:]
    assert set(chosen) == {"east", "west"}


def test_the_refused_one_is_passed_over_for_a_while(world):
    world.define("web", implementations=TWO)
    world.cloud.set_limits({"east": 0})
    world.build(infrastructure(node("web", min=20)), width=1)
    world.assert_runs({"web": 20})
    assert projects(world) == ["west"] * 20
    (first,) = refused(world)
    assert first == "memory cloud: project 'east' may have no more than 0 instances: trying west"
    lately = "east is passed over (memory cloud: project 'east' may have no more than 0 instances): trying west"
    assert {text for text in said(world) if text != first} == {lately}


def test_it_is_passed_over_by_other_infrastructures_too_and_the_log_says_why(world):
    """One process, several passes: what one has learned the next one knows."""
    world.rng = random.Random(1)
    world.define("web", implementations=TWO)
    world.cloud.set_limits({"east": 0})
    resources = world.resources()
    Convergence(PassContext(resources, "one")).build(infrastructure(node("web", min=6)))
    refusals = len(refused(world))
    assert refusals
    Convergence(PassContext(resources, "another")).build(infrastructure(node("web", min=6)))
    assert projects(world) == ["west"] * 12
    assert len(refused(world)) == refusals
    logged = [event.text for event in world.store.events("another") if event.kind == EventKind.NODE_MOVED.value]
    assert logged
    assert all("may have no more than 0 instances): trying west" in text for text in logged)


def test_the_refused_one_is_tried_again_later(world):
    world.define("web", implementations=TWO, boot_seconds=PASS_OVER_SECONDS + 1)
    world.cloud.set_limits({"east": 0})
    world.build(infrastructure(node("web", min=6)), width=1)
    world.assert_runs({"web": 6})
    assert len(refused(world)) > 1


@pytest.mark.parametrize("steps", [1, 3])
def test_what_the_refused_one_half_made_is_deleted(world, steps):
    """Its quota is found to be used up at a later step, when parts exist already."""
    world.define("web", implementations=TWO, steps=3, delete_seconds=5)
    world.cloud.set_faults([{"kind": "quota", "operation": "create", "nth": steps}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})


def test_dependents_need_not_wait_for_what_is_deleted(world):
    world.define("db", implementations=TWO, steps=2, delete_seconds=100)
    world.define("web", boot_seconds=1)
    world.cloud.set_faults([{"kind": "quota", "operation": "create", "nth": 2}])
    world.build(infrastructure("web", "db", edges=[("web", "db")]))
    world.assert_runs({"db": 1, "web": 1})
    kinds = [(event.kind, event.node_name) for event in world.events]
    assert kinds.index((EventKind.NODE_READY, "web")) < kinds.index((EventKind.NODE_DROPPED, "db"))


def test_no_room_that_shows_only_while_it_boots(world, monkeypatch):
    """`describe` answers PROVISIONING, and the next `create` says why."""
    real = world.handler.describe

    def describe(handler, ids):
        """The first instance of all never gets a host."""
        return {
            id: dataclasses.replace(instance, state=InstanceState.PROVISIONING)
            if id == first[0] and instance.state is InstanceState.PENDING
            else instance
            for id, instance in real(handler, ids).items()
        }

    first = []
    world.answered = lambda operation: first.extend(one["id"] for one in world.live() if not first)
    monkeypatch.setattr(world.handler, "describe", describe)
    world.define("web", implementations=TWO, boot_seconds=5)
    world.cloud.set_faults([{"kind": "quota", "operation": "create", "nth": 2, "reason": "no valid host"}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    assert first[0] not in [one["id"] for one in world.live()]
    (moved,) = [event.text for event in world.events if event.kind is EventKind.NODE_MOVED]
    assert "no valid host: trying" in moved


@pytest.mark.parametrize("width", [1, None])
def test_a_build_that_fails_while_leftovers_are_deleted_is_undone(world, width):
    world.define("web", implementations=TWO, steps=2, delete_seconds=30)
    world.define("bad", boot_seconds=1, fail="disk on fire")
    world.cloud.set_faults([{"kind": "quota", "operation": "create", "nth": 2, "node_name": "web"}])
    with pytest.raises(BuildError, match="disk on fire"):
        world.build(infrastructure("web", "bad"), width=width)
    world.assert_nothing()


def away(world, monkeypatch, *names, error):
    """These projects cannot be called; how often that was tried."""
    real, calls = world.handler.create, []

    def create(handler, request):
        if request.resource["project"] in names:
            calls.append(request.token)
            raise error
        return real(handler, request)

    monkeypatch.setattr(world.handler, "create", create)
    return calls


@pytest.mark.parametrize("seed", range(2))
def test_a_cloud_that_nobody_reaches_gives_way_and_is_not_searched(world, monkeypatch, seed):
    world.rng = random.Random(seed)
    calls = away(world, monkeypatch, "east", error=TransientError("nobody there", unreached=True))
    world.define("web", implementations=TWO, boot_seconds=2)
    began = world.clock.now()
    world.build(infrastructure(node("web", min=6)))
    world.assert_runs({"web": 6})
    assert projects(world) == ["west"] * 6
    assert calls
    assert world.clock.now() - began < 2 * UNREACHED_SECONDS + 2
    assert all("nobody there: trying west" in text for text in refused(world))


def test_a_call_that_may_have_arrived_is_never_left_for_another_cloud(world, monkeypatch):
    """Who knows what it has made: only its own token finds out."""
    world.rng = random.Random(1)
    world.define("web", implementations=[{**each, "timeout": 60} for each in TWO])
    away(world, monkeypatch, "east", "west", error=TransientError("no answer"))
    with pytest.raises(BuildError, match="not created within 60 s: no answer"):
        world.build(infrastructure("web"))
    assert not said(world)


def test_where_nobody_reaches_any_cloud_the_last_one_is_waited_for(world, monkeypatch):
    away(world, monkeypatch, "east", "west", error=TransientError("nobody there", unreached=True))
    world.define("web", implementations=[{**each, "timeout": 60} for each in TWO])
    with pytest.raises(BuildError, match="not created within 60 s: nobody there"):
        world.build(infrastructure("web"))
    assert len(refused(world)) == 1
    waits = [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]
    assert set(waits) == {"nobody there (tried again; given up after 60 s)"}
    world.assert_nothing()


def test_when_all_are_full_the_build_fails_and_is_undone(world):
    world.define("db", boot_seconds=2)
    world.define("web", implementations=TWO)
    world.cloud.set_limits({"east": 0, "west": 1})
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("db", node("web", min=2)), width=1)
    (problem,) = caught.value.problems
    # The order in which they are tried is random; the last one refuses for all.
    assert re.search("project '(east' may have no more than 0|west' may have no more than 1) instances", problem)
    world.assert_nothing()


def test_the_filter_still_holds(world):
    world.define("web", implementations=TWO)
    world.cloud.set_limits({"east": 0})
    web = infrastructure(node("web")).nodes[0]
    with pytest.raises(BuildError):
        world.build(infrastructure(dataclasses.replace(web, filter={"project": "east"})))
    world.assert_nothing()


@pytest.fixture
def unfinished(world):
    """The project of an instance that maintenance is about to make, and which has no room now."""
    world.rng = random.Random(1)
    world.define("web", implementations=TWO)
    world.build(infrastructure("web"))
    (row,) = world.store.instances("infra")
    (project,) = projects(world)
    world.cloud.change(row.instance_id, "lose")
    world.rewrite(row, stage=Stage.RESERVED, instance_id=None, addresses=())
    world.cloud.set_limits({project: 0})
    return project


def test_a_failed_build_undoes_what_it_has_made_by_another_implementation(world, unfinished):
    mine, others = (
        [one for one in TWO if (one["resource"]["project"] == unfinished) is same] for same in (True, False)
    )
    changed = [{"resource": {**one["resource"], "boot_seconds": 1}} for one in others]
    world.define("web", implementations=[*mine, *changed])
    world.define("bad", boot_seconds=5, fail="exit code 3")
    with pytest.raises(BuildError, match="exit code 3"):
        world.build(infrastructure("web", "bad"))
    assert world.told(EventKind.NODE_MOVED) == ["web"]
    assert world.store.instances("infra") == []
    assert world.live() == []
    world.clock.time += 60
    world.convergence().maintain()
    world.assert_runs({"web": 1})


def test_an_instance_that_a_build_moves_stays_where_the_build_succeeds(world, unfinished):
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    assert projects(world) != [unfinished]
