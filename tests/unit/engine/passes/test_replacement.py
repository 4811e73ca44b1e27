"""A stored request to replace a node: as `occopus-build --replace` does, once, whatever happens meanwhile."""

from __future__ import annotations

import itertools

import pytest

from occopus_core.api.errors import AuthError, TransientError
from occopus_core.engine.passes.errors import BuildError
from occopus_core.engine.passes.maintenance_loop import WAKE_SECONDS
from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureState, ScaleKind, Stage

from ..conftest import infrastructure, node, userdata
from ..fakes import KilledError, Life
from .test_maintenance_loop import Keeper

TRIAL = infrastructure("db", node("web", min=2, max=5), "lb", edges=[("web", "db"), ("lb", "web")])
RUNS = {"db": 1, "web": 2, "lb": 1}


@pytest.fixture
def built(world):
    world.define("db", "web", boot_seconds=1)
    world.define("lb", implementations=[{"contextualisation": userdata("to {{ getipall('web')|join }}")}])
    world.build(TRIAL)
    world.clock.time += 60
    world.events.clear()
    return world


def ask(world, name="web", infra_id="infra"):
    world.store.request_scaling(infra_id, name, ScaleKind.REPLACE, 0, "", world.clock.now())


def ids(world, infra_id="infra"):
    found = {}
    for row in world.store.instances(infra_id):
        found.setdefault(row.node_name, set()).add(row.node_id)
    return found


def said(world, kind, infra_id="infra"):
    return [(one.node_name, one.text) for one in world.store.events(infra_id) if one.kind == kind.value]


def assert_replaced(world, before, name="web", infra_id="infra"):
    after = ids(world, infra_id)
    assert not before[name] & after[name]
    assert {other: after[other] for other in after if other != name} == {
        other: before[other] for other in before if other != name
    }
    world.assert_runs(RUNS, infra_id)
    assert world.store.pending_requests(infra_id) == []


def test_all_instances_of_the_node_are_replaced_once_and_no_others(built):
    before = ids(built)
    ask(built)
    assert built.convergence().preview().of(Verb.REPLACE) == [
        step for step in built.convergence().preview().steps if step.node_name == "web"
    ]
    built.convergence().maintain()
    assert_replaced(built, before)
    after = ids(built)
    built.convergence().maintain()
    assert ids(built) == after
    assert said(built, EventKind.REPLACEMENT_REQUESTED) == [("web", "")]
    assert said(built, EventKind.REPLACEMENT_DONE) == [("web", "2 instances replaced")]
    assert said(built, EventKind.NODE_OUTDATED)[-1][0] == "lb", "its dependents stay, and are named"


def test_instances_that_go_with_a_scaling_down_do_not_count_as_replaced(built):
    built.store.request_scaling("infra", "web", ScaleKind.SET, 4, "", built.clock.now())
    built.convergence().maintain()
    built.store.request_scaling("infra", "web", ScaleKind.SET, 3, "", built.clock.now())
    ask(built)
    built.convergence().maintain()
    assert said(built, EventKind.REPLACEMENT_DONE) == [("web", "3 instances replaced")]
    assert len(ids(built)["web"]) == 3


def test_new_instances_are_ready_before_the_former_ones_go(built):
    ask(built)
    built.convergence().maintain()
    kinds = [one.kind for one in built.events if one.node_name == "web"]
    ready = [at for at, kind in enumerate(kinds) if kind is EventKind.NODE_READY]
    going = [at for at, kind in enumerate(kinds) if kind is EventKind.NODE_DROPPING]
    assert len(ready) == len(going) == 2
    assert max(ready) < min(going)


def test_definitions_that_have_changed_since_replace_no_other_node(built):
    built.define("db", image="another")
    before = ids(built)
    ask(built)
    built.convergence().maintain()
    assert_replaced(built, before)


def test_one_request_of_two_nodes_and_two_of_one(built):
    before = ids(built)
    ask(built, "db")
    ask(built, "web")
    ask(built, "web")
    built.convergence().maintain()
    after = ids(built)
    assert not before["db"] & after["db"]
    assert not before["web"] & after["web"]
    assert before["lb"] == after["lb"]
    assert built.calls("create") == 4 + 3
    assert built.store.pending_requests("infra") == []


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_a_kill_at_any_commit_replaces_each_instance_once(built, moment):
    for at in itertools.count(1):
        infra_id = f"infra{at}"
        built.build(TRIAL, infra_id=infra_id)
        before = ids(built, infra_id)
        ask(built, infra_id=infra_id)
        life = Life(moment, at)
        try:
            built.convergence(infra_id, life=life).maintain()
        except KilledError:
            built.clock.time += 60
            for _ in range(2):
                built.convergence(infra_id).maintain()
        assert_replaced(built, before, infra_id=infra_id)
        made = {one.node_id for one in built.store.events(infra_id) if one.kind == EventKind.NODE_CREATING.value}
        assert len(made) <= 4 + 2, "no instance was replaced twice"
        assert said(built, EventKind.REPLACEMENT_DONE, infra_id) == [("web", "2 instances replaced")]
        if not life.over:
            assert at > 5, "it was never killed"
            return


def test_one_that_fails_is_undone_answered_and_not_tried_again(built):
    built.define("web", fail="no such image", boot_seconds=1)
    before = ids(built)
    ask(built)
    with pytest.raises(BuildError):
        built.convergence().maintain()
    assert ids(built) == before
    ((name, text),) = said(built, EventKind.REPLACEMENT_REFUSED)
    assert name == "web"
    assert "no such image" in text
    assert built.store.pending_requests("infra") == []
    created = built.calls("create")
    built.convergence().maintain()
    assert built.calls("create") == created
    built.assert_runs(RUNS)


def test_one_without_a_usable_definition_is_refused(built):
    built.store.remove_definition("web")
    before = ids(built)
    ask(built)
    passed = built.convergence().maintain()
    assert "the requested replacement was not made" in passed.undone[0]
    assert "web" in said(built, EventKind.REPLACEMENT_REFUSED)[0][1]
    assert ids(built) == before
    assert built.store.pending_requests("infra") == []


def test_an_instance_that_is_to_go_goes_and_is_not_replaced(built):
    gone = next(iter(ids(built)["web"]))
    built.store.request_scaling("infra", "web", ScaleKind.SET, 3, "", built.clock.now())
    built.convergence().maintain()
    built.store.request_scaling("infra", "web", ScaleKind.CHANGE, -1, gone, built.clock.now())
    ask(built)
    created = built.calls("create")
    assert len(built.convergence().preview().of(Verb.REPLACE)) == 2
    built.convergence().maintain()
    built.assert_runs(RUNS)
    assert built.calls("create") == created + 2
    assert said(built, EventKind.SCALE_APPLIED)[-1] == ("web", "3 -> 2")
    assert said(built, EventKind.SCALE_REFUSED) == []


def test_maintenance_begins_within_a_second_and_scales_as_well(built):
    before = ids(built)
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.after(52.5, lambda: ask(built))
    keeper.after(52.6, lambda: built.store.request_scaling("infra", "web", ScaleKind.CHANGE, 1, "", 0.0))
    keeper.run(52.5 + WAKE_SECONDS + 10)
    after = ids(built)
    assert len(after["web"]) == 3
    assert not before["web"] & after["web"]
    assert built.store.infrastructure("infra").state is InfrastructureState.READY


def test_a_pass_that_waits_for_an_instance_makes_way(built):
    """The one that boots for ever is replaced with the others of its node."""
    built.define("web", boot_seconds=100_000)
    built.cloud.change(next(one["id"] for one in built.live() if one["owner"]["node_name"] == "web"), "fail", "gone")
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.after(30, lambda: (built.define("web", boot_seconds=1), ask(built)))
    keeper.run(60)
    built.assert_runs(RUNS)
    assert said(built, EventKind.REPLACEMENT_DONE)[0][0] == "web"


def test_it_waits_for_a_provider_that_does_not_answer(built):
    before, away = ids(built), [True]

    def describe(operation):
        if operation == "describe" and away[0]:
            raise TransientError("the cloud is away")

    built.during = describe
    ask(built)
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    keeper.run(90)
    assert ids(built) == before
    assert len(built.store.pending_requests("infra")) == 1
    keeper = Keeper(built)
    keeper.rounds.attach("infra")
    away[0] = False
    keeper.run(90)
    assert_replaced(built, before)


def test_one_that_waits_behind_a_requested_description_keeps_no_maintenance_from_other_clouds(world):
    def describe(handler, ids):
        if handler.connection.settings["endpoint"] == "elsewhere":
            raise AuthError("no such user")  # at once, so that nothing but the interval limits the passes
        return answer(handler, ids)

    world.define("web")
    world.define("far", endpoint="elsewhere")
    world.build(infrastructure("web", "far"))
    world.clock.time += 60
    answer, world.handler.describe = world.handler.describe, describe
    [gone] = [one.instance_id for one in world.store.instances("infra") if one.node_name == "web"]
    world.cloud.change(gone, "fail", "gone")
    world.store.updates.request(
        "infra", infrastructure("web", node("far", min=2)), world.clock.now(), lambda _record: None
    )
    ask(world, "far")
    keeper = Keeper(world)
    keeper.rounds.attach("infra")
    keeper.run(90)
    [web] = [one for one in world.store.instances("infra") if one.node_name == "web"]
    assert web.instance_id != gone
    assert len(keeper.taken) <= 20, "about one for each interval"
    assert len(world.store.pending_requests("infra")) == 1, "it is not forgotten"


def test_a_build_of_another_description_carries_it_out_too(built):
    before = ids(built)
    ask(built)
    built.build(infrastructure("db", node("web", min=2, max=6), "lb", edges=[("web", "db"), ("lb", "web")]))
    assert_replaced(built, before)
    assert built.store.infrastructure("infra").description.nodes[1].scaling.max == 6


def test_one_for_a_node_that_is_described_no_more_is_refused(built):
    ask(built, "lb")
    built.build(infrastructure("db", node("web", min=2, max=5), edges=[("web", "db")]))
    assert said(built, EventKind.REPLACEMENT_REFUSED) == [("lb", "there is no node 'lb'")]
    assert built.store.pending_requests("infra") == []


def test_destruction_comes_before_it(built):
    ask(built)
    built.store.request_destroy("infra")
    built.convergence().maintain()
    built.assert_nothing()


# Only what its nodes need

WITH_OTHER = infrastructure("db", "proxy", "other", edges=[("proxy", "db")])


@pytest.fixture
def others(world):
    """`proxy`, of which there is only one at a time, needs `db`; no instance of `other` can be made any more."""
    world.define("db", "other", boot_seconds=1)
    world.define("proxy", port="8000", boot_seconds=1)
    world.build(WITH_OTHER)
    world.clock.time += 600
    refuse(world, "other")
    world.events.clear()
    return world


@pytest.fixture(params=["request", "option"])
def replace_proxy(request, others):
    """Replace `proxy`; returns the plan of before."""

    def replace():
        if request.param == "request":
            ask(others, "proxy")
            plan = others.convergence().preview()
            others.convergence().maintain()
        else:
            plan = others.convergence().plan(WITH_OTHER, replaced=["proxy"])
            others.convergence().build(WITH_OTHER, replaced=["proxy"])
        return plan

    return replace


def refuse(world, name):
    world.cloud.set_faults([{"kind": "permanent", "operation": "create", "node_name": name, "count": 1000}])


def lose(world, *names):
    for one in world.live():
        if one["owner"]["node_name"] in names:
            world.cloud.change(one["id"], "lose")


def assert_only_proxy_replaced(world, before, plan):
    assert [step.node_name for step in plan.of(Verb.REPLACE, Verb.CREATE)] == ["proxy"]
    after = ids(world)
    assert len(after["proxy"]) == 1
    assert not before["proxy"] & after["proxy"]
    assert before["db"] == after["db"]
    assert EventKind.ROLLING_BACK not in [one.kind for one in world.events]


def test_the_failure_of_another_node_neither_hinders_nor_undoes_it(others, replace_proxy):
    before = ids(others)
    lose(others, "other")
    plan = replace_proxy()
    (held,) = plan.of(Verb.WAIT)
    assert (held.node_name, held.hold) == ("other", Hold.REPLACEMENT)
    assert held.reason == "the provider does not know it any more; it is left to maintenance"
    assert_only_proxy_replaced(others, before, plan)
    refuse(others, "none")
    others.clock.time += 600
    others.convergence().maintain()
    others.assert_runs({"db": 1, "proxy": 1, "other": 1})


def test_missing_instances_of_another_node_are_left_to_maintenance(others, replace_proxy):
    lose(others, "other")
    others.convergence().maintain()
    others.clock.time += 600
    before = ids(others)
    assert "other" not in before
    plan = replace_proxy()
    assert [(step.node_name, step.reason) for step in plan.of(Verb.WAIT)] == [
        ("other", "1 wanted, 0 there; it is left to maintenance")
    ]
    assert_only_proxy_replaced(others, before, plan)


def test_an_instance_of_another_node_that_is_under_way_is_left_to_maintenance(others):
    (other,) = [one for one in others.store.instances("infra") if one.node_name == "other"]
    others.rewrite(other, stage=Stage.CREATING, instance_id=None)
    before = ids(others)
    plan = others.convergence().plan(WITH_OTHER, replaced=["proxy"])
    assert [step.reason for step in plan.of(Verb.WAIT)] == [
        "its creation is under way (creating); it is left to maintenance"
    ]
    others.convergence().build(WITH_OTHER, replaced=["proxy"])
    assert_only_proxy_replaced(others, before, plan)
    assert [one.stage for one in others.store.instances("infra") if one.node_name == "other"] == [Stage.CREATING]


def test_a_deletion_of_another_node_is_left_to_maintenance(others):
    (other,) = [one for one in others.store.instances("infra") if one.node_name == "other"]
    others.rewrite(other, stage=Stage.DROPPING)
    before = ids(others)
    others.convergence().build(WITH_OTHER, replaced=["proxy"])
    assert before["other"] == ids(others)["other"]
    others.convergence().maintain()
    assert "other" not in ids(others)


def test_a_freeze_because_of_another_node_stays(others, replace_proxy):
    before = ids(others)
    lease = others.store.acquire("infra", "test", others.clock.now())
    with others.store.changing(lease) as change:
        change.put_frozen("many fail")
    others.store.release(lease)
    lose(others, "other")
    plan = replace_proxy()
    assert_only_proxy_replaced(others, before, plan)
    kinds = [one.kind for one in others.events]
    assert EventKind.UNFROZEN not in kinds[: kinds.index(EventKind.NODE_DROPPED)]


def test_what_it_depends_on_is_made_first_where_no_instance_is_left(others, replace_proxy):
    before = ids(others)
    lose(others, "db", "other")
    plan = replace_proxy()
    assert [step.node_name for step in plan.of(Verb.REPLACE)] == ["db", "proxy"]
    after = ids(others)
    assert not before["db"] & after["db"]
    assert not before["proxy"] & after["proxy"]
    moments = [(one.kind, one.node_name) for one in others.events]
    assert moments.index((EventKind.NODE_READY, "db")) < moments.index((EventKind.NODE_DROPPING, "proxy"))


def test_the_former_instance_stays_where_what_it_depends_on_cannot_be_made(others, replace_proxy):
    before = ids(others)
    lose(others, "db")
    refuse(others, "db")
    with pytest.raises(BuildError):
        replace_proxy()
    assert ids(others) == before


def test_one_is_refused_where_what_it_depends_on_has_no_usable_definition(others):
    before = ids(others)
    lose(others, "db")
    others.store.remove_definition("db")
    ask(others, "proxy")
    others.convergence().maintain()
    ((name, text),) = said(others, EventKind.REPLACEMENT_REFUSED)
    assert name == "proxy"
    assert text.startswith("waiting for a usable definition: node 'db': there is no node definition 'db'")
    assert ids(others)["proxy"] == before["proxy"]


def test_an_update_with_the_option_is_a_build_of_all_nodes(others):
    lose(others, "other")
    refuse(others, "none")
    grown = infrastructure(node("db", min=2), "proxy", "other", edges=[("proxy", "db")])
    others.convergence().build(grown, replaced=["proxy"])
    others.assert_runs({"db": 2, "proxy": 1, "other": 1})
