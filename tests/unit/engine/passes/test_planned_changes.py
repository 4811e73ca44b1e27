"""What plans say of a description that changes no instance, and of the end of a life time."""

import dataclasses

import pytest

from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition, OutputTemplate, Scaling
from occopus_core.descriptions.times import written
from occopus_core.engine.passes import building
from occopus_core.engine.passes.errors import BuildError
from occopus_core.engine.planning.changes import Change
from occopus_core.engine.planning.plan import MovedEnd, Verb
from occopus_core.events import EventKind

from ..conftest import infrastructure, node


def shop(**changes):
    return dataclasses.replace(infrastructure(node("web", max=2)), **changes)


def plan(world, candidate, end=None):
    convergence = world.convergence()
    return convergence._run(building.plan(convergence.context, candidate, end=end))


def is_pending(world, candidate):
    """Request a build, as a client of the service does; no pass carries it out."""
    world.store.updates.request("infra", candidate, world.clock.now(), lambda _record: None)


def texts(world):
    return [event.text for event in world.events if event.kind is EventKind.LIFE_TIME_CHANGED]


@pytest.fixture
def built(world):
    world.define("web", boot_seconds=1)
    world.build(shop())
    return world


@pytest.mark.parametrize(
    "after",
    [
        shop(expires="8h"),
        shop(user_id="other"),
        shop(outputs=(OutputTemplate("url", "x"),)),
        shop(nodes=(dataclasses.replace(node("web", max=2), when_outdated="replace"),)),
        shop(nodes=(dataclasses.replace(node("web", max=2), scaling=Scaling(1, 9)),)),
    ],
    ids=["expires", "user_id", "outputs", "when_outdated", "scaling"],
)
def test_a_key_that_changes_no_instance_is_a_change_until_it_is_built(built, after):
    planned = plan(built, after)
    assert planned.empty
    assert not planned.changes_nothing
    assert planned.changes.count == 1
    built.build(after)
    assert plan(built, after).changes_nothing


def test_a_health_check_of_an_imported_definition_is_a_change_until_it_is_built(built):
    (former,) = built.store.definitions(["web"])["web"].implementations
    other = dataclasses.replace(former, health_check=HealthCheck({}, timeout=60.0))
    built.store.put_definitions([NodeDefinition("web", (other,))])
    planned = plan(built, shop())
    assert planned.empty
    assert planned.changes.nodes == {"web": [Change("health_check.timeout", "'600'", "'60'")]}
    built.build(shop())
    assert plan(built, shop()).changes_nothing


def test_an_implementation_without_an_instance_in_a_definition_of_the_build_is_a_change(built):
    (first,) = built.store.definitions(["web"])["web"].implementations
    second = Implementation({**first.resource, "name": "second"})
    both = {"web": NodeDefinition("web", (first, second))}
    convergence = built.convergence()

    def planned(definitions):
        return convergence._run(building.plan(convergence.context, shop(), definitions)).changes

    assert planned(both).nodes == {"web": [Change("implementations", "'memory memory'", "'memory memory, second'")]}
    convergence._run(building.build(convergence.context, shop(), own=both))
    assert planned(both).count == 0
    checked = dataclasses.replace(second, health_check=HealthCheck(timeout=60.0))
    assert planned({"web": NodeDefinition("web", (first, checked))}).nodes == {
        "web": [Change("health_check.timeout", "'600'", "'60'")]
    }
    assert planned({}).count == 0


def test_a_node_without_an_instance_that_is_not_described_any_more_is_a_change(built):
    lost = infrastructure(node("web", max=2), "db")
    built.define("db", boot_seconds=1)
    built.build(lost)
    (db,) = [one for one in built.store.instances("infra") if one.node_name == "db"]
    lease = built.store.acquire("infra", "test", built.clock.now())
    with built.store.changing(lease) as change:
        change.remove_instances([db.node_id])
    built.store.release(lease)
    assert plan(built, shop()).changes.infrastructure == [Change("nodes.db", "'db'", None)]


def test_an_end_that_a_build_brings_is_planned_and_recorded(built):
    planned = plan(built, shop(expires="8h"))
    end = built.clock.now() + 8 * 3600
    assert planned.moved_end == MovedEnd(None, pytest.approx(end, abs=5))
    assert planned.moved_end.is_sooner
    built.build(shop(expires="8h"))
    end = built.store.infrastructure("infra").expires_at
    assert texts(built) == [f"it will be destroyed at {written(end)} (was: never)"]
    assert plan(built, shop(expires="8h")).moved_end is None
    assert plan(built, shop(expires="8h"), end - 60).moved_end == MovedEnd(end, end - 60)
    assert plan(built, shop(expires="8h"), end).moved_end is None
    built.build(shop())
    assert texts(built)[1:] == [f"it will not be destroyed by itself (was: {written(end)})"]


def test_a_build_that_fails_says_nothing_of_its_end(built):
    built.define("bad", boot_seconds=1, fail="no")
    with pytest.raises(BuildError):
        built.build(dataclasses.replace(infrastructure(node("web", max=2), "bad"), expires="8h"))
    assert texts(built) == []


def test_the_plan_of_the_next_pass_has_what_a_requested_build_changes(built):
    assert built.convergence().preview().changes_nothing
    is_pending(built, shop(expires="8h"))
    planned = built.convergence().preview()
    assert [one.path for one in planned.changes.infrastructure] == ["expires"]
    assert planned.moved_end.is_sooner
    built.convergence().maintain()
    assert built.store.infrastructure("infra").expires_at is not None
    assert built.convergence().preview().changes_nothing


def test_the_plan_of_a_first_build_changes_no_description(world):
    world.define("web", boot_seconds=1)
    planned = plan(world, shop(expires="8h"))
    assert (planned.changes.count, planned.moved_end) == (0, None)
    assert [step.verb for step in planned.steps] == [Verb.CREATE]


def test_instances_of_several_implementations_are_all_compared(world):
    ways = [{"resource": {"name": name}} for name in "ab"]
    world.define("web", implementations=ways, boot_seconds=1)
    many = infrastructure(node("web", min=8))
    world.build(many)
    assert len({one.implementation for one in world.store.instances("infra")}) == 2
    for name in "ab":
        changed = [{**way, "timeout": 60.0 if way["resource"]["name"] == name else 600.0} for way in ways]
        world.define("web", implementations=changed, boot_seconds=1)
        assert [one.path for one in plan(world, many).changes.nodes["web"]] == ["health_check.timeout"]
