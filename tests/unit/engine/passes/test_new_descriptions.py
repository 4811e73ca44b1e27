"""From one description to the next: what changes, what stays, and what is left when it fails or is killed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from typing import ClassVar

import pytest

from occopus_core.api import HealthChecker, Verdict
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.engine.passes import building
from occopus_core.engine.passes.errors import BuildError
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.store.records import ScaleKind, Stage

from ..conftest import infrastructure, node
from ..fakes import KilledError, Life

TEMPLATE = {"type": "cloudinit", "context_template": "#cloud-config\n{{ variables.used }} {{ getipall('db') }}"}
DB, WEB = node("db", min=1, max=3), node("web", min=2, max=5, used="a", unused="a")
EDGES = [("web", "db")]


class Checker(HealthChecker):
    """Satisfied with everything; remembers what it was asked to look at."""

    asked: ClassVar[list[object]]

    @classmethod
    def schema(cls):
        return {}

    def check(self, probes):
        self.asked.extend(probe.value for probe in probes)
        return [Verdict(True)] * len(probes)


def define(world, name, template=None, checks=None, timeout=600.0, **resource):
    world.store.put_definitions(
        [
            NodeDefinition(
                name,
                (
                    Implementation(
                        {"type": "memory", "endpoint": "memory", "boot_seconds": 2, **resource},
                        contextualisation=template,
                        health_check=HealthCheck(checks or {}, timeout),
                    ),
                ),
            )
        ]
    )


@pytest.fixture
def user(world):
    """Somebody with a database and two web servers that name its address."""
    define(world, "db")
    define(world, "web", TEMPLATE)
    world.build(infrastructure(DB, WEB, edges=EDGES))
    world.events.clear()
    world.clock.time += 60
    return world


def planned(world, candidate):
    """What a plan says: (verb, node, reason) of all that is not kept."""
    steps = world.convergence().plan(candidate).steps
    return [(step.verb, step.node_name, step.reason) for step in steps if step.verb is not Verb.KEEP]


def machines(world, name):
    return {one["id"] for one in world.live() if one["owner"]["node_name"] == name}


def updated(world, candidate):
    """Carry it out; it has to do what the plan says. The machines before and after, by node."""
    plan = world.convergence().plan(candidate)
    before = {name: machines(world, name) for name in ("db", "web", "cache")}
    world.build(candidate)
    after = {name: machines(world, name) for name in ("db", "web", "cache")}
    verbs = [step.verb for step in plan.steps]
    made = verbs.count(Verb.CREATE) + verbs.count(Verb.REPLACE)
    gone = verbs.count(Verb.DESTROY) + verbs.count(Verb.REPLACE)
    assert sum(len(after[name] - before[name]) for name in after) == made
    assert sum(len(before[name] - after[name]) for name in after) == gone
    assert world.store.infrastructure("infra").description == candidate
    return before, after


def test_a_node_that_is_added(user):
    define(user, "cache")
    candidate = infrastructure(DB, WEB, "cache", edges=EDGES)
    assert planned(user, candidate) == [(Verb.CREATE, "cache", "1 wanted, 0 there")]
    before, after = updated(user, candidate)
    assert len(after["cache"]) == 1
    assert (before["db"], before["web"]) == (after["db"], after["web"])


def test_a_node_that_is_removed(user):
    candidate = infrastructure(DB)
    assert planned(user, candidate) == [(Verb.DESTROY, "web", "it is no longer described")] * 2
    _, after = updated(user, candidate)
    assert after["web"] == set()
    assert user.store.infrastructure("infra").targets == {"db": 1}


def test_other_limits_need_no_other_machine(user):
    candidate = infrastructure(DB, node("web", min=1, max=9, used="a", unused="a"), edges=EDGES)
    assert planned(user, candidate) == []
    before, after = updated(user, candidate)
    assert before == after


def test_limits_above_what_is_there_add_and_below_remove(user):
    more = infrastructure(DB, node("web", min=3, max=5, used="a", unused="a"), edges=EDGES)
    assert planned(user, more) == [(Verb.CREATE, "web", "3 wanted, 2 there")]
    updated(user, more)
    fewer = infrastructure(DB, node("web", min=1, max=1, used="a", unused="a"), edges=EDGES)
    assert planned(user, fewer) == [(Verb.DESTROY, "web", "more than the 1 wanted")] * 2
    oldest = user.store.instances("infra")[1].node_id
    updated(user, fewer)
    assert user.store.instances("infra")[1].node_id == oldest


def test_what_was_scaled_stays_scaled(user):
    user.store.request_scaling("infra", "web", ScaleKind.SET, 4, "", user.clock.now())
    user.convergence().maintain()
    before, after = updated(user, infrastructure(DB, node("web", min=1, max=9, used="a", unused="a"), edges=EDGES))
    assert len(before["web"]) == 4
    assert before == after


def test_a_variable_that_no_template_uses_needs_no_other_machine(user):
    candidate = infrastructure(DB, node("web", min=2, max=5, used="a", unused="b"), edges=EDGES)
    assert planned(user, candidate) == []
    before, after = updated(user, candidate)
    assert before == after


def test_a_variable_that_is_used_replaces_and_the_new_are_ready_before_the_old_go(user):
    candidate = infrastructure(DB, node("web", min=2, max=5, used="b", unused="a"), edges=EDGES)
    why = "its definition or its variables have changed"
    assert planned(user, candidate) == [(Verb.REPLACE, "web", why)] * 2
    before, after = updated(user, candidate)
    assert before["db"] == after["db"]
    assert not before["web"] & after["web"]
    kinds = [event.kind for event in user.events]
    assert kinds.count(EventKind.NODE_READY) == 2
    last_ready = max(n for n, kind in enumerate(kinds) if kind is EventKind.NODE_READY)
    assert last_ready < kinds.index(EventKind.NODE_DROPPING)
    assert [record.position for record in user.store.instances("infra")] == [1, 1, 2]


def test_another_health_check_needs_no_other_machine_and_is_used_from_now_on(user):
    checker = user.install("health", "fake", type("Seen", (Checker,), {"asked": []}))
    define(user, "web", TEMPLATE, checks={"fake": "new"}, timeout=7.0)
    candidate = infrastructure(DB, WEB, edges=EDGES)
    assert planned(user, candidate) == []
    before, after = updated(user, candidate)
    assert before == after
    user.convergence().maintain()
    assert checker.asked == ["new", "new"] * 2, "by the build, and by maintenance"


def test_another_resource_replaces(user):
    define(user, "db", image="other")
    candidate = infrastructure(DB, WEB, edges=EDGES)
    assert planned(user, candidate) == [(Verb.REPLACE, "db", "its definition or its variables have changed")]
    before, after = updated(user, candidate)
    assert not before["db"] & after["db"]
    assert before["web"] == after["web"]


def test_replacement_goes_by_the_order_of_the_dependencies(user):
    define(user, "db", image="other")
    old = next(record.address for record in user.store.instances("infra") if record.node_name == "db")
    updated(user, infrastructure(DB, node("web", min=2, max=5, used="b", unused="a"), edges=EDGES))
    ready = [event.node_name for event in user.events if event.kind is EventKind.NODE_READY]
    dropped = [event.node_name for event in user.events if event.kind is EventKind.NODE_DROPPED]
    assert ready == ["db", "web", "web"]
    assert dropped == ["web", "web", "db"]
    new = next(record.address for record in user.store.instances("infra") if record.node_name == "db")
    assert new != old
    told = {one["order"]["user_data"]["sha256"] for one in user.live() if one["owner"]["node_name"] == "web"}
    assert told == {sha256(f"#cloud-config\nb ['{new}']")}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def inventory(world, infra_id="infra"):
    return sorted((one["id"], one["state"], one["token"]) for one in world.live(infra_id))


REFUSED = [{"kind": "permanent", "operation": "create", "node_name": "cache", "reason": "no such luck"}]


def demanding():
    """A cache is added; all web servers are replaced, and there are fewer."""
    return infrastructure(DB, node("web", min=1, max=2, used="b"), "cache", edges=[*EDGES, ("cache", "web")])


def test_an_update_that_fails_changes_nothing(user):
    define(user, "cache")
    before, records = inventory(user), user.store.instances("infra")
    settled = user.store.infrastructure("infra")
    user.cloud.set_faults(REFUSED)
    with pytest.raises(BuildError, match="no such luck"):
        user.build(demanding())
    assert inventory(user) == before
    assert user.store.instances("infra") == records
    assert user.store.infrastructure("infra") == settled


def killed(world, candidate, kind, moment, infra_id="infra"):
    """Build until a moment of this kind, and no further; False where it was over before."""
    life = Life(kind, moment)
    context = world.convergence(infra_id, life=life).context
    steps = building.build(context, candidate)
    try:
        context.resources.loop.run(context.attended(steps))
    except BuildError:
        assert not life.over
    except KilledError:
        with contextlib.suppress(KilledError):
            steps.close()
    world.clock.time += 20  # the lease of the dead process ends
    return life.over


def test_an_update_that_was_killed_at_any_moment_and_then_fails_leaves_what_was_running(world):
    define(world, "db")
    define(world, "web", TEMPLATE)
    define(world, "cache")
    for moment in itertools.count(1):
        infra_id = f"infra-{moment}"
        world.build(infrastructure(DB, WEB, edges=EDGES), infra_id=infra_id)
        world.store.request_scaling(infra_id, "web", ScaleKind.SET, 4, "", world.clock.now())
        world.convergence(infra_id).maintain()
        before, settled = inventory(world, infra_id), world.store.infrastructure(infra_id)
        world.cloud.set_faults(REFUSED)
        over = killed(world, demanding(), "before commit", moment, infra_id)
        with contextlib.suppress(BuildError):
            world.convergence(infra_id).maintain()
        world.convergence(infra_id).maintain()
        assert inventory(world, infra_id) == before
        assert world.store.infrastructure(infra_id) == settled
        world.cloud.set_faults([])
        world.destroy(infra_id=infra_id)
        if not over:
            break
    assert moment > 10


def test_an_update_that_was_killed_at_any_moment_is_carried_on(world):
    candidate = infrastructure(DB, node("web", min=2, max=5, used="b"), edges=EDGES)
    for moment in itertools.count(1):
        infra_id = f"infra-{moment}"
        define(world, "db")
        define(world, "web", TEMPLATE)
        world.build(infrastructure(DB, WEB, edges=EDGES), infra_id=infra_id)
        define(world, "db", image="other")
        over = killed(world, candidate, "after commit", moment, infra_id)
        if not over:
            break
        world.convergence(infra_id).maintain()
        world.assert_runs({"db": 1, "web": 2}, infra_id)
        assert world.store.infrastructure(infra_id).description == candidate
        images = [one["order"]["image"] for one in world.live(infra_id) if one["owner"]["node_name"] == "db"]
        assert images == ["other"], f"after commit {moment}"
        world.destroy(infra_id=infra_id)
    assert moment > 10


def test_one_that_was_chosen_to_go_goes_with_an_update_as_well(user):
    user.store.request_scaling("infra", "web", ScaleKind.SET, 3, "", user.clock.now())
    user.convergence().maintain()
    first = next(record for record in user.store.instances("infra") if record.node_name == "web")
    lease = user.store.acquire("infra", "x", user.clock.now())
    with user.store.changing(lease) as change:
        change.condemn([first.node_id])
        change.put_targets({"db": 1, "web": 2})
    user.store.release(lease)
    same = infrastructure(DB, WEB, edges=EDGES)
    assert planned(user, same) == [(Verb.DESTROY, "web", "it was chosen for removal")]
    updated(user, same)
    assert first.node_id not in {record.node_id for record in user.store.instances("infra")}


def test_a_plan_changes_nothing(user):
    define(user, "db", image="other")
    before, records, row = inventory(user), user.store.instances("infra"), user.store.infrastructure("infra")
    planned(user, infrastructure("db"))
    assert (inventory(user), user.store.instances("infra"), user.store.infrastructure("infra")) == (
        before,
        records,
        row,
    )
    assert {record.stage for record in records} == {Stage.READY}
