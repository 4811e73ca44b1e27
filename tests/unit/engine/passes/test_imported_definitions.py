"""Node definitions that a build brings with it are stored when it has succeeded, and not at all otherwise."""

import contextlib
import dataclasses
import itertools

import pytest

from occopus_core.api import PermanentError, ProviderError
from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.engine.passes import building
from occopus_core.engine.passes.errors import BuildError, BusyError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.store.records import NoSuchInfrastructureError, ScaleKind, WorkedOnError
from occopus_core.store.repository import InfrastructureTakenError

from ..conftest import infrastructure, node
from ..fakes import KilledError, Life

WEB = infrastructure(node("web", max=3))


def definition(image, **how):
    made_by = Implementation({"type": "memory", "endpoint": "memory", "image": image}, **how)
    return NodeDefinition("web", (made_by,))


def build(world, described=WEB, image="new", infra_id="infra", **options):
    passing = world.convergence(infra_id, **options)
    passing._run(building.build(passing.context, described, own={"web": definition(image)}))


def image(world):
    (found,) = world.store.definitions(["web"])["web"].implementations
    return found.resource["image"]


def images(world, infra_id="infra"):
    """The images of the instances there are."""
    made_by = world.store.implementations_of(records := world.store.instances(infra_id))
    return [made_by[record.implementation].resource["image"] for record in records]


@pytest.fixture
def built(world):
    """An infrastructure that was made by the definition with the image `old`."""
    world.store.put_definitions([definition("old")])
    world.build(WEB)
    return world


def scaled(world, infra_id="infra"):
    """The images of two instances: one of the two is made now, from the definition in the store."""
    world.store.request_scaling(infra_id, "web", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence(infra_id).maintain()
    return images(world, infra_id)


def finish(world, infra_id="infra"):
    """What services and `occopus-maintain -c` do with what a killed process has left."""
    for _ in range(3):
        with contextlib.suppress(BuildError, NoSuchInfrastructureError):
            world.convergence(infra_id, holder="next").maintain()


def refuse_new(world):
    """The cloud makes no instance from the definition that the builds of these tests bring."""
    create = world.handler.create

    def refusing(handler, request):
        if request.resource["image"] != "old":
            raise PermanentError("memory cloud: refused")
        return create(handler, request)

    world.handler.create = refusing


def seen_at(world, kind, **options):
    """The definition that is stored when an event of this kind happens in a build."""
    seen = []

    def observe(event):
        if event.kind is kind:
            seen.append(image(world) if world.store.definition_names() else None)

    build(world, observer=observe, **options)
    return seen


def test_a_first_build_stores_them_when_it_has_succeeded(world):
    assert seen_at(world, EventKind.NODE_CREATING) == [None]
    assert image(world) == "new"
    assert world.store.infrastructure("infra").candidate_definitions == {}
    world.assert_runs({"web": 1})


def test_an_update_stores_them_when_it_has_succeeded(built):
    assert seen_at(built, EventKind.NODE_CREATING) == ["old"]
    assert image(built) == "new"
    assert images(built) == ["new"]


def test_they_are_in_force_at_the_moment_the_description_is(built):
    assert seen_at(built, EventKind.INFRA_UPDATED) == ["new"]


def test_a_first_build_that_fails_stores_none(world):
    refuse_new(world)
    with pytest.raises(BuildError):
        build(world)
    assert world.store.definition_names() == []
    world.assert_nothing()


def test_an_update_that_fails_leaves_the_former_ones(built):
    refuse_new(built)
    with pytest.raises(BuildError):
        build(built, infrastructure(node("web", min=2, max=3)))
    assert built.store.infrastructure("infra").candidate_definitions == {}
    assert image(built) == "old"
    assert scaled(built) == ["old", "old"]


def test_those_that_another_process_imports_meanwhile_stay_where_it_fails(built):
    refuse_new(built)

    def during(operation):
        built.store.put_definitions([definition("other")])

    built.during = during
    with pytest.raises(BuildError):
        build(built, infrastructure(node("web", min=2, max=3)))
    assert image(built) == "other"


def found(world, infra_id):
    """The record of the infrastructure, if there is one."""
    with contextlib.suppress(NoSuchInfrastructureError):
        return [world.store.infrastructure(infra_id)]
    return []


@pytest.mark.parametrize("kind", ["before commit", "after commit", "release"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("works", [True, False])
def test_killed_at_any_commit_they_are_stored_with_the_description_or_not_at_all(world, kind, first, works):
    """The build succeeds, or is rolled back, in this process or in the next one."""
    if not works:
        refuse_new(world)
    world.store.put_definitions([definition("old")])
    ends = set()
    for at in itertools.count(1):
        infra_id = f"infra{at}"
        world.store.put_definitions([definition("old")])
        if not first:
            world.build(WEB, infra_id=infra_id)
        life, failed = Life(kind, at), False
        try:
            build(world, infrastructure(node("web", min=2, max=3)), infra_id=infra_id, life=life)
        except KilledError:
            world.clock.time += 20
        except BuildError:
            failed = True
        stored = image(world)
        if any(one.candidate is not None for one in found(world, infra_id)):
            assert stored == "old", "the definitions are in force with the description, not before"
        finish(world, infra_id)
        done = any(one.current.nodes[0].scaling.min == 2 for one in found(world, infra_id))
        ends.add(done)
        assert image(world) == ("new" if done else "old")
        for one in found(world, infra_id):
            assert one.candidate is None
            assert one.candidate_definitions == {}
            assert set(images(world, infra_id)) <= {image(world)}
        if not life.over:
            assert failed is not works
            break
    assert at > (1 if kind == "release" else 3)
    assert (True in ends) is works


def test_a_build_that_takes_the_place_of_a_killed_one_and_fails_leaves_the_former_ones(built):
    """The first one brings `new`, the second one `newer`: the store has `old` then."""
    with pytest.raises(KilledError):
        build(built, infrastructure(node("web", min=2, max=3)), life=Life("after commit", 3))
    built.clock.time += 20
    assert built.store.infrastructure("infra").candidate_definitions == {"web": definition("new")}
    refuse_new(built)
    with pytest.raises(BuildError):
        build(built, infrastructure(node("web", min=2, max=3)), image="newer")
    assert image(built) == "old"
    assert scaled(built) == ["old", "old"]


@pytest.mark.parametrize("described", [WEB, infrastructure(node("web", min=2, max=3))])
def test_a_build_without_definitions_takes_the_stored_ones_in_place_of_those_of_a_killed_one(built, described):
    with pytest.raises(KilledError):
        build(built, life=Life("after commit", 3))
    built.clock.time += 20
    built.build(described)
    assert image(built) == "old"
    assert set(images(built)) == {"old"}
    assert built.store.infrastructure("infra").candidate_definitions == {}


@pytest.mark.parametrize("described", [WEB, infrastructure(node("web", min=2, max=3))])
def test_a_request_takes_the_stored_ones_in_place_of_those_of_a_killed_build(built, described):
    with pytest.raises(KilledError):
        build(built, life=Life("after commit", 3))
    with pytest.raises(WorkedOnError):
        built.store.updates.request("infra", described, built.clock.now(), lambda _record: None)
    built.clock.time += 20
    assert built.store.updates.request("infra", described, built.clock.now(), lambda _record: None)
    built.convergence().maintain()
    assert image(built) == "old"
    assert set(images(built)) == {"old"}


def test_a_killed_build_is_previewed_with_what_it_has_brought(built):
    with pytest.raises(KilledError):
        build(built, life=Life("after commit", 1))
    built.clock.time += 20
    assert [step.verb for step in built.convergence().preview().steps] == [Verb.REPLACE]
    finish(built)
    assert (image(built), images(built)) == ("new", ["new"])


def test_a_killed_build_is_continued_with_others(world):
    own = {"web": definition("old")}
    world.store.add_infrastructure("infra", WEB, {"web": 1}, None, world.clock.now(), definitions=own)
    build(world)
    assert image(world) == "new"


def test_a_description_with_faults_stores_none(built):
    with pytest.raises(InvalidDesignError):
        build(built, image="{{ nothing }}")
    assert image(built) == "old"


def test_a_provider_that_cannot_be_asked_stores_none(built):
    built.cloud.set_faults([{"kind": "error_500", "operation": "describe"}])
    with pytest.raises(ProviderError):
        build(built, infrastructure(node("web", min=2, max=3)))
    assert image(built) == "old"


def test_an_infrastructure_that_is_being_destroyed_stores_none(built):
    built.store.request_destroy("infra")
    with pytest.raises(BusyError):
        build(built)
    assert image(built) == "old"


def test_a_description_that_is_requested_meanwhile_stores_none(built):
    other = dataclasses.replace(WEB, name="other")
    asked = []

    def during(operation):
        if operation == "describe" and not asked:
            asked.append(operation)
            built.store.updates.request("infra", other, built.clock.now(), lambda _record: None)

    built.during = during
    with pytest.raises(BusyError, match="has just been requested"):
        build(built)
    assert image(built) == "old"


def test_an_id_that_is_taken_stores_none(built):
    with pytest.raises(InfrastructureTakenError):
        built.store.add_infrastructure("infra", WEB, {}, None, 1.0, definitions={"web": definition("new")})
    assert image(built) == "old"
