import contextlib
import os
import socket
import sqlite3
import subprocess
import sys

import pytest

from occopus_core.descriptions.times import written
from occopus_core.engine.kernel.holder import has_ended, holder
from occopus_core.engine.kernel.lease import HeldLease, LeaseInDoubtError
from occopus_core.engine.passes.errors import BusyError, InterruptedBuildError
from occopus_core.events import EventKind
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import LeaseLostError, NoSuchInfrastructureError

from ..conftest import infrastructure
from ..fakes import PatientClock


@pytest.fixture
def world(world):
    world.define("a", "b", boot_seconds=30, delete_seconds=2)
    return world


BOTH = infrastructure("a", "b", edges=[("b", "a")])


def meanwhile(world, act, kind=EventKind.NODE_BOOTING, at=1):
    """A build of `BOTH` by 'first', in the middle of which something else happens."""
    seen = []

    def observer(event):
        world.events.append(event)
        if event.kind is kind:
            seen.append(event)
            if len(seen) == at:
                act()

    world.build(BOTH, observer=observer, holder="first")


def waited_for(world):
    return [event.text for event in world.events if event.kind is EventKind.WAITING]


def test_who_comes_second_is_told_who_is_at_work(world):
    """A build waits for as long as a killed process would hold the lease, and not for one that goes on."""
    world.build(BOTH)
    lease = world.store.acquire("infra", "first", world.clock.now())

    class Kept(PatientClock):
        def wait(self, inbox, seconds):
            item = super().wait(inbox, seconds)
            with world.store.changing(lease) as change:
                change.renew(self.now())
            return item

    clock = Kept()
    start = clock.now()
    with pytest.raises(BusyError) as caught:
        world.build(BOTH, holder="second", clock=clock)
    assert str(caught.value) == "first is working on the infrastructure 'infra'"
    assert LEASE_SECONDS + 5 <= clock.now() - start < LEASE_SECONDS + 6
    assert waited_for(world) == ["for first, which is working on it"]


def test_a_build_takes_over_from_a_process_that_was_killed(world):
    world.store.add_infrastructure("infra", BOTH, {"a": 1, "b": 1}, "killed", start := world.clock.now())
    ready = []

    def observer(event):
        world.events.append(event)
        if event.kind is EventKind.NODE_CREATING:
            ready.append(world.clock.now())

    world.build(BOTH, observer=observer)
    assert LEASE_SECONDS <= ready[0] - start < LEASE_SECONDS + 1
    assert waited_for(world) == ["for killed, which is working on it"]
    world.assert_runs({"a": 1, "b": 1})


@pytest.fixture
def ended():
    """The name of a process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return holder().replace(f"process {os.getpid()} ", f"process {process.pid} ")


def test_a_process_of_this_host_that_has_ended_is_said_to_with_the_end_of_its_lease(world, ended):
    now = world.clock.now()
    world.store.add_infrastructure("infra", BOTH, {"a": 1, "b": 1}, ended, now - 5.5)
    with pytest.raises(BusyError) as caught:
        world.convergence().maintain()
    assert str(caught.value) == (
        f"{ended}, which does not exist any more, was working on the infrastructure 'infra': "
        f"its lease ends at {written(now + LEASE_SECONDS - 5.5)}; repeat this in 10 s"
    )
    world.build(BOTH)
    assert waited_for(world) == [f"for {ended}, which does not exist any more: its lease ends in 10 s"]


@pytest.mark.parametrize(
    "name", ["process {0} on {1}", "process 999999999 on another-host", "somebody", "process {0} on"]
)
def test_nothing_is_said_of_other_processes(name):
    """This one, one of another host, and what is no name of a process."""
    assert not has_ended(name.format(os.getpid(), socket.gethostname()))


def test_who_comes_at_the_same_moment_waits_too(world, monkeypatch):
    acquire = world.store.acquire

    def too_early(infra_id, holder, now):
        monkeypatch.setattr(world.store, "acquire", acquire)
        world.store.add_infrastructure(infra_id, BOTH, {}, "first", now)
        raise NoSuchInfrastructureError(infra_id)

    monkeypatch.setattr(world.store, "acquire", too_early)
    world.build(BOTH, holder="second")
    assert waited_for(world) == ["for first, which is working on it"]
    world.assert_runs({"a": 1, "b": 1})


def test_the_lease_is_kept_for_as_long_as_it_takes(world):
    world.define("a", boot_seconds=10 * LEASE_SECONDS)
    taken = []

    def observer(event):
        taken.append(world.store.acquire("infra", "second", world.clock.now()))

    # Looks at the provider go on all the time, and somebody tries to take over at each.
    world.answered = lambda operation: observer(None)
    world.build(infrastructure("a"))
    assert len(taken) > 10
    assert not any(taken)


def test_the_lease_is_given_back(world):
    world.build(BOTH, holder="first")
    assert world.store.acquire("infra", "second", world.clock.now()) is not None


@pytest.mark.parametrize("at", [1, 2])
def test_who_has_lost_the_lease_stops_and_creates_nothing_more(world, at):
    created = []

    def take_over():
        world.clock.time += LEASE_SECONDS + 1
        world.destroy(holder="second")
        world.assert_nothing()
        created.append(world.calls("create"))

    with pytest.raises(LeaseLostError):
        meanwhile(world, take_over, at=at)
    assert [world.calls("create")] == created
    world.assert_nothing()


@pytest.mark.parametrize("suspended", [False, True])
def test_who_has_slept_through_the_lease_calls_nobody(world, suspended):
    """A repeat of `create` was due when the process stood still; others destroyed everything in the meantime."""

    class Sleepy(PatientClock):
        asleep = False

        def now(self):
            return world.clock.now()

        def monotonic(self):
            return self.time

        def wait(self, inbox, seconds):
            item = super().wait(inbox, seconds)
            world.clock.time += seconds or 0 if item is None else 0
            if not self.asleep and world.calls("create") == 1:
                self.asleep = True
                world.clock.time += 3600
                if not suspended:
                    self.time += 3600  # with the machine itself, this clock sleeps too
                world.destroy(holder="second")
                world.assert_nothing()
            return item

    world.cloud.set_faults([{"kind": "error_500", "operation": "create", "nth": 1}])
    with pytest.raises(LeaseLostError):
        world.build(BOTH, clock=Sleepy(), holder="first")
    assert world.calls("create") == 1
    world.assert_nothing()


def test_a_call_that_was_held_back_by_a_lease_in_doubt_is_made_later(world, monkeypatch):
    """The process stood still for almost as long as a lease lasts, and then renewed it in time."""
    refuse, doubts = HeldLease.refuse_if_lost, [LeaseInDoubtError("in doubt", unreached=True)] * 2

    def in_doubt(held_lease):
        if doubts:
            raise doubts.pop()
        refuse(held_lease)

    monkeypatch.setattr(HeldLease, "refuse_if_lost", in_doubt)
    world.build(BOTH)
    assert doubts == []
    assert world.calls("create") == 2
    assert world.told(EventKind.NODE_FAILED) == []


def test_a_build_notices_that_its_destruction_was_asked_for(world):
    with pytest.raises(InterruptedBuildError, match="its destruction was requested"):
        meanwhile(world, lambda: world.store.request_destroy("infra"))
    assert world.told(EventKind.NODE_CREATING) == ["a"]
    world.assert_nothing()


def test_an_update_whose_infrastructure_is_to_be_destroyed_is_undone_and_leaves_it_to_others(world):
    world.build(infrastructure("a"))
    before = world.live()
    with pytest.raises(InterruptedBuildError):
        meanwhile(world, lambda: world.store.request_destroy("infra"))
    assert world.live() == before
    with pytest.raises(BusyError, match="is being destroyed"):
        world.build(BOTH)
    world.destroy()
    world.assert_nothing()


def test_destroy_waits_for_whoever_is_at_work(world):
    world.build(BOTH)
    lease = world.store.acquire("infra", "first", world.clock.now())
    start = world.clock.now()
    assert lease is not None
    world.destroy(holder="second")
    assert world.clock.now() - start >= LEASE_SECONDS
    assert waited_for(world) == ["for first, which is working on it"]
    world.assert_nothing()


def test_destroying_what_is_not_there(world):
    with pytest.raises(NoSuchInfrastructureError):
        world.destroy()


def test_the_time_of_day_may_be_set_back(world):
    """The lease is kept by the clock as it is now, and whoever looks at the new time finds it taken."""
    world.define("a", boot_seconds=200)
    taken = []

    class SetBack(PatientClock):
        set_back = 0.0

        def now(self):
            return world.clock.now() - self.set_back

        def monotonic(self):
            return world.clock.monotonic()

        def wait(self, inbox, seconds):
            item = world.clock.wait(inbox, seconds)
            if world.calls("create") and not self.set_back:
                self.set_back = 3600.0
            elif self.set_back:
                taken.append(world.store.lease_end("infra"))
            return item

    clock = SetBack()
    world.build(infrastructure("a"), clock=clock, holder="first")
    assert len(set(taken)) > 10
    assert max(taken) <= clock.now() + LEASE_SECONDS


def test_a_lease_that_ends_in_a_time_that_was_set_back_is_taken_over(world):
    world.build(BOTH)
    dead = world.store.acquire("infra", "killed", world.clock.now() + 86400)
    start = world.clock.now()
    assert dead is not None
    world.destroy(holder="second")
    assert LEASE_SECONDS < world.clock.now() - start < LEASE_SECONDS + 15
    world.assert_nothing()


def test_so_does_a_maintenance_pass(world):
    world.build(BOTH)
    assert world.store.acquire("infra", "killed", world.clock.now() + 86400) is not None
    world.cloud.change(world.live()[0]["id"], "lose")
    start = world.clock.now()
    world.convergence(holder="second").maintain()
    assert waited_for(world) == ["for killed, which is working on it"]
    assert LEASE_SECONDS < world.clock.now() - start < LEASE_SECONDS + 60
    world.assert_runs({"a": 1, "b": 1})


def test_a_maintenance_pass_waits_for_no_lease_that_may_be_held(world):
    world.build(BOTH)
    assert world.store.acquire("infra", "first", world.clock.now()) is not None
    start = world.clock.now()
    with pytest.raises(BusyError, match="first is working on"):
        world.convergence(holder="second").maintain()
    assert world.clock.now() == start


def test_a_maintenance_pass_leaves_it_to_one_whose_clock_is_ahead(world):
    """Two hosts whose clocks differ by more than they may: the one that is alive renews its lease."""
    world.build(BOTH)
    lease = world.store.acquire("infra", "first", world.clock.now() + 60)

    class Kept(PatientClock):
        def wait(self, inbox, seconds):
            item = super().wait(inbox, seconds)
            with world.store.changing(lease) as change:
                change.renew(self.now() + 60)
            return item

    with pytest.raises(BusyError, match="first is working on"):
        world.convergence(holder="second", clock=Kept()).maintain()


def test_what_is_told_keeps_nobody_from_writing(world):
    """A terminal may take nothing for an hour."""
    written = []

    def observer(event):
        if event.kind is not EventKind.INFRA_CREATED:
            connection = sqlite3.connect(world.store._database._engine.url.database, timeout=0)
            with contextlib.closing(connection):
                connection.execute("BEGIN IMMEDIATE")
            written.append(event.kind)

    world.build(BOTH, observer=observer)
    world.destroy(observer=observer)
    assert {EventKind.INFRA_READY, EventKind.INFRA_DROPPED} <= set(written)
