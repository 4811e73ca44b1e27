"""A place where certainly nothing was made is not searched later."""

import pytest

from occopus_core.api import PermanentError
from occopus_core.engine.passes.errors import BuildError

from ..conftest import infrastructure, node


@pytest.fixture
def away(world, monkeypatch):
    """The projects where nothing listens, each with the tokens of the calls."""
    refused = {}
    real = world.handler.create

    def create(handler, request):
        project = request.resource.get("project")
        if project in refused:
            refused[project].append(request.token)
            raise PermanentError("nothing listens", unreached=True)
        return real(handler, request)

    monkeypatch.setattr(world.handler, "create", create)
    return refused


def projects(world):
    """The projects of the places that the store knows."""
    return sorted(place.implementation.resource["project"] for place in world.store.places.all())


def test_a_build_that_is_undone_leaves_no_place_where_nothing_was_reached(world, away):
    world.define("web", project="west")
    world.define("typo", project="mistyped")
    away["mistyped"] = []
    with pytest.raises(BuildError, match="nothing listens"):
        world.build(infrastructure("web", node("typo", min=3), edges=[("typo", "web")]))
    assert away["mistyped"]
    assert projects(world) == ["west"]


def test_neither_does_an_update(world, away):
    world.define("web", project="west")
    world.build(infrastructure("web"))
    world.define("typo", project="mistyped")
    away["mistyped"] = []
    with pytest.raises(BuildError, match="nothing listens"):
        world.build(infrastructure("web", "typo"))
    assert projects(world) == ["west"]
    world.destroy()
    assert projects(world) == ["west"]


def test_a_place_that_was_used_before_stays(world, away):
    world.define("web", project="west")
    world.build(infrastructure(node("web", min=1)))
    away["west"] = []
    with pytest.raises(BuildError, match="nothing listens"):
        world.build(infrastructure(node("web", min=2)))
    assert projects(world) == ["west"]
    world.destroy()
    assert projects(world) == ["west"]


def test_so_does_one_where_another_instance_was_made(world, away):
    world.define("web", project="west")
    world.answered = lambda operation: away.setdefault("west", []) if operation == "create" else None
    with pytest.raises(BuildError, match="nothing listens"):
        world.build(infrastructure(node("web", min=2)), width=1)
    assert len(away["west"]) == 1
    assert projects(world) == ["west"]


def test_so_does_one_where_a_call_may_have_had_an_effect(world, away):
    world.define("web", project="west")
    world.during = lambda operation: away.setdefault("west", []) if operation == "create" else None
    world.cloud.set_faults([{"kind": "lost_reply", "operation": "create"}])
    with pytest.raises(BuildError, match="nothing listens"):
        world.build(infrastructure("web"))
    assert projects(world) == ["west"]
