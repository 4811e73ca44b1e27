"""The life-cycle table, and that no stage lasts longer than its deadline, whatever call hangs."""

from __future__ import annotations

import itertools
import math

import pytest

from occopus_core.api import TransientError, Verdict
from occopus_core.descriptions.model import HealthCheck, Implementation
from occopus_core.engine.instance.lifecycle import (
    BEGUN,
    GRACE,
    LONGEST_DELETION,
    RULES,
    Lifecycle,
    TransitionError,
    phase_of,
)
from occopus_core.engine.instance.observe import STILL_SECONDS
from occopus_core.engine.instance.runtime import Runtime
from occopus_core.engine.instance.work import Phase, Work
from occopus_core.engine.kernel.loop import Loop, Outcome
from occopus_core.engine.passes import building, destroying
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BuildError, UnconfirmedError
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.events import EventKind
from occopus_core.store.records import InstanceRecord, Stage
from occopus_core.testing.time import InlineExecutor, VirtualClock

from .. import conftest
from ..conftest import infrastructure, node
from ..fakes import health_checker


def fresh(phase):
    """An instance in a phase, with its lifecycle on a virtual clock, and the list of what has expired."""
    expired = []
    clock = VirtualClock()
    loop = Loop(clock, InlineExecutor())
    implementation = Implementation({"type": "memory"}, health_check=HealthCheck({}, 60.0))
    record = InstanceRecord(
        node_id="1", infra_id="infra", node_name="web", position=1, token="t", implementation=implementation.digest,
        connection="", fingerprint="", stage=RULES[phase].stage, since=0.0, created_at=0.0,
    )  # fmt: skip
    work = Work(record, implementation)
    lifecycle = Lifecycle(loop, expired.append)
    lifecycle._begin(work, phase)
    return loop, lifecycle, work, expired


def wait(loop, seconds):
    loop.run(loop.pause(seconds))


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(Phase, 2)))
def test_nothing_but_the_table_changes_a_phase(before, after):
    _, lifecycle, work, _ = fresh(before)
    if after in RULES[before].followed_by:
        assert lifecycle.enter(work, after).stage is RULES[after].stage
        assert phase_of(work) is after
    else:
        with pytest.raises(TransitionError, match=before.value):
            lifecycle.enter(work, after)
        assert phase_of(work) is before


def test_the_table_is_whole():
    assert set(RULES) == set(Phase)
    assert set(BEGUN) == set(Stage)
    assert all(RULES[phase].stage is stage for stage, phase in BEGUN.items())
    assert {phase for rule in RULES.values() for phase in rule.followed_by} == set(Phase) - {Phase.RESERVED}
    assert {phase for phase in Phase if not RULES[phase].followed_by} == {Phase.DELETING}, "the last one"
    without_end = {phase for phase in Phase if RULES[phase].at_end is None}
    assert without_end == {Phase.RESERVED, Phase.READY}, "in which nothing is waited for"
    assert all(RULES[phase].aim for phase in set(Phase) - without_end)


@pytest.mark.parametrize("phase", [phase for phase in Phase if RULES[phase].limit is not None])
def test_every_phase_with_a_limit_ends(phase):
    loop, lifecycle, work, expired = fresh(phase)
    limit = RULES[phase].limit(work)
    wait(loop, limit - 1)
    assert not lifecycle.over(work)
    wait(loop, 2)
    assert lifecycle.over(work), "the next answer is too late"
    assert expired == [], "a call may still be under way"
    wait(loop, GRACE)
    assert expired == [work]


def test_the_clock_of_a_phase_begins_with_it_and_ends_with_it():
    loop, lifecycle, work, expired = fresh(Phase.CREATING)
    wait(loop, 59)
    lifecycle.enter(work, Phase.BOOTING)
    wait(loop, 59)
    assert not lifecycle.over(work)
    lifecycle.enter(work, Phase.BOOTING)
    wait(loop, 2)
    assert lifecycle.over(work), "to enter it once more does not begin it again"
    lifecycle.enter(work, Phase.READY)
    wait(loop, 10_000)
    assert expired == []


def test_a_queue_does_not_eat_the_time_of_those_who_wait_in_it():
    loop, lifecycle, work, expired = fresh(Phase.CREATING)
    wait(loop, 10)
    begun = lifecycle.queue([work], loop.clock.monotonic)
    wait(loop, 1000)
    assert not lifecycle.over(work)
    begun()
    begun()
    wait(loop, 49)
    assert not lifecycle.over(work)
    wait(loop, 2)
    assert lifecycle.over(work)
    wait(loop, GRACE)
    assert expired == [work]


def test_a_queue_that_does_not_move_is_given_up():
    """All calls ahead of it hang."""
    loop, lifecycle, work, expired = fresh(Phase.CREATING)
    moved_at = loop.clock.monotonic() + 500
    lifecycle.queue([work], lambda: moved_at)
    wait(loop, 500 + 60 + GRACE - 1)
    assert expired == []
    wait(loop, 2)
    assert expired == [work]


def test_a_lifecycle_that_was_stopped_tells_no_more():
    loop, lifecycle, _, expired = fresh(Phase.CREATING)
    lifecycle.stop()
    wait(loop, 1000)
    assert expired == []


class Process:
    """One process whose calls may hang: `hangs` has the operations that do, `held` lets the oldest one return."""

    def __init__(self, world, monkeypatch):
        self.world = world
        self.hangs = set()
        self.held = []
        self.most = math.inf
        process = self

        class HangingLoop(Loop):
            def submit(self, call, done):
                hanging = []
                world.during = lambda operation: hanging.append(operation) if operation in process.hangs else None
                outcome = Outcome.of(call)
                world.during = lambda operation: None
                if hanging and process.most > 0:
                    process.most -= 1
                    process.held.append(lambda: self.post(lambda: done(outcome)))
                else:
                    self.post(lambda: done(outcome))

        monkeypatch.setattr(conftest, "Loop", HangingLoop)
        self.resources = world.resources()

    def run(self, act, *arguments):
        context = PassContext(self.resources, "infra")
        return self.resources.loop.run(context.attended(act(context, *arguments)))

    def release(self):
        """What hangs goes on, and what has hung returns."""
        self.hangs.clear()
        for let_go in self.held:
            let_go()
        self.held.clear()


@pytest.fixture
def process(world, monkeypatch):
    world.define("web", implementations=[{"timeout": 60.0}])
    return Process(world, monkeypatch)


def elapsed(world, act):
    before = world.clock.time
    act()
    return world.clock.time - before


def stages(world):
    return [record.stage for record in world.store.instances("infra")]


HUNG = (
    r"not {aim} within 60 s: the resource handler 'memory memory' breaks its contract: {method}\(\) has not "
    r"returned for 10[0-5] s; report it to its author"
)


def test_a_creation_that_hangs_is_given_up_and_its_row_stays(world, process):
    process.hangs.add("create")

    def build():
        with pytest.raises(BuildError, match=HUNG.format(aim="created", method="create")) as failed:
            process.run(building.build, infrastructure("web"))
        assert failed.value.unconfirmed
        (wait,) = [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]
        assert wait == "create() of memory memory has not returned yet (given up 45 s after its limit of 60 s)"

    assert elapsed(world, build) < 60 + GRACE + 60 + 10
    assert stages(world) == [Stage.DROPPING]
    world.clock.time += 1000
    with pytest.raises(UnconfirmedError, match="a call that may still create it has not returned"):
        process.run(destroying.destroy)
    assert stages(world) == [Stage.DROPPING], "it is not forgotten while the call may take effect"
    process.release()
    process.run(destroying.destroy)
    world.assert_nothing()


def test_what_a_provider_never_makes_sure_of_keeps_the_former_instance(world, process):
    world.define("web", implementations=[{"timeout": 60.0}], port="80", image="v1")
    process.run(building.build, infrastructure("web"))
    before = world.store.instances("infra")
    world.define("web", implementations=[{"timeout": 60.0}], port="80", image="v2")
    process.hangs.add("ensure")

    def build():
        with pytest.raises(BuildError, match=HUNG.format(aim="available", method="ensure")) as failed:
            process.run(building.build, infrastructure("web"))
        assert not failed.value.unconfirmed

    assert elapsed(world, build) < 60 + GRACE + 10
    process.release()
    process.run(maintain)
    assert world.store.instances("infra") == before
    world.assert_runs({"web": 1})


def test_without_the_clause_a_late_instance_is_lost(world, process, monkeypatch):
    """The mutant of the test above: rows that do not wait for calls under way."""
    monkeypatch.setattr(Runtime, "may_be_making", lambda _self, _work: False)
    process.hangs.add("create")
    world.cloud.set_faults([{"kind": "invisible_seconds", "operation": "create", "seconds": 90.0}])
    with pytest.raises(BuildError):
        process.run(building.build, infrastructure("web"))
    assert stages(world) == []
    world.clock.time += 90
    assert len(world.live()) == 1


def test_an_answer_that_comes_while_its_instance_is_being_deleted_is_deleted_too(world, process):
    """The call takes effect only when it returns: what is looked for is not there before."""
    process.hangs.add("create")
    world.cloud.set_faults([{"kind": "invisible_seconds", "operation": "create", "seconds": 1.0}])
    process.resources.loop.after(60 + GRACE + 10, process.release)
    with pytest.raises(BuildError) as failed:
        process.run(building.build, infrastructure("web"))
    assert failed.value.unconfirmed == ()
    world.assert_nothing()


def test_a_new_health_check_that_never_answers_for_a_kept_instance_fails_the_build(world, process):
    process.run(building.build, infrastructure("web"))
    world.install("health", "fake", health_checker(lambda _probe: world.during("check") or Verdict(True)))
    world.define("web", implementations=[{"timeout": 60.0, "checks": {"fake": True}}])
    process.resources = world.resources()
    process.hangs.add("check")

    def build():
        expected = "not healthy by its new health checks within 60 s: the health checker 'fake' does not answer"
        with pytest.raises(BuildError, match=expected):
            process.run(building.build, infrastructure("web"))

    assert elapsed(world, build) < 60 + GRACE + 10
    world.assert_runs({"web": 1})


def test_maintenance_gives_a_hanging_creation_up_and_goes_on(world, process):
    process.run(building.build, infrastructure("web"))
    world.clock.time += 60
    world.cloud.change(world.store.instances("infra")[0].instance_id, "lose")
    process.hangs.add("create")
    passed = []
    assert elapsed(world, lambda: passed.append(process.run(maintain))) < 60 + GRACE + 60 + 10
    assert "not created within 60 s" in passed[0].undone[0]
    process.hangs.clear()
    for _ in range(3):
        world.clock.time += 10
        process.run(maintain)
    assert stages(world).count(Stage.READY) == 1
    assert stages(world).count(Stage.DROPPING) == 1
    process.release()
    world.clock.time += 10
    process.run(maintain)
    world.assert_runs({"web": 1})


def test_a_provider_that_does_not_say_how_an_instance_boots_is_given_up(world, process):
    world.define("web", implementations=[{"timeout": 60.0}], boot_seconds=5)
    process.hangs.add("describe")
    process.resources.loop.after(60 + GRACE + 1, process.release)
    with pytest.raises(BuildError, match=HUNG.format(aim="ready", method="describe")):
        process.run(building.build, infrastructure("web"))
    world.assert_nothing()


def test_each_stage_has_its_own_time(world, process):
    """40 s of booting do not count against the 60 s for the health checks."""
    healthy_at = world.clock.time + 90
    answer = health_checker(lambda _probe: Verdict(world.clock.time >= healthy_at, "port 80 refused"))
    world.install("health", "fake", answer)
    world.define("web", implementations=[{"timeout": 60.0, "checks": {"fake": True}}], boot_seconds=40)
    process.resources = world.resources()
    process.run(building.build, infrastructure("web"))
    world.assert_runs({"web": 1})


def test_a_deletion_that_hangs_is_left_unconfirmed(world, process):
    process.run(building.build, infrastructure("web"))
    process.hangs.add("delete")

    def destroy():
        said = r"'memory memory' breaks its contract: delete\(\) has not returned for 9\d\d s"
        with pytest.raises(UnconfirmedError, match=said):
            process.run(destroying.destroy)

    assert elapsed(world, destroy) < LONGEST_DELETION + GRACE + 10
    assert stages(world) == [Stage.DROPPING]
    process.release()
    process.run(destroying.destroy)
    world.assert_nothing()


def test_an_update_ends_whose_only_provider_does_not_say_how_its_instances_are(world, process):
    process.run(building.build, infrastructure("web"))
    process.hangs.add("describe")

    def update():
        with pytest.raises(TransientError, match=r"'memory memory' breaks .* describe\(\) has not returned for 195 s"):
            process.run(building.build, infrastructure(node("web", min=2)))

    assert elapsed(world, update) == pytest.approx(STILL_SECONDS)
    process.release()
    world.assert_runs({"web": 1})


def test_a_pass_ends_whose_only_provider_does_not_say_how_its_instances_are(world, process):
    process.run(building.build, infrastructure("web"))
    world.clock.time += 60
    process.hangs.add("describe")
    passed = []
    assert elapsed(world, lambda: passed.append(process.run(maintain))) < STILL_SECONDS + 60
    assert "describe() has not returned for 195 s" in passed[0].unconfirmed[0]
    process.release()
    world.assert_runs({"web": 1})


def test_a_search_that_hangs_leaves_the_infrastructure_to_be_searched_later(world, process):
    process.run(building.build, infrastructure("web"))
    process.hangs.add("list")

    def destroy():
        with pytest.raises(
            UnconfirmedError, match=r"cannot be searched .*: .* list_owned\(\) has not returned for 19\d s"
        ):
            process.run(destroying.destroy)

    assert elapsed(world, destroy) < STILL_SECONDS + 60
    assert stages(world) == []
    assert not world.store.infrastructure("infra").wanted
    process.release()
    process.run(destroying.destroy)
    world.assert_nothing()


def test_a_rollback_does_not_wait_for_a_call_that_hangs(world, process):
    """A node of another definition fails; the creation of the first one never returns."""
    world.define("bad", implementations=[{"timeout": 600.0, "resource": {"image": "unknown"}}])
    world.define("web", implementations=[{"timeout": 600.0}])
    process.hangs.add("create")
    process.most = 1

    def build():
        with pytest.raises(BuildError):
            process.run(building.build, infrastructure("web", "bad"))

    assert elapsed(world, build) < GRACE + 60 + 10
    process.release()
    process.run(destroying.destroy)
    world.assert_nothing()


def test_the_queue_of_a_connection_does_not_eat_the_time_of_those_who_wait_in_it(world, process):
    """Each creation takes 40 of 60 s, one after another."""
    world.handler.max_concurrency = 1
    process.resources = world.resources()
    loop = process.resources.loop

    def release():
        if process.held:
            process.held.pop()()
        loop.after(40.0, release)

    process.hangs.add("create")
    loop.after(40.0, release)
    process.run(building.build, infrastructure(node("web", min=4)))
    world.assert_runs({"web": 4})


def test_what_waits_behind_calls_that_hang_is_not_created_when_it_is_not_wanted_any_more(world, process):
    world.handler.max_concurrency = 1
    process.resources = world.resources()
    process.hangs.add("create")
    with pytest.raises(BuildError) as failed:
        process.run(building.build, infrastructure(node("web", min=3)))
    assert len(failed.value.unconfirmed) == 1
    assert stages(world) == [Stage.DROPPING], "those that were never called for are forgotten at once"
    process.release()
    process.run(destroying.destroy)
    assert world.calls("create") == 1
    world.assert_nothing()
