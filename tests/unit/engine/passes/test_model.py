"""Anything that may happen, in any order, against a plain model of what should be there at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from occopus_core.api.context import Context
from occopus_core.api.errors import ProviderError
from occopus_core.api.resource import CreateRequest, Owner
from occopus_core.engine.passes.errors import (
    AbandonedError,
    BuildError,
    BusyError,
    UnconfiguredError,
    UnconfirmedError,
)
from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.engine.passes.sweeping import sweep
from occopus_core.engine.planning.backoff import LONGEST_SETBACK_DELAY
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.database import open_database
from occopus_core.store.records import LeaseLostError, NoSuchInfrastructureError, ScaleKind

from .. import plain
from ..configured import Managers
from ..conftest import World
from ..fakes import KilledError, Life, PatientClock

pytestmark = pytest.mark.slow


EXAMPLES = int(os.environ.get("OCCOPUS_TEST_EXAMPLES", "40"))
"""Sequences that are tried. `make model` tries many more, other ones each time."""

IDS = st.sampled_from(["one", "two"])
NUMBERS = st.integers(0, len(plain.DESCRIPTIONS) - 1)
MOMENTS = st.sampled_from(["before commit", "after commit", "in a call", "after a call"])
FAULTS = st.builds(
    lambda kind, operation, **how: {"kind": kind, "operation": operation, **how},
    st.sampled_from(
        ["error_500", "throttle", "lost_reply", "cut_reply", "quota", "auth", "permanent", "not_found", "hang"]
    ),
    st.sampled_from(["create", "describe", "list", "delete"]),
    probability=st.sampled_from([0.2, 0.5, 1.0]),
    count=st.sampled_from([1, 2, 5, 1000]),
)
MANAGER_FAULTS = st.builds(
    lambda kind, operation, **how: {"kind": kind, "operation": operation, **how},
    st.sampled_from(["error_500", "throttle", "lost_reply", "hang", "permanent", "auth"]),
    st.sampled_from(["register", "configure", "status", "cancel", "leave", "forget", "forget_infrastructure"]),
    count=st.sampled_from([1, 3, 1000]),
)
UNCERTAIN = st.builds(
    lambda nth, then: [
        {"kind": "lost_reply", "operation": "create", "nth": nth},
        {"kind": "invisible_seconds", "operation": "create", "seconds": 1.9},
        {"kind": then, "operation": "create", "nth": nth + 1},
    ],
    st.integers(1, 6),
    st.sampled_from(["quota", "permanent", "error_500"]),
)
"""Something is made that nobody is told of or sees, and the next call is refused."""
HIDING = st.builds(
    lambda seconds: {"kind": "invisible_seconds", "operation": "create", "seconds": seconds},
    st.floats(0.1, 1.9),  # less than the window in which the handler says that it may happen
)
DISTURBED = (
    BuildError,
    BusyError,
    UnconfiguredError,
    UnconfirmedError,
    AbandonedError,
    ProviderError,
    NoSuchInfrastructureError,
)
"""How an operation may end while the cloud has its faults."""


@functools.cache
def _empty_store() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="occopus-model-"))
    open_database(f"sqlite:///{folder}/empty.db").close()
    return folder / "empty.db"


class Machine(RuleBasedStateMachine):
    """Two infrastructures on one cloud. `may_be` has for each what it may be, by all that was done to it."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="occopus-model-")
        shutil.copy(_empty_store(), f"{self.folder.name}/store.db")
        self.world = World(Path(self.folder.name) / "store.db")
        self.world.handler.poll_seconds = (0.5, 5.0)
        self.world.define("a", steps=2, boot_seconds=1, delete_seconds=1)
        self.world.define("b", boot_seconds=2, delete_seconds=1, image="port {{ variables.port }} of {{ getip('a') }}")
        self.world.define("c", implementations=[{"resource": {"project": name}} for name in ("east", "west")])
        self.managers = Managers(self.world)
        self.managers.define("d", seconds=2, leave_seconds=1, attributes={"port": 1}, role="{{ getipall('a') }}")
        self.managers.at().during = lambda operation: self.world.during(operation)  # noqa: PLW0108
        self.managers.at().answered = lambda operation: self.world.answered(operation)  # noqa: PLW0108
        self.world.define("bad", boot_seconds=1, fail="disk on fire")
        self.may_be = {"one": {None}, "two": {None}}
        self.duplicates = False
        """Something may be there that nobody can know of but by searching."""
        self.strays = set()

    def teardown(self):
        try:
            self.converge()
        finally:
            self.world.store.close()
            self.folder.cleanup()

    # What is

    def state(self, infra_id):
        store = self.world.store
        try:
            record = store.infrastructure(infra_id)
        except NoSuchInfrastructureError:
            assert store.instances(infra_id) == []
            return None
        requests = [one for one in store.pending_requests(infra_id) if one.kind is ScaleKind.SET]
        pending = tuple((request.node_name, request.amount) for request in requests)
        return plain.Infra(
            None if record.description is None else plain.DESCRIPTIONS.index(record.description),
            None if record.candidate is None else plain.DESCRIPTIONS.index(record.candidate),
            record.wanted,
            tuple(record.targets.items()),
            pending,
        )

    def settle(self, infra_id, may_be):
        """What it is now is one of these."""
        state = self.state(infra_id)
        assert state in may_be, f"{infra_id} is {state}, which is none of {may_be}"
        self.may_be[infra_id] = {state}

    def rest(self):
        """A new process comes when the leases of the dead have run out."""
        self.world.during = self.world.answered = lambda operation: None
        self.world.clock.time += LEASE_SECONDS + 1
        self.world.clock._left = 5400.0

    def calm(self):
        self.world.cloud.set_faults([])
        self.managers.at().set_faults([])
        self.world.cloud.set_limits()

    # What is done

    def attempt(self, infra_id, act, may_be, *, allowed=DISTURBED):
        """Do something that may fail in the ways that are allowed."""
        self.rest()
        ended = None
        try:
            act()
        except allowed as error:
            ended = error
        except KilledError as error:
            ended = error
        self.rest()
        self.settle(infra_id, may_be)
        return ended

    def operation(self, infra_id, what, number, **options):
        """Something to do, and whatever it may leave."""
        convergence = self.world.convergence(infra_id, **options)
        if what == "build":
            return lambda: convergence.build(plain.DESCRIPTIONS[number]), lambda of: plain.build_may_end(of, number)
        if what == "maintain":
            return convergence.maintain, plain.maintain_may_end
        return convergence.destroy, plain.destroy_may_end

    OPERATIONS = st.sampled_from(["build", "build", "maintain", "destroy"])

    @rule(infra_id=IDS, number=NUMBERS)
    def build(self, infra_id, number):
        before = self.may_be[infra_id]
        act, may_end = self.operation(infra_id, "build", number)
        ended = self.attempt(infra_id, act, may_end(before))
        if ended is None:
            assert self.may_be[infra_id] == {plain.built(state, number) for state in before}

    @rule(infra_id=IDS)
    def maintain(self, infra_id):
        act, may_end = self.operation(infra_id, "maintain", 0)
        self.attempt(infra_id, act, may_end(self.may_be[infra_id]))

    @rule(infra_id=IDS)
    def destroy(self, infra_id):
        act, may_end = self.operation(infra_id, "destroy", 0)
        if self.attempt(infra_id, act, may_end(self.may_be[infra_id])) is None:
            assert self.may_be[infra_id] == {None}

    @rule(infra_id=IDS, number=NUMBERS, what=OPERATIONS, moment=MOMENTS, at=st.integers(1, 40))
    def killed(self, infra_id, number, what, moment, at):
        life = Life(moment, at)
        act, may_end = self.operation(infra_id, what, number, life=life)

        def mortal():
            self.world.during = lambda operation: life.moment("in a call")
            self.world.answered = lambda operation: life.moment("after a call")
            act()

        self.attempt(infra_id, mortal, may_end(self.may_be[infra_id]))

    @rule(infra_id=IDS, number=NUMBERS, what=OPERATIONS, at=st.integers(1, 25), times=st.integers(1, 2))
    def interrupted(self, infra_id, number, what, at, times):
        convergence = None
        count = 0

        def observer(event):
            nonlocal count
            count += 1
            if count == at:
                for _ in range(times):
                    convergence.interrupt("SIGINT")

        convergence = self.world.convergence(infra_id, observer=observer)
        act = {
            "build": lambda: convergence.build(plain.DESCRIPTIONS[number]),
            "maintain": convergence.maintain,
            "destroy": convergence.destroy,
        }[what]
        _, may_end = self.operation(infra_id, what, number)
        self.attempt(infra_id, act, may_end(self.may_be[infra_id]))

    @rule(
        infra_id=IDS,
        number=NUMBERS,
        what=OPERATIONS,
        where=st.sampled_from(["event", "in a call", "after a call"]),
        at=st.integers(1, 25),
        other=OPERATIONS,
        other_number=NUMBERS,
    )
    def asleep(self, infra_id, number, what, where, at, other, other_number):
        """A process stands still for longer than its lease lasts, and another one does something meanwhile."""
        count, slept = 0, False

        def moment(_subject):
            nonlocal count, slept
            count += 1
            if count != at:
                return
            slept = True
            during, answered = self.world.during, self.world.answered
            self.world.during = self.world.answered = lambda operation: None
            self.world.clock.time += LEASE_SECONDS + 1
            act, _ = self.operation(infra_id, other, other_number, clock=_Shared(self.world.clock))
            with contextlib.suppress(*DISTURBED):
                act()
            self.world.during, self.world.answered = during, answered
            between.append(self.state(infra_id))

        between = []
        options = {"observer": moment} if where == "event" else {}
        act, may_end = self.operation(infra_id, what, number, **options)

        def sleepy():
            if where == "in a call":
                self.world.during = moment
            elif where == "after a call":
                self.world.answered = moment
            act()

        _, other_may_end = self.operation(infra_id, other, other_number)
        first = may_end(self.may_be[infra_id])
        may_be = other_may_end(first) if at else first
        self.attempt(infra_id, sleepy, may_be | first, allowed=(*DISTURBED, LeaseLostError))
        if slept and where == "in a call":
            self.duplicates = True  # its call may leave only now; the next search finds what it made

    @rule(infra_ids=st.sets(IDS, min_size=1), seconds=st.sampled_from([1, 20, 200]))
    def rounds(self, infra_ids, seconds):
        """Maintenance of several infrastructures at once."""
        self.rest()
        resources = self.world.resources()
        rounds = MaintenanceLoop(resources, 10.0, lambda _infra_id, _text: None)
        for infra_id in infra_ids:
            rounds.attach(infra_id)
        resources.loop.after(seconds, rounds.stop)
        rounds.run()
        self.rest()
        for infra_id in infra_ids:
            may_be = self.may_be[infra_id]
            while (more := plain.maintain_may_end(may_be)) != may_be:
                may_be = more
            self.settle(infra_id, may_be)

    @rule(infra_id=IDS, name=st.sampled_from("abcd"), count=st.integers(0, 5))
    def scale(self, infra_id, name, count):
        (state,) = self.may_be[infra_id]
        if state is None:
            return
        self.world.store.request_scaling(infra_id, name, ScaleKind.SET, count, "", self.world.clock.now())
        pending = (*state.pending, (name, count))
        self.settle(infra_id, {dataclasses.replace(state, pending=pending)})

    @rule(infra_id=IDS, name=st.sampled_from("abcd"))
    def replace(self, infra_id, name):
        """Other instances of a node: the same description and the same numbers."""
        if self.may_be[infra_id] != {None}:
            self.world.store.request_scaling(infra_id, name, ScaleKind.REPLACE, 0, "", self.world.clock.now())

    # What happens to the cloud

    @rule(rules=st.lists(FAULTS | HIDING, min_size=1, max_size=3) | UNCERTAIN)
    def faults(self, rules):
        hiding = [rule for rule in rules if rule["kind"] == "invisible_seconds"]
        others = [rule for rule in rules if rule["kind"] != "invisible_seconds"]
        # One alone: the seconds of several add up, to more than the window.
        self.world.cloud.set_faults(hiding[:1] + others)

    @rule(rules=st.lists(MANAGER_FAULTS, min_size=1, max_size=3))
    def manager_faults(self, rules):
        self.managers.at().set_faults(rules)

    @rule(which=st.integers(0, 20), action=st.sampled_from(["lose", "lose_job"]))
    def manager_forgets(self, which, action):
        nodes = list(self.managers.at().service.nodes)
        if nodes:
            self.managers.at().service.change(nodes[which % len(nodes)], action)

    @rule()
    def forgets(self):
        self.world.cloud.set_faults([{"kind": "forget_tokens", "operation": "create", "probability": 0.3}])
        self.duplicates = True

    @rule(quotas=st.dictionaries(st.sampled_from(["default", "east", "west"]), st.integers(0, 4)))
    def quotas(self, quotas):
        self.world.cloud.set_limits(quotas)

    @rule()
    def recovers(self):
        self.calm()

    @rule(which=st.integers(0, 20), action=st.sampled_from(["lose", "stop", "fail", "start"]))
    def harm(self, which, action):
        machines = self.world.live()
        if machines:
            self.world.cloud.change(machines[which % len(machines)]["id"], action)

    @rule(seconds=st.sampled_from([0.5, 30, 4000]))
    def wait(self, seconds):
        self.world.clock.time += seconds

    @rule(infra_id=IDS)
    def stray(self, infra_id):
        """Something is made with our tags that nobody has written down."""
        places = self.world.store.places.all()
        if places:
            owner = Owner(self.world.store.installation, infra_id, "a", "gone")
            handler = self.world.resources().connections.resource(places[0].implementation, places[0].connection).plugin
            with contextlib.suppress(ProviderError):
                token = f"occopus-stray-{len(self.strays)}"
                self.strays.add(token)
                handler.create(CreateRequest(token, owner, {}, Context()))

    # What must be

    @invariant()
    def nothing_is_forgotten(self):
        """Whatever there is has a row, or can be told to be a stray."""
        if self.duplicates:
            return
        tokens = self.world.store.instances_by_token().keys() | self.strays
        assert {one["token"] for one in self.world.live()} <= tokens

    @rule()
    def sweep(self):
        self.rest()
        before = {one["id"] for one in self.world.live()}
        known = {r.instance_id for r in self.world.store.instances_by_token().values()}
        resources = self.world.resources()
        resources.loop.run(sweep(resources, remove=True))
        after = {one["id"] for one in self.world.live()}
        assert before & known <= after | {None}, "a sweep never takes what a row stands for"

    @rule()
    def converge(self):
        """The cloud is well again, and maintenance has time: everything is as it should be, and nothing else is."""
        self.calm()
        for infra_id in self.may_be:
            self.mend(infra_id)
        self.rest()
        resources = self.world.resources()
        swept = resources.loop.run(sweep(resources, remove=True))
        if not self.duplicates:
            assert {stray.instance.token for stray in swept.strays} <= self.strays
            assert list(swept.registered) == [], "what a manager holds has a row, to be forgotten or not"
        assert (swept.left, swept.silent) == ([], [])
        self.duplicates = False
        self.assert_managed()
        for infra_id, states in self.may_be.items():
            (state,) = states
            if state is None:
                self.world.assert_nothing(infra_id)
            else:
                self.world.assert_runs({name: count for name, count in state.targets if count}, infra_id)
                assert self.world.store.pending_requests(infra_id) == []

    def assert_managed(self):
        """The manager holds the nodes that there are, configured, and nothing else."""
        rows = [row for infra_id in self.may_be for row in self.world.store.instances(infra_id)]
        managed = {row.node_id for row in rows if row.node_name == "d"}
        held = self.managers.at().service
        assert set(held.nodes) == managed
        assert {held.nodes[node_id].status(self.world.clock.now())["state"] for node_id in managed} <= {"ready"}
        assert self.world.store.configurations.node_ids() == managed
        assert {record.infra_id for record in self.world.store.configurations.abandoned_managers()} == set()

    def mend(self, infra_id):
        for _ in range(8):
            calls = self.world.cloud.calls()["total"]
            act, may_end = self.operation(infra_id, "maintain", 0)
            ended = self.attempt(infra_id, act, may_end(self.may_be[infra_id]))
            assert not isinstance(ended, BusyError | ProviderError | AbandonedError), ended
            (state,) = self.may_be[infra_id]
            if state is None:
                return
            if state.wanted and self.world.store.infrastructure(infra_id).frozen:
                # Most of it is lost, which maintenance leaves to people; they build it once more.
                self.build(infra_id, state.settled)
            after = self.world.cloud.calls()["total"]
            if ended is None and (calls["create"], calls["delete"]) == (after["create"], after["delete"]):
                return
            self.world.clock.time += LONGEST_SETBACK_DELAY


class _Shared(PatientClock):
    """The clock of another process on the same world."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock

    def now(self):
        return self._clock.now()

    def monotonic(self):
        return self._clock.monotonic()

    def wait(self, inbox, seconds):
        return self._clock.wait(inbox, seconds)


def test_whatever_happens_all_is_as_it_should_be_at_the_end():
    thorough = "OCCOPUS_TEST_EXAMPLES" in os.environ
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30 if thorough else 20,
            derandomize=not thorough,
            database=None,
            deadline=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
