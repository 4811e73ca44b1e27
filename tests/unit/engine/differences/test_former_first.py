"""What only one instance at a time can have: the former instance is gone before the new one is created."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shutil

import pytest

from occopus_core.api import AuthError, Feature, PermanentError, QuotaError, TransientError
from occopus_core.engine.passes.errors import AbandonedError, BuildError, InterruptedBuildError, UnconfirmedError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind, Stage

from ..conftest import World, infrastructure, interrupter, node, userdata
from ..fakes import KilledError, Life
from ..passes.test_maintenance_loop import Keeper

PORT = {"port": "{{ variables.port }}", "image": "v{{ variables.version }}", "boot_seconds": 2, "delete_seconds": 3}
HELD = "(it is deleted first: it holds the port 8000)"


def trial(version=1, port="8000", **more):
    return infrastructure("db", node("proxy", port=port, version=version, **more), edges=[("proxy", "db")])


@pytest.fixture
def built(world):
    world.define("db", boot_seconds=2)
    world.define("proxy", **PORT)
    world.build(trial())
    world.clock.time += 600
    world.events.clear()
    return world


def kinds(world, name="proxy"):
    return [one.kind for one in world.events if one.node_name == name]


def ports(world):
    return sorted((one["owner"]["node_name"], one["port"]) for one in world.live() if one["port"])


def assert_former_first(world, name="proxy"):
    seen = kinds(world, name)
    assert seen.index(EventKind.NODE_DROPPED) < seen.index(EventKind.NODE_CREATING)
    assert EventKind.NODE_FAILED not in seen


def reasons(plan, verb):
    return [step.reason for step in plan.of(verb)]


def test_an_update_deletes_the_former_instance_first(built):
    assert [HELD in one for one in reasons(built.convergence().plan(trial(2)), Verb.REPLACE)] == [True]
    built.build(trial(2))
    built.assert_runs({"db": 1, "proxy": 1})
    assert_former_first(built)
    (waited,) = [one.text for one in built.events if one.kind is EventKind.NODE_WAITING and "former" in one.text]
    assert waited == "until the former instance is gone, which holds the port 8000"


def test_another_port_needs_nobody_to_go(built):
    assert reasons(built.convergence().plan(trial(1, "9000")), Verb.REPLACE) == [
        "its definition or its variables have changed"
    ]
    built.build(trial(1, "9000"))
    seen = kinds(built)
    assert seen.index(EventKind.NODE_READY) < seen.index(EventKind.NODE_DROPPING)


def test_it_goes_only_when_the_new_one_may_begin(built):
    built.define("db", boot_seconds=2, image="other")
    built.build(trial(2))
    moments = [(one.kind, one.node_name) for one in built.events]
    assert moments.index((EventKind.NODE_READY, "db")) < moments.index((EventKind.NODE_DROPPING, "proxy"))
    built.assert_runs({"db": 1, "proxy": 1})


@pytest.mark.parametrize("how", ["option", "request"])
def test_a_replacement_deletes_it_first(built, how):
    if how == "option":
        built.convergence().build(trial(), replaced=["proxy"])
    else:
        built.store.request_scaling("infra", "proxy", ScaleKind.REPLACE, 0, "", built.clock.now())
        assert [HELD in one for one in reasons(built.convergence().preview(), Verb.REPLACE)] == [True]
        built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})
    assert_former_first(built)


@pytest.mark.parametrize("how", ["stop", "fail", "lose"])
def test_healing_deletes_the_sick_one_first(built, how):
    (sick,) = [one for one in built.live() if one["owner"]["node_name"] == "proxy"]
    built.cloud.change(sick["id"], how)
    assert [HELD in one for one in reasons(built.convergence().preview(), Verb.REPLACE)] == [True]
    built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})
    assert_former_first(built)


def test_what_another_node_gives_up_is_awaited(built):
    """A node that is renamed, and two nodes that change what they hold."""
    built.define("front", **PORT)
    renamed = infrastructure("db", node("front", "front", port="8000", version=1))
    assert [HELD in one for one in reasons(built.convergence().plan(renamed), Verb.DESTROY)] == [True]
    built.build(renamed)
    built.assert_runs({"db": 1, "front": 1})
    two = infrastructure("db", node("front", port="8000", version=1), node("proxy", port="9000", version=1))
    built.build(two)
    swapped = infrastructure("db", node("front", port="9000", version=1), node("proxy", port="8000", version=1))
    built.build(swapped)
    built.assert_runs({"db": 1, "front": 1, "proxy": 1})
    assert ports(built) == [("front", "9000"), ("proxy", "8000")]


def test_several_instances_are_replaced_one_by_one(world):
    """They share what they hold: it is not theirs alone, but none is beside its successor."""
    shared = world.handler
    shared.exclusive = classmethod(lambda _cls, resource: [f"the volume {resource['image'][0]}"])
    world.define("web", image="v{{ variables.version }}", boot_seconds=2)
    world.build(infrastructure(node("web", min=3, version=1)))
    world.clock.time += 600
    running = []
    world.answered = lambda _operation: running.append(sum(one["state"] == "ready" for one in world.live()))
    world.build(infrastructure(node("web", min=3, version=2)))
    world.assert_runs({"web": 3})
    assert min(running) == 2


def test_a_failed_update_is_rolled_back_and_says_what_lacks(built):
    built.define("proxy", **PORT, fail="no good")
    with pytest.raises(BuildError) as caught:
        built.build(trial(2))
    said = "node 'proxy' has 0 of 1 instances until maintenance makes it as it was"
    assert caught.value.problems[-1] == said
    assert [said in one.text for one in built.events if one.kind is EventKind.ROLLING_BACK] == [True]
    assert reasons(built.convergence().preview(), Verb.CREATE) == ["1 wanted, 0 there"]
    built.define("proxy", **PORT)
    built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})
    assert built.store.infrastructure("infra").description == trial()


def test_a_failure_before_its_turn_keeps_the_former_one(built):
    before = built.store.instances("infra")
    built.define("db", boot_seconds=2, image="other", fail="no good")
    with pytest.raises(BuildError) as caught:
        built.build(trial(2))
    assert len(caught.value.problems) == 1
    built.assert_runs({"db": 1, "proxy": 1})
    assert {one.node_id for one in built.store.instances("infra")} == {one.node_id for one in before}


def test_a_command_that_fails_keeps_the_former_one(built):
    before = built.store.instances("infra")
    built.define("proxy", implementations=[{"contextualisation": userdata("{{ cmd('exit 3') }}")}], **PORT)
    with pytest.raises(BuildError, match="cmd: ") as caught:
        built.build(trial(2))
    assert len(caught.value.problems) == 1
    built.assert_runs({"db": 1, "proxy": 1})
    assert {one.node_id for one in built.store.instances("infra")} == {one.node_id for one in before}


# Whether the new one can be had


def ensuring(world, *answers):
    """The handler answers `ensure` with these in turn, then with an empty text. Returns the tokens it is asked for."""
    left, asked = list(answers), []

    def ensure(_handler, request):
        asked.append(request.token)
        answer = left.pop(0) if left else ""
        if isinstance(answer, Exception):
            raise answer
        return answer

    world.handler.ensure = ensure
    return asked


def assert_kept(world, before):
    """The former instance is in service as before, under the description as before."""
    world.assert_runs({"db": 1, "proxy": 1})
    assert world.store.instances("infra") == before
    assert world.store.infrastructure("infra").description == trial()
    assert EventKind.NODE_DROPPING not in kinds(world)


@pytest.mark.parametrize("how", ["update", "replace"])
def test_what_cannot_be_had_keeps_the_former_one(built, how):
    before = built.store.instances("infra")
    if how == "update":
        built.define("proxy", **{**PORT, "image": "unknown"})
    else:
        built.cloud.set_limits(images=["default"])
    with pytest.raises(BuildError) as caught:
        built.convergence().build(trial(), replaced=["proxy"])
    image = "unknown" if how == "update" else "v1"
    (problem,) = caught.value.problems
    assert problem.endswith(f"memory cloud: image '{image}' does not exist; nothing was deleted for it")
    assert_kept(built, before)


@pytest.mark.parametrize("act", ["heal", "follow"])
def test_maintenance_deletes_nothing_for_what_cannot_be_had(built, act):
    """An ill instance, which may recover, and a healthy one that was made with the address of its dependee."""
    if act == "heal":
        (ill,) = [one for one in built.live() if one["owner"]["node_name"] == "proxy"]
        built.cloud.change(ill["id"], "stop")
    else:
        built.define("proxy", **PORT, implementations=[{"contextualisation": userdata("{{ getip('db') }}")}])
        nodes = tuple(dataclasses.replace(one, when_outdated="replace") for one in trial().nodes)
        built.build(dataclasses.replace(trial(), nodes=nodes))
        (db,) = [one for one in built.live() if one["owner"]["node_name"] == "db"]
        built.cloud.change(db["id"], "lose")
    (before,) = [one for one in built.store.instances("infra") if one.node_name == "proxy"]
    built.cloud.set_limits(images=["default"])
    built.events.clear()
    found = []
    for _ in range(3):
        found += built.convergence().maintain().undone
        built.clock.time += 700
    assert any("image 'v1' does not exist" in one for one in found)
    assert [one.node_id for one in built.store.instances("infra") if one.node_name == "proxy"] == [before.node_id]
    assert EventKind.NODE_DROPPING not in kinds(built)
    built.cloud.set_limits()
    for _ in range(2):
        built.convergence().maintain()
        built.clock.time += 700
    built.assert_runs({"db": 1, "proxy": 1})
    assert [one.node_id for one in built.store.instances("infra") if one.node_name == "proxy"] != [before.node_id]


def test_an_interruption_of_maintenance_keeps_what_was_to_make_way(built):
    (ill,) = [one for one in built.live() if one["owner"]["node_name"] == "proxy"]
    built.cloud.change(ill["id"], "stop")
    ensuring(built, *itertools.repeat("pulling v1", 1000))
    with pytest.raises(AbandonedError):
        interrupter(built, 1, [EventKind.NODE_WAITING]).maintain()
    assert EventKind.NODE_DROPPING not in kinds(built)
    assert ill["id"] in [one.instance_id for one in built.store.instances("infra") if one.stage is Stage.READY]
    ensuring(built)
    built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})
    assert_former_first(built)


@pytest.mark.parametrize("version", [1, 2])
def test_an_ill_one_makes_way_for_a_successor_elsewhere(world, version):
    """The successor needs nothing that the ill one holds: it begins at once."""
    world.define("web", port="80{{ node_id[:2] }}")
    world.build(infrastructure(node("web", min=version)))
    world.clock.time += 600
    for one in world.live()[:1]:
        world.cloud.change(one["id"], "stop")
    asked = ensuring(world)
    world.convergence().maintain()
    world.assert_runs({"web": version})
    assert asked == []


def test_it_stays_in_service_while_the_provider_fetches_what_is_needed(built):
    asked = ensuring(built, "pulling v2: 10 %", TransientError("no answer"), "pulling v2:\n \x1b[31m90 %")
    built.build(trial(2))
    assert_former_first(built)
    assert len(asked) == 4
    seen = [one for one in built.events if one.node_name == "proxy"]
    waited = [one.text for one in seen if one.kind is EventKind.NODE_WAITING]
    assert waited[0] == "pulling v2: 10 %"
    assert waited[1].startswith("no answer (tried again; given up after ")
    assert waited[2:4] == ["pulling v2: 90 %", "until the former instance is gone, which holds the port 8000"]
    dropping = next(number for number, one in enumerate(seen) if one.kind is EventKind.NODE_DROPPING)
    assert dropping > next(number for number, one in enumerate(seen) if one.text == waited[3])


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (itertools.repeat("pulling v2: 10 %"), "not available within 600 s: pulling v2: 10 %"),
        (itertools.repeat(TransientError("no answer")), "not available within 600 s: no answer"),
        ([AuthError("wrong password")], "wrong password"),
        ([QuotaError("the registry limits pulls")], "the registry limits pulls"),
        ([KeyError("x")], r"ensure\(\) raised KeyError"),
        ([None], r"ensure\(\) answered NoneType, expected a text"),
    ],
)
def test_whatever_the_provider_answers_keeps_the_former_one(built, answers, words):
    before = built.store.instances("infra")
    ensuring(built, *itertools.islice(answers, 10_000))
    with pytest.raises(BuildError, match=f"{words}.*; nothing was deleted for it"):
        built.build(trial(2))
    assert_kept(built, before)


@pytest.mark.parametrize("error", [QuotaError("no room"), TransientError("no route", unreached=True)])
@pytest.mark.parametrize("seed", range(4))
def test_another_cloud_takes_over_where_it_cannot_be_had(world, seed, error):
    world.rng.seed(seed)
    failing = two_clouds(world, error, "ensure")
    world.build(infrastructure(node("proxy", version=1)))
    (before,) = world.store.instances("infra")
    failing.add("a" if '"a"' in before.connection else "b")
    world.build(infrastructure(node("proxy", version=2)))
    world.assert_runs({"proxy": 1})
    assert world.store.instances("infra")[0].connection != before.connection


def test_a_handler_without_the_feature_is_not_asked(built):
    asked = ensuring(built, PermanentError("never"))
    built.handler.features = frozenset(Feature) - {Feature.ENSURE}
    built.build(trial(2))
    assert_former_first(built)
    assert asked == []


def test_a_new_one_that_is_in_nobodys_way_is_not_asked_for(built):
    asked = ensuring(built, PermanentError("never"))
    built.build(trial(1, "9000"))
    built.assert_runs({"db": 1, "proxy": 1})
    assert asked == []


def test_an_interruption_after_the_deletion_says_what_lacks(built):
    build = interrupter(built, 1, [EventKind.NODE_DROPPED])
    with pytest.raises(InterruptedBuildError, match="node 'proxy' has 0 of 1 instances until maintenance"):
        build.build(trial(2))
    built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})
    assert built.store.infrastructure("infra").description == trial()


def test_a_deletion_that_is_not_confirmed_fails_the_new_one(built):
    built.cloud.set_faults([{"kind": "permanent", "operation": "delete", "count": 1000}])
    with pytest.raises(BuildError, match="the former instance, which is in its way, is not deleted: "):
        built.build(trial(2))
    built.cloud.set_faults([])
    built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})


def refuse_deletions(world):
    world.cloud.set_faults([{"kind": "permanent", "operation": "delete", "count": 1000}])


def test_a_new_one_that_begins_after_a_deletion_was_given_up_fails_at_once(built):
    """It had to wait for a dependee that is replaced, too."""
    for one in built.live():
        built.cloud.change(one["id"], "stop")
    refuse_deletions(built)
    (undone,) = built.convergence().maintain().undone
    assert "the former instance, which is in its way, is not deleted: " in undone
    built.cloud.set_faults([])
    built.clock.time += 60
    built.convergence().maintain()
    built.assert_runs({"db": 1, "proxy": 1})


def test_all_new_ones_fail_where_a_deletion_is_given_up(world):
    """They take turns, and wait for an instance of a node that is not described any more."""
    world.handler.unshared = classmethod(lambda _cls, resource: [])
    world.define("old", "new", port="8000")
    world.build(infrastructure("old"))
    lease = world.store.acquire("infra", "test", world.clock.now())
    with world.store.changing(lease) as change:
        change.finish_build(infrastructure(node("new", min=2)), {"new": 2})
    world.store.release(lease)
    refuse_deletions(world)
    assert len(world.convergence().maintain().undone) == 1, "both have the same reason"
    assert world.told(EventKind.NODE_FAILED) == ["new", "new"]
    assert [one.node_name for one in world.store.instances("infra")] == ["old"]


def two_clouds(world, error, *operations):
    """Clouds `a` and `b`; calls of the operations fail at the endpoints in the returned set."""
    failing = set()

    class Handler(world.handler):
        def _call(self, operation):
            if operation in operations and self.connection.settings["endpoint"] in failing:
                raise error

        def ensure(self, request):
            self._call("ensure")
            return super().ensure(request)

        def create(self, request):
            self._call("create")
            return super().create(request)

        def delete(self, ids):
            self._call("delete")
            return super().delete(ids)

        def list_owned(self, owner):
            self._call("list")
            return super().list_owned(owner)

    world.install("resource", "memory", Handler)
    ways = [{"resource": {"endpoint": name, "project": name}} for name in ("a", "b")]
    world.define("proxy", implementations=ways, port="8000", image="v{{ variables.version }}")
    return failing


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("error", [PermanentError("refused"), TransientError("no route", unreached=True)])
def test_another_cloud_takes_over_where_the_former_one_cannot_be_deleted(world, seed, error):
    world.rng.seed(seed)
    failing = two_clouds(world, error, "create", "delete", "list")
    world.build(infrastructure(node("proxy", version=1)))
    (before,) = world.store.instances("infra")
    failing.add("a" if '"a"' in before.connection else "b")
    with pytest.raises(UnconfirmedError):
        world.build(infrastructure(node("proxy", version=2)))
    failing.clear()
    world.convergence().maintain()
    world.assert_runs({"proxy": 1})
    assert world.store.instances("infra")[0].connection != before.connection


def test_what_a_declined_creation_has_left_is_given_up_once(world):
    """Its deletion is unconfirmed before the build fails and is undone."""
    failing = two_clouds(world, PermanentError("refused"), "list")
    failing.update("ab")
    world.cloud.set_faults(
        [
            {"kind": "quota", "operation": "create", "nth": 1},
            {"kind": "error_500", "operation": "create", "nth": 2},
            {"kind": "quota", "operation": "create", "nth": 3},
        ]
    )
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure(node("proxy", version=1)))
    assert len(caught.value.unconfirmed) == 2


@pytest.mark.parametrize("moment", ["after commit", "in a call"])
@pytest.mark.parametrize("act", ["update", "heal"])
def test_a_kill_at_any_moment_loses_nothing(tmp_path, empty_store, moment, act):
    for number in itertools.count(1):
        shutil.copy(empty_store, tmp_path / f"{number}.db")
        world = World(tmp_path / f"{number}.db")
        world.define("db", boot_seconds=2)
        world.define("proxy", **PORT)
        world.build(trial())
        world.clock.time += 600
        life = Life(moment, number)
        world.during = lambda _operation, life=life: life.moment("in a call")
        world.answered = lambda _operation, life=life: life.moment("after a call")
        if act == "heal":
            world.cloud.change(next(one["id"] for one in world.live() if one["port"]), "stop")
        killed = world.convergence(life=life, holder="killed")
        with contextlib.suppress(KilledError):
            killed.build(trial(2)) if act == "update" else killed.maintain()
        world.during = world.answered = lambda _operation: None
        world.clock.time += 60
        world.convergence().maintain()
        world.assert_runs({"db": 1, "proxy": 1})
        if not life.over:
            return


def test_a_plugin_that_answers_nonsense_is_named(built):
    built.handler.exclusive = classmethod(lambda _cls, resource: [8000] if resource["image"] == "v2" else ["the port"])
    with pytest.raises(BuildError, match=r"exclusive\(\) answered a value that is not a sequence of texts"):
        built.build(trial(2))
    built.assert_runs({"db": 1, "proxy": 1})


def test_what_an_old_instance_holds_is_what_its_successor_needs_where_it_is_not_known(built):
    """Its section cannot be rendered any more."""
    described = built.handler.exclusive

    def unknown(resource):
        if resource["image"] == "v1":
            raise LookupError
        return described(resource)

    built.handler.exclusive = staticmethod(unknown)
    assert [HELD in one for one in reasons(built.convergence().plan(trial(2)), Verb.REPLACE)] == [True]
    built.build(trial(2))
    assert_former_first(built)


# What an instance has that stays


SWAPPED = "it needs the port 9000, which node 'other' has: change what one of them asks for"


@pytest.fixture
def occupied(world):
    """`other`, which stays, has the port 9000, and the definition of `proxy` has come to ask for it."""
    world.define("proxy", **PORT)
    world.define("other", port="{{ variables.port }}", image="v1")
    world.build(infrastructure(node("proxy", port="8000", version=1), node("other", port="9000")))
    world.clock.time += 600
    world.define("proxy", **{**PORT, "port": "9000"})
    world.define("other", port="7000")
    world.events.clear()
    return world


def test_a_replacement_that_needs_what_another_node_keeps_is_refused_before_anything_is_deleted(occupied):
    before = occupied.store.instances("infra")
    occupied.store.request_scaling("infra", "proxy", ScaleKind.REPLACE, 0, "", occupied.clock.now())
    with pytest.raises(InvalidDesignError, match=SWAPPED):
        occupied.convergence().preview()
    (undone,) = occupied.convergence().maintain().undone
    assert SWAPPED in undone
    (refused,) = [one for one in occupied.store.events("infra") if one.kind == EventKind.REPLACEMENT_REFUSED.value]
    assert SWAPPED in refused.text
    assert occupied.store.instances("infra") == before
    assert occupied.store.pending_requests("infra") == []


def test_healing_that_needs_what_another_node_keeps_waits_with_the_reason(occupied):
    (sick,) = [one for one in occupied.live() if one["port"] == "8000"]
    occupied.cloud.change(sick["id"], "stop")
    (held,) = occupied.convergence().preview().of(Verb.WAIT)
    assert (held.node_name, held.hold, held.reason) == ("proxy", Hold.TAKEN, f"it was stopped; {SWAPPED}")
    assert occupied.convergence().maintain().undone == (f"node 'proxy': {held.reason}",)
    assert occupied.store.infrastructure("infra").undefined == {"proxy": held.reason}
    assert [one.text for one in occupied.events if one.kind is EventKind.HELD] == [f"node 'proxy': {held.reason}"]
    assert occupied.told(EventKind.NODE_DROPPING) == []


@pytest.mark.parametrize("way", ["plan", "build"])
def test_a_description_in_which_two_nodes_need_the_same_is_refused(built, way):
    before = built.store.instances("infra")
    built.define("front", **PORT)
    clashing = infrastructure("db", node("proxy", port="8000", version=2), node("front", port="8000", version=1))
    with pytest.raises(InvalidDesignError) as caught:
        getattr(built.convergence(), way)(clashing)
    (problem,) = caught.value.problems
    assert problem == "node 'front': it needs the port 8000, which node 'proxy' has: change what one of them asks for"
    assert built.store.instances("infra") == before


def test_a_first_build_in_which_two_instances_need_the_same_is_refused(world):
    world.define("proxy", port="8000")
    twice = infrastructure(node("proxy", min=2))
    only_one = (
        "node 'proxy': only one of its instances can have the port 8000: "
        "give the node one instance, or change its definition so that each has its own"
    )
    for way in ("plan", "build", "check"):
        with pytest.raises(InvalidDesignError) as caught:
            getattr(world.convergence(), way)(twice)
        assert caught.value.problems == (only_one,)
    assert world.events == []


def test_scaling_beyond_what_can_be_waits_with_the_reason(world):
    world.define("proxy", port="8000")
    world.build(infrastructure(node("proxy", max=3)))
    world.store.request_scaling("infra", "proxy", ScaleKind.SET, 3, "", world.clock.now())
    world.convergence().maintain()
    created = world.calls("create")
    (undone,) = world.convergence().maintain().undone
    assert undone.startswith("node 'proxy': 3 wanted, 1 there; only one of its instances can have the port 8000: ")
    assert world.calls("create") == created == 1
    world.store.request_scaling("infra", "proxy", ScaleKind.SET, 1, "", world.clock.now())
    assert world.convergence().maintain().undone == ()
    assert world.store.infrastructure("infra").undefined == {}


def test_scaling_waits_while_the_first_instance_is_only_reserved(world):
    """It waits for another node, and will take the port."""
    world.define("db", boot_seconds=100)
    world.define("proxy", port="8000")
    world.build(infrastructure("db", node("proxy", max=3), edges=[("proxy", "db")]))
    world.clock.time += 600
    world.events.clear()
    for one in world.live():
        world.cloud.change(one["id"], "lose")
    seen = []

    def ask():
        seen.extend(one.stage for one in world.store.instances("infra") if one.node_name == "proxy")
        world.store.request_scaling("infra", "proxy", ScaleKind.SET, 2, "", world.clock.now())

    keeper = Keeper(world, interval=10.0)
    keeper.rounds.attach("infra")
    keeper.after(40, ask)
    keeper.run(200)
    assert {*seen} == {Stage.READY, Stage.RESERVED}  # the lost one goes when the new one may begin
    assert world.told(EventKind.NODE_FAILED) == []
    world.assert_runs({"db": 1, "proxy": 1})
    held = world.store.infrastructure("infra").undefined["proxy"]
    assert held.startswith("2 wanted, 1 there; only one of its instances can have the port 8000: ")


def test_a_build_of_as_many_as_were_asked_for_is_refused(world):
    """The description alone wants one."""
    world.define("proxy", port="8000")
    trial = infrastructure(node("proxy", max=2))
    world.build(trial)
    world.store.request_scaling("infra", "proxy", ScaleKind.SET, 2, "", world.clock.now())
    world.convergence().maintain()
    with pytest.raises(InvalidDesignError, match="only one of its instances can have the port 8000"):
        world.build(trial)
    world.assert_runs({"proxy": 1})


def test_instances_may_have_ports_of_their_own(world):
    world.define("proxy", port="80{{ node_id[:2] }}")
    world.build(infrastructure(node("proxy", min=2)))
    world.assert_runs({"proxy": 2})


def test_another_cloud_has_room_for_a_second_one(world):
    two_clouds(world, PermanentError("never"))
    world.rng.seed(1)
    world.convergence().check(infrastructure(node("proxy", min=2, version=1)))


def test_what_may_be_shared_is_no_reason_to_refuse(world):
    world.handler.unshared = classmethod(lambda _cls, resource: [])
    world.define("web", image="v1")
    world.handler.exclusive = classmethod(lambda _cls, resource: ["the volume data"])
    world.build(infrastructure(node("web", min=2), node("app", "web")))
    world.assert_runs({"web": 2, "app": 1})
