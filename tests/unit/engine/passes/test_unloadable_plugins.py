"""A plugin that cannot be loaded holds the nodes that use it; maintenance goes on with all others."""

import json

import pytest

from occopus_core.api import Verdict
from occopus_core.credentials import Credentials
from occopus_core.engine.passes.costing import costs
from occopus_core.engine.passes.errors import Passed, UnconfirmedError
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.registry import Registry
from occopus_core.store.records import Condition, ScaleKind

from ..conftest import infrastructure, node
from ..fakes import config_manager, contextualiser, health_checker

MINE = {"config": {"type": "mine", "endpoint": "there"}}
WAYS = {
    "resource": {"resource": {"type": "mine"}},
    "config": MINE,
    "health": {"checks": {"mine": 1}},
    "context": {"contextualisation": {"type": "mine"}},
}


def sound(world, kind):
    made = {
        "resource": lambda: type("Mine", (world.handler,), {}),
        "config": config_manager,
        "health": lambda: health_checker(lambda _probe: Verdict(True)),
        "context": contextualiser,
    }
    return made[kind]()


class Site:
    """An infrastructure with a node `odd`, whose plugin of one kind can be broken, and a node `web`."""

    def __init__(self, world, kind):
        self.world, self.kind, self.sound = world, kind, sound(world, kind)
        self.repair()
        world.define("odd", implementations=[WAYS[kind]])
        world.define("web")
        world.build(infrastructure(node("odd", min=1, max=3), node("web", min=1, max=3)))
        world.clock.time += 100
        world.events.clear()

    def break_(self):
        self.world.install(self.kind, "mine", type("Mine", (self.sound,), {"connection_keys": 5, "forms": 5}))
        if self.kind == "health":
            self.world.install(self.kind, "mine", type("Mine", (self.sound,), {"powers": 5}))

    def uninstall(self):
        self.world.registry = Registry({k: v for k, v in self.world._plugins.items() if k != (self.kind, "mine")})

    def repair(self):
        self.world.install(self.kind, "mine", self.sound)

    def lose(self, *names):
        for one in self.world.live():
            if one["owner"]["node_name"] in names:
                self.world.cloud.change(one["id"], "lose")


@pytest.fixture(params=list(WAYS))
def site(request, world):
    return Site(world, request.param)


@pytest.fixture
def clouds(world):
    return Site(world, "resource")


@pytest.mark.parametrize("how", ["break_", "uninstall"])
def test_all_other_nodes_are_healed_and_scaled(world, site, how):
    getattr(site, how)()
    site.lose("web")
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    assert world.told(EventKind.NODE_READY) == ["web", "web"]
    assert world.told(EventKind.HEALING) == ["web"]
    site.repair()
    assert world.convergence().maintain() == Passed()
    world.assert_runs({"odd": 1, "web": 2})


def test_nodes_that_need_it_are_held_with_the_reason(world, site):
    site.break_()
    world.store.request_scaling("infra", "odd", ScaleKind.SET, 2, "", world.clock.now())
    passed = world.convergence().maintain()
    (undone,) = passed.undone
    assert undone.startswith("waiting for a usable definition: ")
    assert "'mine'" in undone
    assert "breaks its contract" in undone
    assert list(world.store.infrastructure("infra").undefined) == ["odd"]
    (held,) = world.convergence().preview().of(Verb.WAIT)
    assert (held.node_name, held.hold) == ("odd", Hold.DEFINITION)
    assert world.told(EventKind.NODE_CREATING) == []


def test_instances_of_a_provider_whose_plugin_cannot_be_loaded_are_unknown(world, clouds):
    clouds.uninstall()
    clouds.lose("odd")
    passed = world.convergence().maintain()
    (unconfirmed,) = passed.unconfirmed
    assert unconfirmed.startswith("node 'odd' (mine memory): there is no resource handler 'mine'")
    assert passed == world.convergence().maintain()
    (record,) = [one for one in world.store.instances("infra") if one.node_name == "odd"]
    assert record.condition is Condition.UNKNOWN
    assert record.reason.startswith("there is no resource handler 'mine'")
    waits = [event.text for event in world.events if event.kind is EventKind.WAITING]
    assert waits[0].startswith("for a provider: there is no resource handler 'mine'")
    clouds.repair()
    world.convergence().maintain()
    assert world.told(EventKind.HEALING) == ["odd"]


@pytest.mark.parametrize("kind", ["health", "config"])
def test_an_unloadable_checker_or_manager_is_unconfirmed(world, kind):
    site = Site(world, kind)
    site.break_()
    passed = world.convergence().maintain()
    (unconfirmed,) = passed.unconfirmed
    assert unconfirmed.startswith("node 'odd' (")
    assert "breaks its contract" in unconfirmed


def test_instances_for_which_several_credentials_apply_are_unknown_and_others_are_healed(world, clouds, tmp_path):
    entries = [{"type": "mine", "auth_data": {"p": "secret-1"}}, {"endpoint": "memory", "auth_data": {"p": "secret-2"}}]
    (tmp_path / "auth.yaml").write_text(json.dumps({"resource": entries[:1]}))
    world.credentials = Credentials.load(str(tmp_path / "auth.yaml"), {})
    convergence = world.convergence()
    assert convergence.maintain() == Passed()
    (tmp_path / "auth.yaml").write_text(json.dumps({"resource": entries}))
    world.credentials = Credentials.load(str(tmp_path / "auth.yaml"), {})
    clouds.lose("odd", "web")
    passed = world.convergence().maintain()
    said = f"the entries at {tmp_path}/auth.yaml:1:15 and {tmp_path}/auth.yaml:1:"
    (unconfirmed,) = passed.unconfirmed
    assert unconfirmed.startswith("node 'odd' (mine memory): ")
    assert said in unconfirmed
    assert unconfirmed.endswith("all apply to type 'mine' endpoint 'memory': add keys so that only one does")
    assert world.told(EventKind.HEALING) == ["web"]
    (record,) = [one for one in world.store.instances("infra") if one.node_name == "odd"]
    assert record.condition is Condition.UNKNOWN
    with pytest.raises(UnconfirmedError, match="all apply to type 'mine'"):
        world.destroy()
    world.credentials = Credentials()
    world.destroy()
    world.assert_nothing()


def test_a_plugin_is_not_tried_again_for_each_instance(world, clouds):
    world.store.request_scaling("infra", "odd", ScaleKind.SET, 3, "", world.clock.now())
    world.convergence().maintain()
    tried = []

    class Counting(Registry):
        def resource(self, name):
            tried.append(name)
            return super().resource(name)

    clouds.uninstall()
    world.registry = Counting({key: made for key, made in world._plugins.items() if key[1] != "mine"})
    world.convergence().preview()
    assert 0 < tried.count("mine") < len(world.live())


def test_a_destruction_leaves_its_instances_unconfirmed(world, clouds):
    clouds.uninstall()
    with pytest.raises(UnconfirmedError, match="there is no resource handler 'mine'"):
        world.destroy()
    clouds.repair()
    world.destroy()
    world.assert_nothing()


def test_costs_that_cannot_be_asked_for_are_told(world, clouds):
    clouds.uninstall()
    told = []
    resources = world.resources()
    found = costs(resources.connections, resources.store, resources.store.instances("infra"), told.append)
    (text,) = told
    assert text.startswith("there is no resource handler 'mine'")
    assert list(found["odd"].values()) == [None]
    assert list(found) == ["odd", "web"]
