"""A build that changes health checks proves the instances that it keeps before its description is in force."""

from __future__ import annotations

import contextlib
import itertools
import math

import pytest

from occopus_core.api import Verdict
from occopus_core.engine.passes.errors import AbandonedError, BuildError, InterruptedBuildError
from occopus_core.engine.planning.plan import RECHECKED, Hold, Verb
from occopus_core.events import EventKind
from occopus_core.report.plans import lines_of, steps_of
from occopus_core.store.records import ScaleKind, Setback, Stage

from ..conftest import infrastructure, interrupter, node
from ..fakes import KilledError, Life, config_manager, health_checker

TIMEOUT = 20.0


class Health:
    """The answers of the checker `port`, by its value, and what it was asked: (value, second)."""

    def __init__(self, world):
        self._world = world
        self.ill = {"wrong": "port wrong refused"}
        self.healed_at = {}
        self.asked = []
        world.install("health", "port", health_checker(self._answer))

    def _answer(self, probe):
        self.asked.append((probe.value, self._world.clock.now()))
        healed = self._world.clock.now() >= self.healed_at.get(probe.value, math.inf)
        reason = "" if healed else self.ill.get(probe.value, "")
        return Verdict(not reason, reason)

    def heal(self, value, seconds):
        """The check of this value fails for so many seconds from now on."""
        self.ill[value] = "not yet"
        self.healed_at[value] = self._world.clock.now() + seconds

    @property
    def values(self):
        return [value for value, _ in self.asked]


@pytest.fixture
def health(world):
    return Health(world)


def define(world, name, *checks, timeout=TIMEOUT, **way):
    """A node definition with the check of these values; none without one."""
    values = {"port": checks[0]} if checks else {}
    world.define(name, implementations=[{"checks": values, "timeout": timeout, **way}])


@pytest.fixture
def running(world, health):
    """A database and two web servers, healthy by the check `old`."""
    define(world, "db")
    define(world, "web", "old")
    world.build(DESCRIPTION)
    forget(world, health)
    return world


DESCRIPTION = infrastructure("db", node("web", min=2), edges=[("web", "db")])


def forget(world, health):
    world.clock.time += 3600
    world.events.clear()
    health.asked.clear()


def planned(world, description=DESCRIPTION):
    return [(one.verb, one.node_name, one.reason) for one in world.convergence().plan(description).steps]


def ids(world):
    return {record.node_id for record in world.store.instances("infra")}


def checks_in_force(world, name="web"):
    records = [record for record in world.store.instances("infra") if record.node_name == name]
    ways = world.store.implementations_of(records)
    return {way.health_check.checks.get("port") for way in (ways[record.implementation] for record in records)}


def failure(world, description=DESCRIPTION):
    with pytest.raises(BuildError) as failed:
        world.build(description)
    return failed.value.problems


def test_the_plan_says_that_the_build_waits(running):
    define(running, "web", "new")
    assert planned(running) == [(Verb.KEEP, "db", ""), *[(Verb.KEEP, "web", RECHECKED)] * 2]
    plan = running.convergence().plan(DESCRIPTION)
    assert f"= keep 2 x web: {RECHECKED}" in list(lines_of(plan))
    assert [step["reason"] for step in steps_of(plan)] == ["", RECHECKED, RECHECKED]


def test_a_check_that_passes_is_in_force_afterwards_and_nothing_is_replaced(running, health):
    before = ids(running)
    health.heal("new", 7)
    define(running, "web", "new")
    start = running.clock.now()
    running.build(DESCRIPTION)
    assert 7 <= running.clock.now() - start <= TIMEOUT
    assert checks_in_force(running) == {"new"}
    assert ids(running) == before
    assert running.told(EventKind.NODE_RECHECKING) == running.told(EventKind.NODE_RECHECKED) == ["web", "web"]
    assert running.calls("create") == 3
    running.convergence().maintain()
    assert ids(running) == before


def test_a_check_that_cannot_pass_fails_the_build_and_harms_nothing(running, health):
    before, rows = ids(running), running.store.instances("infra")
    define(running, "web", "wrong")
    start = running.clock.now()
    (problem,) = failure(running)
    address = next(record.address for record in rows if record.node_name == "web")
    assert problem == (
        f"node 'web' (memory memory): the running instance {address} is not healthy by its new health checks within "
        "20 s: port wrong refused (health_check: port); it is kept, and the former description with its health checks "
        "stays in force"
    )
    assert TIMEOUT <= running.clock.now() - start <= TIMEOUT + 10
    assert running.store.instances("infra") == rows
    running.assert_runs({"db": 1, "web": 2})
    assert checks_in_force(running) == {"old"}
    health.asked.clear()
    for _ in range(5):
        running.clock.time += TIMEOUT
        running.convergence().maintain()
    assert ids(running) == before
    assert set(health.values) == {"old"}
    assert not running.told(EventKind.NODE_UNHEALTHY)
    assert running.calls("delete") == 0


def test_what_the_build_made_meanwhile_is_undone(running):
    before = ids(running)
    define(running, "web", "wrong")
    running.define("extra")
    failure(running, infrastructure("db", node("web", min=3), "extra", edges=[("web", "db")]))
    assert ids(running) == before
    running.assert_runs({"db": 1, "web": 2})


def test_a_variable_that_a_check_uses_changes_it(world, health):
    define(world, "web", "{{ variables.port }}")
    world.build(infrastructure(node("web", port="old")))
    forget(world, health)
    wrong = infrastructure(node("web", port="wrong"))
    assert planned(world, wrong) == [(Verb.KEEP, "web", RECHECKED)]
    assert "port wrong refused" in failure(world, wrong)[0]
    world.build(infrastructure(node("web", port="new")))
    health.asked.clear()
    world.convergence().maintain()
    assert health.values == ["new"]


def test_where_no_check_changes_there_is_no_other_call(running, health):
    running.build(infrastructure("db", node("web", min=2, unused="x"), edges=[("web", "db")]))
    define(running, "web", "old", timeout=5.0)
    running.build(DESCRIPTION)
    assert health.values == ["old"] * 4, "each build looks at its instances once"
    assert not running.told(EventKind.NODE_RECHECKING)


def test_a_second_build_has_nothing_to_prove(running, health):
    define(running, "web", "new")
    running.build(DESCRIPTION)
    forget(running, health)
    assert planned(running) == [(Verb.KEEP, "db", ""), *[(Verb.KEEP, "web", "")] * 2]
    running.build(DESCRIPTION)
    assert not running.told(EventKind.NODE_RECHECKING)


def test_removed_checks_need_no_proof(running, health):
    define(running, "web")
    assert planned(running)[1] == (Verb.KEEP, "web", "")
    running.build(DESCRIPTION)
    assert checks_in_force(running) == {None}
    assert health.values == ["old"] * 4, "the plan and the build look at the instances once"


def test_checks_of_an_instance_that_had_none_are_proved(running):
    define(running, "db", "wrong")
    assert "node 'db'" in failure(running)[0]


def test_what_goes_or_is_replaced_is_not_proved(running, health):
    define(running, "web", "new", resource={"image": "other"})
    assert [verb for verb, *_ in planned(running)] == [Verb.KEEP, Verb.REPLACE, Verb.REPLACE]
    running.build(DESCRIPTION)
    assert not running.told(EventKind.NODE_RECHECKING)
    define(running, "web", "wrong", resource={"image": "other"})
    running.build(infrastructure("db"))
    running.assert_runs({"db": 1})


def test_only_what_stays_is_proved_when_a_build_scales_down(running):
    define(running, "web", "new")
    running.build(infrastructure("db", "web", edges=[("web", "db")]))
    assert running.told(EventKind.NODE_RECHECKING) == ["web"]


def test_an_ill_instance_is_not_waited_for_and_its_time_begins_again(running, health):
    health.ill["old"] = "port old refused"
    running.convergence().maintain()
    running.clock.time += TIMEOUT / 2
    define(running, "web", "wrong")
    held = running.convergence().plan(DESCRIPTION).steps[1]
    assert (held.verb, held.hold) == (Verb.WAIT, Hold.ILLNESS)
    start = running.clock.now()
    running.build(DESCRIPTION)
    assert not running.told(EventKind.NODE_RECHECKING)
    webs = [record for record in running.store.instances("infra") if record.node_name == "web"]
    assert all(start <= record.unhealthy_since <= start + 1 for record in webs)
    running.clock.time = start + TIMEOUT - 1
    running.convergence().maintain()
    assert not running.told(EventKind.HEALING), "the failures by the former check do not count"
    running.clock.time = start + TIMEOUT + 2
    running.convergence().maintain()
    assert running.told(EventKind.HEALING)


def test_short_illnesses_before_do_not_count_by_another_check(running, health):
    (first, *_) = [record for record in running.store.instances("infra") if record.node_name == "web"]
    running.rewrite(first, well_since=running.clock.now() - 5, ill_seconds=TIMEOUT - 1)
    define(running, "web", "new")
    running.build(DESCRIPTION)
    health.ill["new"] = "ill"
    running.clock.time += 5
    running.convergence().maintain()
    running.clock.time += 5
    running.convergence().maintain()
    assert not running.told(EventKind.HEALING)


def test_an_instance_that_is_configured_again_is_not_proved_before(world, health):
    manager = world.install("config", "fake", config_manager())
    way = {"config": {"type": "fake", "endpoint": "chef", "role": "{{ variables.port }}"}}
    define(world, "web", "{{ variables.port }}", **way)
    world.build(infrastructure(node("web", port="old")))
    forget(world, health)
    manager.log.clear()
    candidate = infrastructure(node("web", port="new"))
    assert [verb for verb, *_ in planned(world, candidate)] == [Verb.RECONFIGURE]
    world.build(candidate)
    assert not world.told(EventKind.NODE_RECHECKING)
    assert world.told(EventKind.NODE_RECONFIGURED) == ["web"]


def test_dependents_do_not_wait_for_a_kept_instance(running, health):
    define(running, "db", "new")
    health.heal("new", 7)
    start = running.clock.now()
    ready = {}

    def observer(event):
        ready.setdefault((event.kind, event.node_name), running.clock.now() - start)

    running.build(infrastructure("db", node("web", min=3), edges=[("web", "db")]), observer=observer)
    assert ready[EventKind.NODE_READY, "web"] < 7 <= ready[EventKind.NODE_RECHECKED, "db"]


def test_a_kept_instance_is_proved_when_what_it_needs_is_ready(world, health):
    define(world, "db", resource={"boot_seconds": TIMEOUT * 2}, timeout=300.0)
    define(world, "web", "old")
    edges = [("web", "db")]
    world.build(infrastructure("db", "web", edges=edges))
    define(world, "db", resource={"boot_seconds": TIMEOUT * 2, "image": "other"}, timeout=300.0)
    define(world, "web", "new")
    forget(world, health)
    world.build(infrastructure("db", "web", edges=edges))
    assert next(moment for value, moment in health.asked if value == "new") > health.asked[0][1] + TIMEOUT * 2


def test_a_check_with_the_address_of_a_replaced_node_is_proved_with_the_new_one(world, health):
    define(world, "db")
    define(world, "web", "to {{ getip('db') }}")
    world.build(infrastructure("db", "web"))
    forget(world, health)
    define(world, "db", resource={"image": "other"})
    assert (Verb.KEEP, "web", RECHECKED) in planned(world, infrastructure("db", "web"))
    health.asked.clear()
    world.build(infrastructure("db", "web"))
    (db,) = [record for record in world.store.instances("infra") if record.node_name == "db"]
    assert health.values[-1] == f"to {db.address}"
    assert health.values[0] != health.values[-1]


def test_min_ready_seconds_count_for_the_new_checks(running, health):
    define(running, "web", "new", min_ready_seconds=12.0)
    start = running.clock.now()
    running.build(DESCRIPTION)
    assert 12 <= running.clock.now() - start <= 18
    assert health.values.count("new") >= 6


def test_an_interruption_ends_the_proof(running, health):
    define(running, "web", "wrong")
    convergence = interrupter(running, 1, {EventKind.NODE_RECHECKING})
    start = running.clock.now()
    with pytest.raises(InterruptedBuildError):
        convergence.build(DESCRIPTION)
    assert running.clock.now() - start < TIMEOUT
    assert checks_in_force(running) == {"old"}
    running.assert_runs({"db": 1, "web": 2})


@pytest.mark.parametrize(("value", "expected"), [("new", "new"), ("wrong", "old")])
@pytest.mark.parametrize("kind", ["before commit", "after commit"])
def test_a_killed_build_goes_on_or_is_undone(running, health, value, expected, kind):
    before = ids(running)
    define(running, "web", value)
    for moment in itertools.count(1):
        life = Life(kind, moment)
        try:
            running.build(DESCRIPTION, life=life)
        except KilledError:
            pass
        except BuildError:
            break
        else:
            break
        running.clock.time += 60
        assert checks_in_force(running) in ({"old"}, {expected})
        with contextlib.suppress(BuildError):
            running.convergence().maintain()
        if running.store.infrastructure("infra").candidate is None and checks_in_force(running) == {"old"}:
            with contextlib.suppress(BuildError):  # it was killed before anything was recorded
                running.build(DESCRIPTION)
        assert checks_in_force(running) == {expected}
        running.assert_runs({"db": 1, "web": 2})
        assert ids(running) == before
        if expected == "new":
            define(running, "web", "old")
            running.build(DESCRIPTION)
            define(running, "web", value)
    assert moment > 2


def test_a_requested_replacement_that_brings_another_check_proves_the_others(running):
    define(running, "web", "wrong")
    running.store.request_scaling("infra", "db", ScaleKind.REPLACE, 0, "", running.clock.now())
    before = ids(running)
    with pytest.raises(BuildError):
        running.convergence().maintain()
    (refused,) = [event.text for event in running.events if event.kind is EventKind.REPLACEMENT_REFUSED]
    assert "port wrong refused" in refused
    assert checks_in_force(running) == {"old"}
    assert ids(running) == before


def test_back_off_by_former_checks_ends(running):
    lease = running.store.acquire("infra", "test", running.clock.now())
    with running.store.changing(lease) as change:
        change.put_setbacks({name: Setback(9, running.clock.now()) for name in ("web", "db")})
    running.store.release(lease)
    define(running, "web", "new")
    running.build(DESCRIPTION)
    assert list(running.store.infrastructure("infra").setbacks) == ["db"]


@pytest.mark.parametrize("live", [True, False], ids=["reconfigured", "replaced"])
def test_a_replacement_of_another_node_leaves_an_instance_that_differs_with_its_former_check(world, health, live):
    """Maintenance is to configure or replace it, and so it has not passed the new check."""
    world.install("config", "fake", config_manager()).live = live
    config = {"type": "fake", "endpoint": "chef", "role": "a"}
    define(world, "db")
    define(world, "web", "old", config=config)
    both = infrastructure("db", "web")
    world.build(both)
    forget(world, health)
    health.ill["new"] = "ill"
    define(world, "web", "new", config={**config, "role": "b"})
    world.convergence().build(both, replaced=["db"])
    assert checks_in_force(world) == {"old"}
    assert not world.told(EventKind.NODE_RECHECKING)


@pytest.fixture
def exclusive(world, health):
    """A database that holds a port, so that it is deleted before another one is created, and a web server."""
    define(world, "db", resource={"port": "5432"})
    define(world, "web", "old")

    def begin(*edges):
        described = infrastructure("db", "web", edges=edges)
        world.build(described)
        forget(world, health)
        world.store.request_scaling("infra", "db", ScaleKind.REPLACE, 0, "", world.clock.now())
        return world

    return begin


def test_no_former_instance_is_deleted_first_where_the_proof_of_another_one_fails(exclusive):
    world = exclusive()
    before = ids(world)
    define(world, "web", "wrong")
    with pytest.raises(BuildError, match="port wrong refused"):
        world.convergence().maintain()
    assert ids(world) == before
    assert world.calls("delete") == 0


def test_a_former_instance_is_deleted_first_when_the_others_are_proved(exclusive):
    world = exclusive()
    define(world, "web", "new")
    world.convergence().maintain()
    events = [(event.kind, event.node_name) for event in world.events]
    assert events.index((EventKind.NODE_RECHECKED, "web")) < events.index((EventKind.NODE_DROPPING, "db"))
    world.assert_runs({"db": 1, "web": 1})


def test_what_depends_on_the_new_instance_is_proved_afterwards(exclusive):
    world = exclusive(("web", "db"))
    define(world, "web", "new")
    world.convergence().maintain()
    events = [(event.kind, event.node_name) for event in world.events]
    assert events.index((EventKind.NODE_READY, "db")) < events.index((EventKind.NODE_RECHECKED, "web"))
    world.assert_runs({"db": 1, "web": 1})


@pytest.fixture
def begun(world, health):
    """A web server, and a second one whose creation maintenance has only begun."""
    define(world, "web", "old")
    world.build(SCALABLE)
    world.store.request_scaling("infra", "web", ScaleKind.SET, 2, "", world.clock.now())
    with pytest.raises(AbandonedError):
        interrupter(world, 1, {EventKind.NODE_CREATING}, times=2).maintain()
    forget(world, health)
    return world


SCALABLE = infrastructure(node("web", min=1, max=5))


def test_an_instance_under_way_has_the_new_check_when_the_build_has_succeeded(begun, health):
    define(begun, "web", "new")
    begun.build(SCALABLE)
    assert "new" in health.values
    assert checks_in_force(begun) == {"new"}
    begun.assert_runs({"web": 2})


def test_an_instance_under_way_has_its_former_check_after_a_build_that_failed(begun, health):
    before = ids(begun)
    define(begun, "web", "wrong")
    failure(begun, SCALABLE)
    assert checks_in_force(begun) == {"old"}
    define(begun, "web", "old")
    health.asked.clear()
    begun.convergence().maintain()
    assert set(health.values) == {"old"}
    assert ids(begun) == before
    assert all(record.stage is Stage.READY for record in begun.store.instances("infra"))
