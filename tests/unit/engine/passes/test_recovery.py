import contextlib
import itertools

import pytest

from occopus_core.engine.passes.errors import BuildError, Passed
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import (
    PARKED,
    InfrastructureState,
    LeaseLostError,
    NoSuchInfrastructureError,
    ScaleKind,
    WorkedOnError,
)

from ..conftest import infrastructure, node
from ..fakes import KilledError, Life

MOMENTS = ("before commit", "after commit", "in a call", "after a call")
OLD = infrastructure("a", node("b", port=1), "c", edges=[("b", "a")])
NEW = infrastructure("a", node("b", port=2), node("d", min=2), edges=[("b", "a"), ("d", "b")])
FAILING = infrastructure("a", node("b", port=2), "bad", edges=[("b", "a"), ("bad", "b")])
RUNS_OLD = {"a": 1, "b": 1, "c": 1}
RUNS_NEW = {"a": 1, "b": 1, "d": 2}


@pytest.fixture
def world(world):
    # Few looks at what is under way: each of them is a moment to be killed at.
    world.handler.poll_seconds = (1.0, 5.0)
    world.define("a", steps=2, boot_seconds=1, delete_seconds=1)
    world.define("b", steps=2, boot_seconds=1, delete_seconds=1, image="port {{ variables.port }}")
    world.define("c", "d")
    world.define("bad", boot_seconds=1, fail="disk on fire")
    return world


def kills(world, moment, prepare, act):
    """Do something again and again, killed at the first, second, ... such moment; yields what it was done to."""
    for number in itertools.count(1):
        infra_id = f"infra{number}"
        prepare(infra_id)
        life = Life(moment, number)
        world.during = lambda operation, life=life: life.moment("in a call")
        world.answered = lambda operation, life=life: life.moment("after a call")
        try:
            act(infra_id, life)
        except KilledError:
            pass
        except BuildError:
            assert not life.over
        world.during = world.answered = lambda operation: None
        if not life.over:
            assert number > 3, "it was never killed"
            return
        world.clock.time += LEASE_SECONDS + 1
        yield infra_id


def nothing(infra_id):
    pass


def exists(world, infra_id):
    try:
        return world.store.infrastructure(infra_id).wanted
    except NoSuchInfrastructureError:
        return False


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("recovery", ["build", "destroy"])
def test_a_first_build_that_is_killed(world, moment, recovery):
    for infra_id in kills(world, moment, nothing, lambda id, life: world.build(OLD, infra_id=id, life=life)):
        if recovery == "build":
            world.build(OLD, infra_id=infra_id)
            world.assert_runs(RUNS_OLD, infra_id)
        elif exists(world, infra_id):
            world.destroy(infra_id=infra_id)
            world.assert_nothing(infra_id)
        else:
            world.assert_nothing(infra_id)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("recovery", ["new", "old", "destroy"])
def test_an_update_that_is_killed(world, moment, recovery):
    def prepare(infra_id):
        world.build(OLD, infra_id=infra_id)

    for infra_id in kills(world, moment, prepare, lambda id, life: world.build(NEW, infra_id=id, life=life)):
        if recovery == "destroy":
            world.destroy(infra_id=infra_id)
            world.assert_nothing(infra_id)
        else:
            world.build({"new": NEW, "old": OLD}[recovery], infra_id=infra_id)
            world.assert_runs({"new": RUNS_NEW, "old": RUNS_OLD}[recovery], infra_id)


def ask(world, infra_id, candidate):
    world.store.updates.request(infra_id, candidate, world.clock.now(), lambda _record: None)


@pytest.mark.parametrize(
    ("moment", "recovery"),
    [
        *itertools.product(MOMENTS, ["maintain", "lost definition"]),
        ("after commit", "another request"),
        ("in a call", "another request"),
    ],
)
def test_a_requested_update_that_is_killed(world, moment, recovery):
    other = infrastructure("a", node("c", port=2))

    def prepare(infra_id):
        world.define("d")
        world.build(OLD, infra_id=infra_id)
        ask(world, infra_id, NEW)

    for infra_id in kills(world, moment, prepare, lambda id, life: world.convergence(id, life=life).maintain()):
        if recovery == "another request":
            ask(world, infra_id, other)
            world.convergence(infra_id).maintain()
            world.assert_runs({"a": 1, "c": 1}, infra_id)
        elif recovery == "lost definition":
            in_force = world.store.infrastructure(infra_id).description
            world.store.remove_definition("d")
            with contextlib.suppress(BuildError):
                world.convergence(infra_id).maintain()
            world.convergence(infra_id).maintain()
            world.assert_runs(RUNS_OLD if in_force == OLD else RUNS_NEW, infra_id)
        else:
            world.convergence(infra_id).maintain()
            world.assert_runs(RUNS_NEW, infra_id)


@pytest.mark.parametrize("moment", ["before commit", "in a call"])
@pytest.mark.parametrize("recovery", ["maintain", "destroy"])
def test_an_undoing_of_what_cannot_be_built_any_more_that_is_killed(world, moment, recovery):
    def prepare(infra_id):
        world.define("d", boot_seconds=30)
        world.build(OLD, infra_id=infra_id)
        ask(world, infra_id, NEW)
        with pytest.raises(KilledError):
            world.convergence(infra_id, life=Life("after commit", 4)).maintain()
        assert any(row.provisional for row in world.store.instances(infra_id))
        world.clock.time += LEASE_SECONDS + 1
        world.store.remove_definition("d")

    for infra_id in kills(world, moment, prepare, lambda id, life: world.convergence(id, life=life).maintain()):
        if recovery == "destroy":
            world.destroy(infra_id=infra_id)
            world.assert_nothing(infra_id)
        else:
            with contextlib.suppress(BuildError):
                world.convergence(infra_id).maintain()
            world.convergence(infra_id).maintain()
            world.assert_runs(RUNS_OLD, infra_id)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_destroy_that_is_killed(world, moment):
    def prepare(infra_id):
        world.build(OLD, infra_id=infra_id)

    for infra_id in kills(world, moment, prepare, lambda id, life: world.destroy(infra_id=id, life=life)):
        try:
            assert world.store.infrastructure(infra_id).state in (
                InfrastructureState.DROPPING,
                InfrastructureState.READY,
            )
            world.destroy(infra_id=infra_id)
        except NoSuchInfrastructureError:
            pass  # it died after its last commit
        world.assert_nothing(infra_id)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("recovery", ["build", "destroy"])
def test_an_undoing_that_is_killed(world, moment, recovery):
    failing = infrastructure("a", node("b", port=1), "bad", edges=[("b", "a"), ("bad", "b")])
    for infra_id in kills(world, moment, nothing, lambda id, life: world.build(failing, infra_id=id, life=life)):
        if recovery == "build":
            world.build(OLD, infra_id=infra_id)
            world.assert_runs(RUNS_OLD, infra_id)
        elif exists(world, infra_id):
            world.destroy(infra_id=infra_id)
            world.assert_nothing(infra_id)
        else:
            world.assert_nothing(infra_id)


def rollbacks(world, moment, prepare, candidate):
    """Kill builds of a candidate with a node that fails; yields the infrastructures whose rollback had begun, and why.

    The candidate could be built by then.
    """
    begun = 0
    for infra_id in kills(world, moment, prepare, lambda id, life: world.build(candidate, infra_id=id, life=life)):
        if exists(world, infra_id) and (why := world.store.infrastructure(infra_id).rolling_back):
            begun += 1
            world.define("bad")
            yield infra_id, why
        world.define("bad", boot_seconds=1, fail="disk on fire")
    assert begun >= 2, "most are killed in the midst of it"


ROLLED_BACK = "it was made by a build that is being rolled back"


def build_old(world):
    return lambda infra_id: world.build(OLD, infra_id=infra_id)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_rollback_that_is_killed_is_finished_by_maintenance(world, moment):
    for infra_id, why in rollbacks(world, moment, build_old(world), FAILING):
        plan = world.convergence(infra_id).preview()
        made = {row.node_id for row in world.store.instances(infra_id) if row.provisional}
        assert {step.node_id for step in plan.of(Verb.DESTROY)} == made
        assert {step.reason for step in plan.of(Verb.DESTROY)} <= {ROLLED_BACK}
        assert not plan.of(Verb.CREATE, Verb.REPLACE)
        passed = world.convergence(infra_id).maintain()
        assert passed.undone == (f"the update was rolled back: {why}",)
        world.assert_runs(RUNS_OLD, infra_id)
        record = world.store.infrastructure(infra_id)
        assert (record.description, record.candidate, record.rolling_back) == (OLD, None, "")
        told = [one.text for one in world.store.events(infra_id) if one.kind == EventKind.ROLLING_BACK.value]
        assert told == [why, f"{why} (carried on)"]
        assert world.convergence(infra_id).maintain() == Passed()


@pytest.mark.parametrize("moment", ["after commit", "in a call"])
def test_a_rollback_of_a_first_build_that_is_killed_is_finished_by_maintenance(world, moment):
    for infra_id, why in rollbacks(world, moment, nothing, FAILING):
        steps = world.convergence(infra_id).preview().steps
        assert {(step.verb, step.reason) for step in steps} <= {(Verb.DESTROY, ROLLED_BACK)}
        with pytest.raises(BuildError) as caught:
            world.convergence(infra_id).maintain()
        assert caught.value.problems == (why,)
        world.assert_nothing(infra_id)


def park(world, infra_id):
    lease = world.store.acquire(infra_id, "another", world.clock.now())
    with world.store.changing(lease) as change:
        change.put_frozen(f"{PARKED}the template takes too long")
    world.store.release(lease)
    return world.store.infrastructure(infra_id).parked


def test_a_rollback_that_is_killed_is_finished_also_where_the_infrastructure_is_parked(world):
    for infra_id, why in rollbacks(world, "after commit", build_old(world), FAILING):
        parked = park(world, infra_id)
        plan = world.convergence(infra_id).preview()
        made = {row.node_id for row in world.store.instances(infra_id) if row.provisional}
        assert (
            {step.node_id for step in plan.steps if step.verb is Verb.DESTROY}
            == made
            == {s.node_id for s in plan.steps}
        )
        assert plan.frozen == parked
        assert world.convergence(infra_id).maintain().undone == (f"the update was rolled back: {why}", parked)
        world.assert_runs(RUNS_OLD, infra_id)
        assert world.store.infrastructure(infra_id).parked == parked
        assert world.convergence(infra_id).maintain().undone == (parked,)


def test_a_rollback_of_a_parked_infrastructure_goes_on_until_its_deletions_are_confirmed(world):
    stuck = 0
    for infra_id, why in rollbacks(world, "after commit", build_old(world), FAILING):
        parked, left = park(world, infra_id), [row for row in world.store.instances(infra_id) if row.provisional]
        if not left:
            continue
        stuck += 1
        world.cloud.set_faults([{"kind": "permanent", "operation": "delete"}])
        convergence = world.convergence(infra_id)
        for _ in range(2):
            passed = convergence.maintain()
            assert passed.undone == (f"the update was rolled back: {why}", parked)
            assert passed.unconfirmed
        assert world.store.infrastructure(infra_id).rolling_back == why
        world.cloud.set_faults([])
        assert convergence.maintain().unconfirmed == ()
        world.assert_runs(RUNS_OLD, infra_id)
        assert convergence.maintain().undone == (parked,)
        told = [one.text for one in world.store.events(infra_id) if one.kind == EventKind.ROLLING_BACK.value]
        assert told == [why, f"{why} (carried on)"]
    assert stuck


def test_a_rollback_of_a_first_build_that_is_killed_is_finished_also_where_it_is_parked(world):
    for infra_id, _ in rollbacks(world, "after commit", nothing, FAILING):
        park(world, infra_id)
        with pytest.raises(BuildError):
            world.convergence(infra_id).maintain()
        world.assert_nothing(infra_id)


@pytest.mark.parametrize("moment", ["after commit", "in a call"])
def test_a_destruction_takes_the_place_of_a_rollback_that_was_killed(world, moment):
    for infra_id, _ in rollbacks(world, moment, build_old(world), FAILING):
        world.store.request_destroy(infra_id)
        assert world.store.infrastructure(infra_id).rolling_back == ""
        world.convergence(infra_id).maintain()
        world.assert_nothing(infra_id)


def test_a_rollback_that_leaves_something_unconfirmed_ends_as_a_destruction(world):
    world.define("stuck", delete_seconds=10**6)
    candidate = infrastructure("stuck", "bad", edges=[("bad", "stuck")])
    with pytest.raises(BuildError) as caught:
        world.build(candidate)
    assert caught.value.unconfirmed
    record = world.store.infrastructure("infra")
    assert (record.wanted, record.rolling_back) == (False, "")


def test_a_build_whose_destruction_was_requested_is_not_said_to_be_rolled_back(world):
    world.build(OLD)
    said = []

    def during(operation):
        if operation == "create":
            world.store.request_destroy("infra")
        said.append(world.store.infrastructure("infra").rolling_back)

    world.during = during
    with contextlib.suppress(BuildError):
        world.build(NEW)
    assert set(said) == {""}


@pytest.mark.parametrize("moment", ["after commit", "in a call"])
def test_a_build_takes_the_place_of_a_rollback_that_was_killed(world, moment):
    for candidate in (OLD, FAILING, NEW):
        for infra_id, _ in rollbacks(world, moment, build_old(world), FAILING):
            world.build(candidate, infra_id=infra_id)
            counts = {each.name: max(1, each.scaling.min) for each in candidate.nodes}
            world.assert_runs(counts, infra_id)
            assert world.store.infrastructure(infra_id).rolling_back == ""
            assert world.convergence(infra_id).maintain() == Passed()


@pytest.mark.parametrize("candidate", [NEW, FAILING], ids=["another", "the same"])
def test_a_request_takes_the_place_of_a_rollback_that_was_killed_but_not_of_one_under_way(world, candidate):
    for infra_id, _ in rollbacks(world, "after commit", build_old(world), FAILING):
        lease = world.store.acquire(infra_id, "another", world.clock.now())
        with pytest.raises(WorkedOnError):
            ask(world, infra_id, candidate)
        world.store.release(lease)
        ask(world, infra_id, candidate)
        assert world.convergence(infra_id).maintain() == Passed()
        assert world.store.infrastructure(infra_id).description == candidate


def test_a_request_while_the_process_of_a_rollback_stands_still_is_carried_out(world):
    world.build(OLD)
    asked = []

    def during(_operation):
        if world.store.infrastructure("infra").rolling_back and not asked:
            world.clock.time += LEASE_SECONDS + 1
            world.define("bad")
            ask(world, "infra", FAILING)
            asked.append(True)

    world.during = during
    with pytest.raises(LeaseLostError):
        world.build(FAILING)
    world.during = lambda _operation: None
    assert asked
    world.clock.time += LEASE_SECONDS + 1
    assert world.convergence().maintain() == Passed()
    assert world.store.infrastructure("infra").description == FAILING


def replacement_rollbacks(world, moment):
    """Kill passes in which the replacement of `a` and `c` fails; yields those whose rollback had begun, and why.

    Instances could be replaced by then.
    """

    def prepare(infra_id):
        world.cloud.set_faults([])
        world.build(infrastructure("a", "c"), infra_id=infra_id)
        world.store.request_scaling(infra_id, "a", ScaleKind.REPLACE, 0, "", world.clock.now())
        world.store.request_scaling(infra_id, "c", ScaleKind.REPLACE, 0, "", world.clock.now())
        world.cloud.set_faults([{"kind": "permanent", "operation": "create", "node_name": "c"}])

    begun = 0
    for infra_id in kills(world, moment, prepare, lambda id, life: world.convergence(id, life=life).maintain()):
        if why := world.store.infrastructure(infra_id).rolling_back:
            begun += 1
            world.cloud.set_faults([])
            yield infra_id, why
    assert begun


def refused(world, infra_id):
    log = world.store.events(infra_id)
    return [(one.node_name, one.text) for one in log if one.kind == EventKind.REPLACEMENT_REFUSED.value]


@pytest.mark.parametrize("moment", ["after commit", "in a call"])
def test_a_replacement_whose_rollback_is_killed_is_refused(world, moment):
    for infra_id, why in replacement_rollbacks(world, moment):
        assert not world.convergence(infra_id).preview().of(Verb.CREATE, Verb.REPLACE)
        lease = world.store.acquire(infra_id, "another", world.clock.now())
        with pytest.raises(WorkedOnError):
            ask(world, infra_id, NEW)
        world.store.release(lease)
        world.convergence(infra_id).maintain()
        assert refused(world, infra_id) == [(name, f"it failed and is undone: {why}") for name in ("a", "c")]
        world.assert_runs({"a": 1, "c": 1}, infra_id)
        assert world.convergence(infra_id).maintain() == Passed()


@pytest.mark.parametrize("moment", ["after commit", "in a call"])
def test_a_replacement_that_is_requested_after_a_rollback_was_killed_is_carried_out(world, moment):
    for infra_id, why in replacement_rollbacks(world, moment):
        world.store.request_scaling(infra_id, "a", ScaleKind.REPLACE, 0, "", world.clock.now())
        before = {row.node_id: row for row in world.store.instances(infra_id)}
        plan = world.convergence(infra_id).preview()
        replaced = [before[step.node_id] for step in plan.of(Verb.REPLACE)]
        assert [(row.node_name, row.provisional) for row in replaced] == [("a", False)]
        passed = world.convergence(infra_id).maintain()
        assert passed.undone == (f"the replacement was rolled back: {why}",)
        assert [name for name, _ in refused(world, infra_id)] == ["a", "c"]
        [done] = [one for one in world.store.events(infra_id) if one.kind == EventKind.REPLACEMENT_DONE.value]
        assert (done.node_name, done.text) == ("a", "1 instance replaced")
        kept = {row.node_name for row in world.store.instances(infra_id) if row.node_id in before}
        assert kept == {"c"}
        world.assert_runs({"a": 1, "c": 1}, infra_id)
        assert world.convergence(infra_id).maintain() == Passed()


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_update_that_fails_after_a_kill_leaves_what_was(world, moment):
    before = {}

    def prepare(infra_id):
        world.cloud.set_faults([])
        world.build(OLD, infra_id=infra_id)
        before[infra_id] = {row.node_id for row in world.store.instances(infra_id)}

    for infra_id in kills(world, moment, prepare, lambda id, life: world.build(NEW, infra_id=id, life=life)):
        if world.store.infrastructure(infra_id).description != OLD:
            continue  # killed after the new one was in force
        world.cloud.set_faults([{"kind": "permanent", "operation": "create", "node_name": "d"}])
        if all(row.node_name != "d" or row.instance_id is None for row in world.store.instances(infra_id)):
            with pytest.raises(BuildError):
                world.build(NEW, infra_id=infra_id)
            world.assert_runs(RUNS_OLD, infra_id)
            assert {row.node_id for row in world.store.instances(infra_id)} == before[infra_id]
            assert world.store.infrastructure(infra_id).targets == {"a": 1, "b": 1, "c": 1}


def test_a_build_that_is_carried_on_may_still_change_to_another_implementation(world):
    world.define("e", implementations=[{"resource": {"project": "east"}}, {"resource": {"project": "west"}}])

    def build(infra_id, life):
        world.build(infrastructure("e"), infra_id=infra_id, life=life)

    for infra_id in kills(world, "in a call", nothing, build):
        (row,) = world.store.instances(infra_id)
        (chosen,) = world.store.implementations([row.implementation]).values()
        world.cloud.set_limits({chosen.resource["project"]: 0})
        world.build(infrastructure("e"), infra_id=infra_id)
        world.assert_runs({"e": 1}, infra_id)
        (one,) = world.live(infra_id)
        assert one["project"] != chosen.resource["project"]
        return


def test_a_node_that_is_healed_after_a_kill_says_how_long_it_was_not_well(world):
    told = []
    for number in itertools.count(1):
        infra_id = f"infra{number}"
        world.build(infrastructure("c"), infra_id=infra_id)
        world.cloud.change(world.live(infra_id)[0]["id"], "fail", "disk on fire")
        life = Life("after commit", number)
        with contextlib.suppress(KilledError):
            world.convergence(infra_id, life=life).maintain()
        if not life.over:
            break
        world.clock.time += 300
        world.convergence(infra_id).maintain()
        world.assert_runs({"c": 1}, infra_id)
        told += [one.text for one in world.store.events(infra_id) if one.kind == EventKind.HEALING.value]
    assert len(told) == number - 1, "each once"
    later = [text for text in told if "replaced after 300 s" in text]
    assert later
    assert all("disk on fire" in text for text in told)
