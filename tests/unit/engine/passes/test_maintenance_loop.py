"""Maintenance over and over: who is attached, when it ends, what is told."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter

import pytest

from occopus_core.api import HealthChecker, Verdict
from occopus_core.engine.passes.maintenance_loop import MIN_PER_SLOT, MaintenanceLoop
from occopus_core.engine.planning.scaling import targets_of
from occopus_core.events import Event, EventKind
from occopus_core.store import engines
from occopus_core.store.database import Database, open_database
from occopus_core.store.records import InfrastructureState, LifeTime, Stage, StoreError
from occopus_core.store.repository import Store

from ..conftest import infrastructure, node

pytestmark = pytest.mark.slow


class Keeper:
    """Rounds on the virtual clock, with what they say and how often each infrastructure had its turn."""

    def __init__(self, world, interval=10.0, holder="test"):
        self.said = []
        self.resources = world.resources(holder=holder)
        self.rounds = MaintenanceLoop(
            self.resources, interval, lambda infra_id, text: self.said.append((infra_id, text))
        )
        self.taken = []
        self._ended, self.rounds._ended = self.rounds._ended, self._count

    def _count(self, context, outcome):
        self.taken.append(context.infra_id)
        self._ended(context, outcome)

    def after(self, seconds, action):
        self.resources.loop.after(seconds, action)

    def run(self, seconds, **how):
        """Stop after so many seconds; how many seconds it took altogether."""
        began = self.resources.loop.clock.now()
        self.after(seconds, self.rounds.stop)
        self.rounds.run(**how)
        return self.resources.loop.clock.now() - began


@pytest.fixture
def keeper(world):
    return Keeper(world)


def built(world, *infra_ids, **resource):
    world.define("web", **resource)
    for infra_id in infra_ids:
        world.convergence(infra_id).build(infrastructure(node("web", min=2, max=5)))
    world.events.clear()


def added(world, infra_id="infra", **resource):
    """An infrastructure that waits for its first pass."""
    world.define("web", **resource)
    candidate = infrastructure(node("web", min=2, max=5))
    targets = targets_of(candidate, {})
    world.store.release(world.store.add_infrastructure(infra_id, candidate, targets, "x", world.clock.now()))


def test_each_has_its_turn_an_interval_after_the_last(world, keeper):
    built(world, "a", "b")
    keeper.rounds.attach("a")
    keeper.rounds.attach("b")
    keeper.run(95)
    assert keeper.taken.count("a") == keeper.taken.count("b")
    assert 10 <= keeper.taken.count("a") <= 11, "at most an interval apart, and not much less"
    assert keeper.said == []


def test_many_that_ended_one_by_one_are_looked_at_together(world, keeper):
    names = [f"i{number}" for number in range(20)]
    built(world, *names)
    before = world.cloud.calls()["total"]["describe"]
    for number, name in enumerate(names):
        keeper.after(number * 0.02, lambda name=name: keeper.rounds.attach(name))
    keeper.run(65)
    describes = world.cloud.calls()["total"]["describe"] - before
    assert keeper.taken.count("i0") >= 6
    assert describes <= 20 + 6 * 2, "after a first round of its own for each, all share a call or two"


def test_to_attach_again_makes_no_second_row_of_passes(world, keeper):
    built(world, "a")
    keeper.rounds.attach("a")
    for second in range(1, 6):
        keeper.after(second, lambda: keeper.rounds.detach("a"))
        keeper.after(second, lambda: keeper.rounds.attach("a"))
    keeper.run(95)
    assert 14 <= len(keeper.taken) <= 6 + 10, "one for each time it was attached, and then one every ten seconds"


def test_to_attach_again_during_a_pass_goes_on_after_it(world, keeper):
    added(world, boot_seconds=30)
    ended = []
    keeper.rounds.attach("infra")
    keeper.after(5, lambda: keeper.rounds.detach("infra", lambda: ended.append(world.clock.now())))
    keeper.after(6, lambda: keeper.rounds.attach("infra"))
    began = world.clock.now()
    keeper.run(100)
    assert keeper.rounds.attached == {"infra"}
    assert ended
    assert 30 <= ended[0] - began <= 33, "the pass under way ends first"
    assert len(keeper.taken) >= 7


def test_to_stop_leaves_a_build_to_the_next_who_carries_it_on(world, keeper):
    added(world, boot_seconds=30, delete_seconds=30)
    keeper.rounds.attach("infra")
    assert keeper.run(10) <= 10 + 2
    record = world.store.infrastructure("infra")
    assert record.state is InfrastructureState.BUILDING, "not undone: others asked for it"
    assert {one["state"] for one in world.live()} == {"pending"}
    assert world.store.acquire("infra", "another", world.clock.now()), "the lease was given back"
    world.clock.time += 60
    world.convergence().maintain()
    assert len(world.live()) == 2
    assert {record.stage for record in world.store.instances("infra")} == {Stage.READY}


def test_to_stop_leaves_a_repair_to_the_next_who_carries_it_on(world, keeper):
    built(world, "infra", boot_seconds=30)
    world.clock.time += 60
    world.cloud.change(world.live()[0]["id"], "lose")
    keeper.rounds.attach("infra")
    assert keeper.run(10) <= 10 + 2
    assert len(world.live()) == 2
    world.convergence().maintain()
    assert len(world.live()) == len(world.store.instances("infra")) == 2
    assert world.cloud.calls()["total"]["create"] <= 4, "the same token, asked for once more"


def test_destruction_that_was_asked_for_ends_a_build_under_way(world, keeper):
    added(world, boot_seconds=300)
    keeper.rounds.attach("infra")
    keeper.after(10, lambda: world.store.request_destroy("infra"))
    assert keeper.run(290, until_none_left=True) < 60
    assert world.live() == []
    assert keeper.rounds.attached == frozenset()


def test_the_end_of_an_infrastructure_is_no_error(world, keeper):
    built(world, "infra")
    keeper.rounds.attach("infra")
    keeper.after(25, lambda: world.convergence().destroy())
    assert keeper.run(290, until_none_left=True) < 60
    assert keeper.said == []


def test_an_error_is_told_when_it_changes(world, keeper):
    built(world, "infra")
    failing = []

    class Ailing(Database):
        @contextlib.contextmanager
        def reading(self):
            if failing:
                raise StoreError(failing[0])
            with super().reading() as connection:
                yield connection

    database = Ailing(world.store._database._engine)
    database.installation = world.store.installation
    object.__setattr__(keeper.resources, "store", Store(database))
    keeper.rounds.attach("infra")
    keeper.after(15, lambda: failing.append("the disk is full"))
    keeper.after(55, lambda: failing.__setitem__(0, "the disk is gone"))
    keeper.after(95, failing.clear)
    keeper.run(150)
    assert keeper.said == [("infra", "the disk is full"), ("infra", "the disk is gone"), ("infra", "")]


def test_that_another_works_on_it_neither_ends_nor_repeats_an_error(world, keeper):
    """Two maintainers of one infrastructure: each finds it taken now and then."""
    built(world, "infra")
    answers = iter([StoreError("full"), None, StoreError("full"), None, StoreError("full")])
    opened = keeper.resources.store

    class Ailing(Store):
        def acquire(self, *arguments):
            answer = next(answers, ...)
            if isinstance(answer, Exception):
                raise answer
            return opened.acquire(*arguments) if answer is ... else None

        def lease_end(self, _infra_id):
            return world.clock.now() + 5

    object.__setattr__(keeper.resources, "store", Ailing(world.store._database))
    keeper.rounds.attach("infra")
    keeper.run(75)
    assert keeper.said == [("infra", "full"), ("infra", "")]


def test_a_mistake_of_ours_is_told_by_its_kind(world, keeper):
    built(world, "infra")

    class Broken(Store):
        def infrastructure(self, *arguments):
            raise KeyError("web")

    object.__setattr__(keeper.resources, "store", Broken(world.store._database))
    keeper.rounds.attach("infra")
    keeper.run(25)
    assert keeper.said == [("infra", "KeyError: 'web'")]


def test_a_store_that_is_locked_for_long_is_waited_for(world, tmp_path, monkeypatch):
    built(world, "infra")
    monkeypatch.setattr(engines, "BUSY_TIMEOUT", 0.01)
    world.store = Store(open_database(f"sqlite:///{tmp_path}/occopus.db"))
    keeper = Keeper(world)
    other = sqlite3.connect(tmp_path / "occopus.db", isolation_level=None)
    keeper.rounds.attach("infra")
    keeper.after(15, lambda: other.execute("BEGIN IMMEDIATE"))
    keeper.after(25, lambda: world.cloud.change(world.live()[0]["id"], "lose"))
    keeper.after(75, lambda: other.execute("ROLLBACK"))
    keeper.run(120)
    other.close()
    (_, locked), (_, well) = keeper.said
    assert "locked" in locked
    assert well == ""
    assert len(world.live()) == len(world.store.instances("infra")) == 2


def test_a_provider_that_is_away_is_told_once(world, keeper):
    built(world, "infra")
    before = world.store.instances("infra")
    keeper.rounds.attach("infra")
    keeper.after(15, lambda: world.cloud.set_faults([{"kind": "error_500"}]))
    keeper.after(200, lambda: world.cloud.set_faults([]))
    keeper.run(300)
    assert [event.kind for event in world.events] == [EventKind.WAITING]
    assert world.events[0].text == "for a provider: memory cloud: internal error"
    after = world.store.instances("infra")
    assert [r.node_id for r in after] == [r.node_id for r in before]
    assert {r.reason for r in after} == {""}


def test_nothing_piles_up(world):
    """As many timers after many passes without a pause as after a few."""
    built(world, "infra")
    keeper = Keeper(world, interval=0.0)
    world.registry._loaded["health", "fake"] = type(
        "Checker", (HealthChecker,), {"schema": dict, "check": lambda _, probes: [Verdict(True)] * len(probes)}
    )
    world.define("web", implementations=[{"checks": {"fake": True}}])
    world.convergence().build(infrastructure(node("web", min=2)))
    keeper.rounds.attach("infra")
    counts = []
    for seconds in (5, 15):
        keeper.after(seconds, lambda: counts.append(len(keeper.resources.loop._timers)))
    keeper.run(16)
    assert counts[1] <= counts[0] + 5


def test_more_than_a_company_are_spread_over_the_interval(world, keeper):
    names = [f"i{number}" for number in range(100)]
    built(world, *names)
    begun = []
    keeper.resources.loop.meter.passed = lambda *_: begun.append(world.clock.now())
    for name in names:
        keeper.rounds.attach(name)
    began = world.clock.now()
    keeper.run(65)
    late = [int(moment - began) for moment in begun if 30 <= moment - began < 60]
    assert max(Counter(late).values()) <= MIN_PER_SLOT
    assert 300 <= len(late) <= 330, "each still has its turn at every interval"


# Life times, and who maintains


def test_the_end_of_a_life_time_comes_to_a_quiet_infrastructure(world, keeper):
    """No tick writes anything before the warning, and the destruction follows at the end."""
    built(world, "short")
    began = world.clock.now()
    event = Event(EventKind.LIFE_TIME_CHANGED, "short", text="soon")
    world.store.put_life_time("short", LifeTime(began + 300, began + 200), event, began)
    keeper.rounds.attach("short")
    revisions = []
    keeper.after(150, lambda: revisions.append(world.store.infrastructure("short").revision))
    keeper.after(190, lambda: revisions.append(world.store.infrastructure("short").revision))
    assert keeper.run(2000, until_none_left=True) < 340
    assert revisions[0] == revisions[1]
    kinds = [one.kind for one in world.store.events("short")]
    assert kinds.index(EventKind.EXPIRING.value) < kinds.index(EventKind.EXPIRED.value)
    world.assert_nothing("short")


def test_work_that_does_not_end_does_not_outlive_the_life_time(world, keeper):
    """A replacement that boots for ever is given up at the end, and destroyed."""
    built(world, "short")
    world.define("web", boot_seconds=100_000)
    began = world.clock.now()
    event = Event(EventKind.LIFE_TIME_CHANGED, "short", text="soon")
    world.store.put_life_time("short", LifeTime(began + 100, None), event, began)
    world.cloud.change(world.live()[0]["id"], "fail", "gone")
    keeper.rounds.attach("short")
    assert keeper.run(2000, until_none_left=True) < 200
    world.assert_nothing("short")


def maintainer(world, infra_id="a"):
    return world.store.maintainers.of(infra_id)


def test_who_maintains_is_recorded_and_goes_at_the_end(world, keeper):
    built(world, "a", "b")
    began = world.clock.now()
    keeper.rounds.attach("a")
    seen = []
    keeper.after(100, lambda: seen.extend([maintainer(world), maintainer(world, "b")]))
    keeper.run(120)
    assert seen[1] is None
    assert (seen[0].name, seen[0].since) == ("test", pytest.approx(began, abs=3))
    assert seen[0].is_alive(began + 100)
    assert maintainer(world) is None


def test_one_that_is_detached_is_not_maintained_any_more(world, keeper):
    built(world, "a")
    keeper.rounds.attach("a")
    keeper.after(50, lambda: keeper.rounds.detach("a"))
    seen = []
    keeper.after(60, lambda: seen.append(maintainer(world)))
    keeper.run(70)
    assert seen == [None]


def test_one_that_was_killed_is_seen_as_such_until_another_comes(world, keeper):
    built(world, "a")
    keeper.rounds.attach("a")
    keeper.rounds._leave = lambda: None  # so ends a process that is killed
    keeper.run(50)
    left = maintainer(world)
    assert left.is_alive(world.clock.now())
    world.clock.time += 100
    assert not left.is_alive(world.clock.now())
    other = Keeper(world, holder="other")
    other.rounds.attach("a")
    seen = []
    other.after(5, lambda: seen.append(maintainer(world)))
    other.run(10)
    assert seen[0].name == "other"
    assert maintainer(world) is None, "the one that was killed is forgotten"


def test_beats_do_not_count_as_changes_and_are_few(world, keeper, monkeypatch):
    built(world, *(f"i{number}" for number in range(5)))
    beats = []
    beat = world.store.maintainers.beat
    monkeypatch.setattr(world.store.maintainers, "beat", lambda *args: (beats.append(args), beat(*args)))
    for number in range(5):
        keeper.rounds.attach(f"i{number}")
    before = [world.store.infrastructure(f"i{number}").revision for number in range(5)]
    keeper.run(100)
    assert [world.store.infrastructure(f"i{number}").revision for number in range(5)] == before
    assert 8 <= len(beats) <= 13


def seen_at(world, infra_id="a"):
    return world.store.infrastructure(infra_id).seen_at


def test_the_last_look_is_recorded_each_minute_and_at_the_end(world, keeper, monkeypatch):
    built(world, "a", "b")
    recorded = []
    put = world.store.looks.put
    monkeypatch.setattr(world.store.looks, "put", lambda seen: (recorded.append(set(seen)), put(seen)))
    keeper.rounds.attach("a")
    keeper.rounds.attach("b")
    at_a_minute = []
    keeper.after(59, lambda: at_a_minute.append(world.clock.now() - seen_at(world)))
    keeper.after(175, lambda: keeper.rounds.detach("b"))
    keeper.after(178, lambda: at_a_minute.append(world.clock.now() - seen_at(world, "b")))
    keeper.run(200)
    assert at_a_minute[0] <= 60
    assert at_a_minute[1] <= 13, "of what is detached the last look counts"
    assert world.clock.now() - seen_at(world) <= 11
    assert 4 <= len(recorded) <= 6


def test_a_look_that_a_provider_does_not_answer_is_none(world, keeper):
    built(world, "a")
    keeper.rounds.attach("a")
    keeper.after(95, lambda: world.cloud.set_faults([{"kind": "error_500"}]))
    keeper.run(300)
    assert 180 < world.clock.now() - seen_at(world) < 300


def test_a_store_that_is_away_stops_no_maintenance_because_of_a_beat(world, keeper, monkeypatch):
    built(world, "a")

    def away(*_):
        raise StoreError("away")

    monkeypatch.setattr(world.store.maintainers, "beat", away)
    keeper.rounds.attach("a")
    keeper.run(50)
    assert len(keeper.taken) > 3
