"""Node definitions that a build brings with it are stored with its first record, and by no build that is refused."""

import dataclasses

import pytest

from occopus_core.api import ProviderError
from occopus_core.descriptions.model import Implementation, NodeDefinition
from occopus_core.engine.passes import building
from occopus_core.engine.passes.errors import BuildError, BusyError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.events import EventKind
from occopus_core.store.repository import InfrastructureTakenError

from ..conftest import infrastructure, node

WEB = infrastructure("web")


def definition(image, **how):
    made_by = Implementation({"type": "memory", "endpoint": "memory", "image": image}, **how)
    return NodeDefinition("web", (made_by,))


def build(world, described=WEB, image="new", **options):
    passing = world.convergence(**options)
    passing._run(building.build(passing.context, described, own={"web": definition(image)}))


def image(world):
    (found,) = world.store.definitions(["web"])["web"].implementations
    return found.resource["image"]


@pytest.fixture
def built(world):
    """An infrastructure that was made by the definition with the image `old`."""
    world.store.put_definitions([definition("old")])
    world.build(WEB)
    return world


def test_a_first_build_records_them_with_the_infrastructure(world):
    seen = []

    def observe(event):
        if event.kind is EventKind.INFRA_CREATED:
            seen.append(image(world))

    build(world, observer=observe)
    assert seen == ["new"]
    world.assert_runs({"web": 1})


def test_an_update_stores_them(built):
    build(built)
    assert image(built) == "new"


def test_they_are_there_before_anything_is_made(built):
    seen = []

    def observe(event):
        if event.kind is EventKind.NODE_CREATING:
            seen.append(image(built))

    build(built, observer=observe)
    assert seen == ["new"]


def test_a_killed_build_is_continued_with_others(world):
    world.store.add_infrastructure("infra", WEB, {"web": 1}, None, world.clock.now(), definitions=[definition("old")])
    build(world)
    assert image(world) == "new"


def test_a_build_that_fails_after_its_first_record_keeps_them(built):
    built.cloud.set_faults([{"kind": "permanent", "operation": "create"}])
    with pytest.raises(BuildError):
        build(built)
    assert image(built) == "new"


def test_a_description_with_faults_stores_none(built):
    with pytest.raises(InvalidDesignError):
        build(built, image="{{ nothing }}")
    assert image(built) == "old"


def test_a_provider_that_cannot_be_asked_stores_none(built):
    built.cloud.set_faults([{"kind": "error_500", "operation": "describe"}])
    with pytest.raises(ProviderError):
        build(built, infrastructure(node("web", min=2)))
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
        built.store.add_infrastructure("infra", WEB, {}, None, 1.0, definitions=[definition("new")])
    assert image(built) == "old"
