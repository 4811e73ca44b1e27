"""Nodes that cannot be made at present: they wait, with the reason, and maintenance goes on with the others."""

import pytest

from occopus_core.api import Context, ContextForm, Contextualiser
from occopus_core.engine.passes.errors import Passed
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind

from ..conftest import infrastructure, node, userdata
from ..fakes import config_manager


class Breaking(Contextualiser):
    """A contextualiser that answers something else than a context while `broken` is true."""

    contract_version = 1
    forms = frozenset({ContextForm.USER_DATA})
    broken = False

    @classmethod
    def schema(cls):
        return {"type": "object"}

    def contextualise(self, section, render):
        return None if type(self).broken else Context()


@pytest.fixture
def contextualiser(world):
    made = world.install("context", "mine", type("Mine", (Breaking,), {}))
    world.define("odd", implementations=[{"contextualisation": {"type": "mine"}}])
    return made


@pytest.fixture
def manager(world):
    """A configuration manager whose constructor raises while `broken` is true."""

    def construct(self, connection):
        if type(self).broken:
            raise KeyError("token")

    made = type("Mine", (config_manager(),), {"broken": False, "__init__": construct})
    world.install("config", "mine", made)
    world.define("odd", implementations=[{"config": {"type": "mine", "endpoint": "there"}}])
    return made


@pytest.fixture(params=["contextualiser", "manager"])
def plugin(request):
    return request.getfixturevalue(request.param)


WHY = {
    "context": "contextualise() answered NoneType, expected a Context (tests/unit/engine/passes/test_held_nodes.py",
    "config": "the configuration manager 'mine there' cannot be set up: KeyError (tests/unit/engine/",
}


def why(plugin):
    return WHY["context" if issubclass(plugin, Contextualiser) else "config"]


def lose(world, *names):
    world.clock.time += 100
    for one in world.live():
        if one["owner"]["node_name"] in names:
            world.cloud.change(one["id"], "lose")
    world.events.clear()


def noted(world):
    return world.store.infrastructure("infra").undefined


def waiting(world):
    return [event.text for event in world.events if event.kind is EventKind.WAITING]


def test_only_the_nodes_of_a_broken_plugin_are_held(world, plugin):
    world.define("web")
    world.build(infrastructure("odd", node("web", min=1, max=3)))
    lose(world, "odd", "web")
    plugin.broken = True
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    passed = world.convergence().maintain()
    assert world.told(EventKind.NODE_READY) == ["web", "web"]
    assert sorted(record.node_name for record in world.store.instances("infra")) == ["odd", "web", "web"]
    (undone,) = passed.undone
    assert undone.startswith("waiting for a usable definition: ")
    assert undone.count(why(plugin)) == 1
    assert waiting(world) == [undone.removeprefix("waiting ")]
    assert world.convergence().maintain().undone == passed.undone
    plugin.broken = False
    assert world.convergence().maintain() == Passed()
    world.assert_runs({"odd": 1, "web": 2})


def test_a_broken_plugin_that_nothing_needs_is_no_reason_to_wait(world, contextualiser):
    world.define("web")
    world.build(infrastructure("odd", "web"))
    lose(world, "web")
    contextualiser.broken = True
    assert world.convergence().maintain() == Passed()
    assert waiting(world) == []
    world.assert_runs({"odd": 1, "web": 1})


def test_the_plan_shows_which_instances_are_held(world, plugin):
    world.define("web")
    world.build(infrastructure("odd", "web"))
    lose(world, "odd", "web")
    plugin.broken = True
    plan = world.convergence().preview()
    assert {step.node_name: step.verb for step in plan.steps} == {"odd": Verb.WAIT, "web": Verb.REPLACE}
    (held,) = plan.of(Verb.WAIT)
    assert held.hold is Hold.DEFINITION
    assert why(plugin) in held.reason


def test_an_infrastructure_with_a_broken_plugin_is_destroyed(world, plugin):
    world.define("web")
    world.build(infrastructure("odd", "web"))
    plugin.broken = True
    world.destroy()
    world.assert_nothing()


def test_an_instance_under_way_waits_for_its_plugin(world, contextualiser):
    world.define("web")
    world.build(infrastructure("odd", "web"))
    lose(world, "odd")
    contextualiser.broken = True
    world.convergence().maintain()
    assert world.told(EventKind.NODE_FAILED) == []
    assert world.told(EventKind.NODE_CREATING) == []


def test_what_needs_an_instance_that_cannot_be_made_waits_with_it(world, contextualiser):
    world.define("web", implementations=[{"contextualisation": userdata("{{ getip('odd') }}")}])
    world.define("other")
    world.build(infrastructure(node("odd", min=0, max=1), node("web", min=0, max=1), node("other", min=0, max=1)))
    world.events.clear()
    contextualiser.broken = True
    for name in ("odd", "web", "other"):
        world.store.request_scaling("infra", name, ScaleKind.SET, 1, "", world.clock.now())
    passed = world.convergence().maintain()
    assert world.told(EventKind.NODE_CREATING) == ["other"]
    assert len(passed.undone) == 1
    reasons = {step.node_name: step.reason for step in world.convergence().preview().of(Verb.WAIT)}
    assert reasons["web"] == "waiting for instances of odd"
    contextualiser.broken = False
    assert world.convergence().maintain() == Passed()
    world.assert_runs({"odd": 1, "web": 1, "other": 1})


def test_a_definition_that_is_gone_holds_its_own_node_alone(world):
    world.define("odd", "web")
    world.build(infrastructure("odd", "web"))
    world.store.remove_definition("odd")
    lose(world, "odd", "web")
    (undone,) = world.convergence().maintain().undone
    why = "waiting for a usable definition: node 'odd': there is no node definition 'odd'"
    assert undone.startswith(why)
    assert world.told(EventKind.NODE_READY) == ["web"]
    assert list(noted(world)) == ["odd"]
    assert noted(world)["odd"].startswith(why)
    world.define("odd")
    world.convergence().maintain()
    assert noted(world) == {}


def test_a_node_that_needs_no_definition_any_more_has_no_note(world):
    world.define("odd", "web")
    world.build(infrastructure(node("odd", min=1, max=3), "web"))
    world.store.remove_definition("odd")
    world.store.request_scaling("infra", "odd", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    assert list(noted(world)) == ["odd"]
    world.store.request_scaling("infra", "odd", ScaleKind.SET, 1, "", world.clock.now())
    world.convergence().maintain()
    assert noted(world) == {}


def test_a_build_ends_the_notes(world):
    world.define("odd", "web")
    world.build(infrastructure("odd", "web"))
    world.store.remove_definition("odd")
    lose(world, "odd")
    world.convergence().maintain()
    assert list(noted(world)) == ["odd"]
    world.build(infrastructure("web"))
    assert noted(world) == {}


BROKEN_STATUS = "the configuration manager 'mine there' breaks its contract: status() raised KeyError (tests/"


def test_a_manager_that_does_not_answer_how_its_nodes_are_is_answered(world):
    def status(self, nodes):
        if type(self).broken:
            raise KeyError("x")
        return super(made, self).status(nodes)

    made = type("Mine", (config_manager(),), {"broken": False, "status": status})
    world.install("config", "mine", made)
    world.define("odd", implementations=[{"config": {"type": "mine", "endpoint": "there"}}])
    world.define("web")
    world.build(infrastructure(node("odd", min=2), "web"))
    world.events.clear()
    made.broken = True
    passed = [world.convergence().maintain() for _ in range(2)]
    (unconfirmed,) = passed[0].unconfirmed
    assert unconfirmed.startswith(f"2 instances of node 'odd' (mine there): {BROKEN_STATUS}")
    assert passed[0].undone == ()
    assert passed[1] == passed[0]
    assert len(waiting(world)) == 2  # one for each process
    made.broken = False
    assert world.convergence().maintain() == Passed()


def test_a_manager_that_cannot_be_set_up_is_one_reason(world, manager):
    world.build(infrastructure(node("odd", min=2)))
    world.events.clear()
    manager.broken = True
    passed = world.convergence().maintain()
    assert passed == Passed(unconfirmed=passed.unconfirmed)
    (unconfirmed,) = passed.unconfirmed
    assert unconfirmed.startswith(f"2 instances of node 'odd' (mine there): {WHY['config']}")
    assert len(waiting(world)) == 1


def test_a_configuration_that_cannot_be_rendered_is_one_reason(world):
    world.install("config", "mine", config_manager())
    world.define("web")
    ways = [{"config": {"type": "mine", "endpoint": "there", "peer": "{{ 1 // (getipall('web')|length - 3) }}"}}]
    world.define("odd", implementations=ways)
    world.build(infrastructure(node("odd", min=2), node("web", min=1, max=3)))
    world.store.request_scaling("infra", "web", ScaleKind.SET, 3, "", world.clock.now())
    passed = world.convergence().maintain()
    (undone,) = passed.undone
    assert undone.startswith("node 'odd': its configuration cannot be rendered: ")


def requested(world, name):
    world.store.request_scaling("infra", name, ScaleKind.REPLACE, 0, "", world.clock.now())


def ids(world, name):
    return {record.node_id for record in world.store.instances("infra") if record.node_name == name}


def test_a_sound_node_is_replaced_as_requested_while_another_has_a_broken_plugin(world, plugin):
    world.define("web")
    world.build(infrastructure(node("odd", min=2), node("web", min=2)))
    odd, web = ids(world, "odd"), ids(world, "web")
    plugin.broken = True
    requested(world, "web")
    plan = world.convergence().preview()
    assert {(step.node_name, step.verb) for step in plan.of(Verb.REPLACE)} == {("web", Verb.REPLACE)}
    world.events.clear()
    world.convergence().maintain()
    assert [event.text for event in world.events if event.kind is EventKind.REPLACEMENT_DONE] == [
        "2 instances replaced"
    ]
    assert world.told(EventKind.REPLACEMENT_REFUSED) == []
    assert ids(world, "odd") == odd
    assert not ids(world, "web") & web
    world.assert_runs({"odd": 2, "web": 2})


def test_a_node_with_a_broken_plugin_is_not_replaced_and_the_request_is_answered(world, contextualiser):
    world.define("web")
    world.build(infrastructure("odd", "web"))
    odd = ids(world, "odd")
    contextualiser.broken = True
    requested(world, "odd")
    world.events.clear()
    world.convergence().maintain()
    (text,) = [event.text for event in world.events if event.kind is EventKind.REPLACEMENT_REFUSED]
    assert why(contextualiser) in text
    assert ids(world, "odd") == odd


def test_a_lost_instance_of_a_broken_plugin_waits_while_another_node_is_replaced(world, contextualiser):
    world.define("web")
    world.build(infrastructure(node("odd", min=2), "web"))
    lost, *_ = [one for one in world.live() if one["owner"]["node_name"] == "odd"]
    world.clock.time += 100
    world.cloud.change(lost["id"], "lose")
    contextualiser.broken = True
    requested(world, "web")
    world.events.clear()
    world.convergence().maintain()
    assert world.told(EventKind.NODE_READY) == ["web"]
    assert len(ids(world, "odd")) == 2
    contextualiser.broken = False
    assert world.convergence().maintain() == Passed()
    world.assert_runs({"odd": 2, "web": 1})


def test_a_sound_node_is_replaced_while_the_provider_of_another_does_not_answer(world):
    def describe(self, ids):
        if type(self).broken:
            raise KeyError("state")
        return super(made, self).describe(ids)

    made = type("Other", (world.handler,), {"broken": False, "describe": describe})
    world.install("resource", "other", made)
    world.define("odd", type="other")
    world.define("web")
    world.build(infrastructure("odd", "web"))
    odd, web = ids(world, "odd"), ids(world, "web")
    made.broken = True
    requested(world, "web")
    world.events.clear()
    passed = world.convergence().maintain()
    assert "web" in world.told(EventKind.NODE_READY)
    assert ids(world, "odd") == odd
    assert ids(world, "web") != web
    assert any("describe() raised KeyError" in text for text in passed.unconfirmed)


@pytest.mark.parametrize("live", [True, False])
def test_settings_with_the_addresses_of_a_held_node_stay_as_they_are(world, contextualiser, live):
    world.install("config", "mine", type("Mine", (config_manager(),), {"live": live}))
    section = {"type": "mine", "endpoint": "there", "peers": "{{ getipall('odd') | join(',') }}"}
    world.define("web", implementations=[{"config": section}])
    world.build(infrastructure(node("odd", min=2), "web"))
    (web,) = [record.node_id for record in world.store.instances("infra") if record.node_name == "web"]
    contextualiser.broken = True
    lost = next(one for one in world.live() if one["owner"]["node_name"] == "odd")
    world.clock.time += 100
    world.cloud.change(lost["id"], "lose")
    for _ in range(4):
        world.convergence().maintain()
        world.clock.time += 60
        plan = world.convergence().preview()
        assert [step.node_name for step in plan.of(Verb.REPLACE, Verb.RECONFIGURE)] == []
    assert [record.node_id for record in world.store.instances("infra") if record.node_name == "web"] == [web]
    contextualiser.broken = False
    assert world.convergence().maintain() == Passed()
    world.assert_runs({"odd": 2, "web": 1})
