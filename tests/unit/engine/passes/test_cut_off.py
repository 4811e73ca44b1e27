"""Templates that need too much time or memory: what becomes of their infrastructure, and of others."""

from __future__ import annotations

import time

import pytest

from occopus_core.engine.passes.designing import PARKED
from occopus_core.engine.passes.errors import BuildError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind

from ..conftest import infrastructure, userdata

RECURSIVE = "{% for i in range(99999) recursive %}{% for j in range(99999) recursive %}{% endfor %}{% endfor %}"
INDENTED = "{{ range(99999) | list | tojson(indent=99999) }}"
BOMBS = [RECURSIVE, INDENTED, "{{ range(99999) | map('center', 99999) | list | pprint }}"]


def hidden(bomb):
    """A template that a rehearsal cannot see: it waits for a real address."""
    return userdata(f"{{% if not getip('db').startswith('192.0.2') %}}{bomb}{{% endif %}}")


def define(world, template):
    world.define("db")
    world.define("web", implementations=[{"contextualisation": template}])


PAIR = infrastructure("web", "db", edges=[("web", "db")])


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_build_with_it_is_refused_before_anything_is_made(world, bomb):
    define(world, userdata(bomb))
    with pytest.raises(InvalidDesignError) as caught:
        world.build(PAIR)
    (problem,) = caught.value.problems
    assert "contextualisation.context_template: the template" in problem
    assert world.live() == []


@pytest.mark.parametrize("bomb", BOMBS)
def test_one_that_hides_from_the_rehearsal_undoes_its_build(world, bomb):
    define(world, hidden(bomb))
    with pytest.raises(BuildError, match="the template"):
        world.build(PAIR)
    world.assert_nothing()


def test_many_of_them_cost_no_more_than_one(world):
    template = {"runcmd": [f"{INDENTED} {number}" for number in range(100)]}
    world.define("db")
    ways = [{"contextualisation": userdata({**template, "n": number})} for number in range(10)]
    world.define("web", implementations=ways)
    began = time.process_time()
    with pytest.raises(InvalidDesignError):
        world.build(PAIR)
    assert time.process_time() - began < 10


@pytest.fixture
def parked(world):
    """An infrastructure whose definition was replaced by one that hides a bomb, and that has to be healed."""
    define(world, userdata("x"))
    world.build(PAIR)
    define(world, hidden(INDENTED))
    world.clock.time += 60
    web = next(one for one in world.store.instances("infra") if one.node_name == "web")
    world.cloud.change(web.instance_id, "lose")
    world.events.clear()
    passed = world.convergence().maintain()
    assert any(line.startswith(PARKED) for line in passed.undone)
    return world


def reason(world):
    return world.store.infrastructure("infra").parked


def test_maintenance_parks_it_and_says_why(parked):
    assert "'web'" in reason(parked)
    assert "contextualisation.context_template" in reason(parked)
    assert "occopus-maintain -i infra" in reason(parked)
    assert reason(parked) in [event.text for event in parked.events if event.kind is EventKind.FROZEN]
    assert reason(parked) in [one.text for one in parked.store.events("infra", 0)]


def test_a_parked_one_is_left_alone_by_later_passes_and_processes(parked):
    parked.store.request_scaling("infra", "db", ScaleKind.SET, 1, "", 1.0)
    before, calls = parked.store.instances("infra"), parked.cloud.calls()
    for holder in ("test", "another process"):
        assert parked.convergence(holder=holder).maintain().undone == (reason(parked),)
    assert (parked.store.instances("infra"), parked.cloud.calls()) == (before, calls)


def test_what_was_being_made_is_dropped(parked):
    parked.assert_runs({"db": 1})
    assert [one["owner"]["node_name"] for one in parked.live()] == ["db"]


def test_a_parked_one_can_be_destroyed(parked):
    parked.destroy()
    parked.assert_nothing()


def test_a_parked_one_is_built_again_with_a_better_definition(parked):
    define(parked, userdata("y"))
    parked.build(PAIR)
    assert reason(parked) == ""
    parked.assert_runs({"web": 1, "db": 1})


def test_a_parked_one_goes_on_when_somebody_attaches_it(parked):
    define(parked, userdata("y"))
    parked.store.service.mark("infra", maintained=True)
    assert reason(parked) == ""
    parked.clock.time += 1000
    parked.convergence().maintain()
    parked.assert_runs({"web": 1, "db": 1})


def test_settings_and_health_checks_take_plain_templates_only(world):
    world.define("web", endpoint="{% macro m() %}memory{% endmacro %}{{ m() }}")
    with pytest.raises(InvalidDesignError, match="a template here may use names"):
        world.build(infrastructure("web"))
