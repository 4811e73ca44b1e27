"""Instances that are ill because a node that they depend on is down: when they are replaced, and what is said."""

from __future__ import annotations

import pytest

from occopus_core.engine.planning.plan import Hold, Verb
from occopus_core.events import EventKind
from occopus_core.store.records import Condition

from ..conftest import infrastructure, node
from .test_maintaining import later, records, sick  # noqa: F401  # a fixture

TIMEOUT = 60.0
"""Seconds for which an instance may be ill; a pass looks every ten seconds."""


@pytest.fixture
def system(world, sick):  # noqa: F811  # a fixture
    return System(world, sick)


class System:
    """An infrastructure of nodes with health checks, maintained by a new process at every look."""

    def __init__(self, world, sick):  # noqa: F811
        self.world = world
        self.sick = sick

    def build(self, *nodes, edges=(), **ways):
        names = [one if isinstance(one, str) else one.name for one in nodes]
        for name in names:
            way = {"checks": {"fake": True}, "timeout": TIMEOUT, **ways.get(name, {})}
            self.world.define(name, implementations=[way], boot_seconds=2)
        self.world.build(infrastructure(*nodes, edges=edges))
        later(self.world, 100)
        self.world.events.clear()

    def of(self, name):
        return [one for one in records(self.world) if one.node_name == name]

    def fall_ill(self, *names):
        self.sick.update((one.address, f"{one.node_name} fails") for name in names for one in self.of(name))

    def get_well(self, *names):
        for name in names:
            for one in self.of(name):
                self.sick.pop(one.address, None)

    def look(self, seconds=10):
        """Maintenance by another process, every ten seconds."""
        for _ in range(0, seconds, 10):
            self.world.convergence().maintain()
            later(self.world, 10)

    def plan(self, name):
        return [one for one in self.world.convergence().preview().steps if one.node_name == name]

    def replaced(self):
        return self.world.told(EventKind.HEALING)

    def until_replaced(self, name):
        """Seconds from now until the look that replaces an instance of the node."""
        began, count = self.world.clock.now(), self.replaced().count(name)
        while True:
            moment = self.world.clock.now()
            self.look()
            if self.replaced().count(name) > count:
                return moment - began
            assert moment - began < 1000, f"{name} is never replaced"


A_TIMEOUT = pytest.approx(TIMEOUT + 5, abs=6)
"""Until the first look after the timeout."""


def test_a_dependent_has_its_whole_timeout_when_its_dependee_has_recovered(system):
    """It was ill for much longer than that, all because of its dependee, which an operator repairs."""
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 1000.0})
    before = records(system.world)
    system.fall_ill("db", "app")
    system.look(300)
    (step,) = system.plan("app")
    assert (step.verb, step.hold, step.until) == (Verb.WAIT, Hold.DEPENDENCY, None)
    assert step.reason == "for 300 s: app fails; it needs 'db', which is down"
    assert [one.condition for one in system.of("app")] == [Condition.AILING]
    system.get_well("db")
    recovered = system.world.clock.now()
    system.look(20)
    (step,) = system.plan("app")
    assert (step.verb, step.hold, step.until) == (Verb.WAIT, Hold.ILLNESS, recovered + TIMEOUT)
    assert step.reason == "for 320 s, 20 s of them since 'db' is healthy (limit 60 s): app fails"
    system.look(40)
    assert not system.replaced()
    system.get_well("app")
    system.look(100)
    assert [one.node_id for one in records(system.world)] == [one.node_id for one in before]


def test_one_that_does_not_follow_is_replaced_after_its_timeout_and_the_event_says_why_so_late(system):
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "app")
    system.look(300)
    system.get_well("db")
    assert system.until_replaced("app") == A_TIMEOUT
    assert system.replaced() == ["app"]
    (text,) = [event.text for event in system.world.events if event.kind is EventKind.HEALING]
    assert text == "for 370 s, 70 s of them since 'db' is healthy (limit 60 s): app fails"
    assert not system.world.store.infrastructure("infra").setbacks, "its dependee was the cause"


def test_a_dependent_has_its_whole_timeout_when_its_dependee_was_replaced(system):
    """The replacement has another address."""
    system.build("db", "app", edges=[("app", "db")])
    (app,) = system.of("app")
    system.fall_ill("app", "db")
    assert system.until_replaced("db") == A_TIMEOUT
    assert [one.node_id for one in system.of("app")] == [app.node_id]
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 5, abs=6)


def test_a_dependent_waits_while_its_dependee_cannot_be_made(system):
    system.build("db", "app", edges=[("app", "db")])
    (app,) = system.of("app")
    system.fall_ill("app")
    system.world.cloud.change(system.of("db")[0].instance_id, "stop")
    system.world.cloud.set_faults([{"kind": "quota", "operation": "create"}])
    system.look(200)
    assert not system.of("db")
    (step,) = system.plan("app")
    assert (step.hold, step.until) == (Hold.DEPENDENCY, None)
    system.world.cloud.set_faults([])
    while not system.of("db"):
        system.look()
    assert [one.node_id for one in system.of("app")] == [app.node_id]
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 5, abs=6)


def test_the_last_of_a_chain_has_its_whole_timeout_after_the_middle_one(system):
    system.build("db", "app", "lb", edges=[("lb", "app"), ("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "app", "lb")
    system.look(200)
    assert "it needs 'db', which is down" in system.plan("lb")[0].reason, "the cause"
    system.get_well("db")
    system.look(50)
    assert "it needs 'app', which is down" in system.plan("lb")[0].reason
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 45, abs=6)
    assert system.until_replaced("lb") == pytest.approx(TIMEOUT - 5, abs=6)
    assert system.replaced() == ["app", "lb"]


def test_of_two_dependees_the_later_one_counts(system):
    long = {"timeout": 1000.0}
    system.build("db", "cache", "app", edges=[("app", "db"), ("app", "cache")], db=long, cache=long)
    system.fall_ill("db", "cache", "app")
    system.look(100)
    system.get_well("db")
    system.look(100)
    assert "it needs 'cache', which is down" in system.plan("app")[0].reason
    system.get_well("cache")
    system.look(50)
    assert "50 s of them since 'cache' is healthy" in system.plan("app")[0].reason
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 45, abs=6)


def test_one_that_was_ill_before_its_dependee_has_its_whole_timeout_afterwards(system):
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("app")
    system.look(50)
    system.fall_ill("db")
    system.look(50)
    system.get_well("db")
    assert system.until_replaced("app") == A_TIMEOUT


def test_the_dependent_of_a_node_with_another_healthy_instance_does_not_wait(system):
    system.build(node("db", min=2), "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("app")
    system.sick[system.of("db")[0].address] = "db fails"
    assert system.until_replaced("app") == A_TIMEOUT


def test_what_its_provider_reports_as_lost_does_not_wait_for_its_dependee(system):
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "app")
    system.look(30)
    system.world.cloud.change(system.of("app")[0].instance_id, "stop")
    system.look(10)
    assert system.replaced() == ["app"]


def test_illness_because_of_a_dependee_does_not_add_up_over_short_recoveries(system):
    """Its own illness does, as that of an instance without dependees."""
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "app")
    system.look(50)
    system.get_well("db")
    system.look(10)
    system.get_well("app")
    system.look(20)
    system.fall_ill("app")
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 5, abs=6)


def test_a_template_makes_a_dependee_too(system):
    ways = {"app": {"contextualisation": {"type": "cloudinit", "context_template": "db: {{ getip('db') }}"}}}
    system.build("db", "app", db={"timeout": 1000.0}, **ways)
    system.fall_ill("db", "app")
    system.look(200)
    assert system.plan("app")[0].hold is Hold.DEPENDENCY
    assert not system.replaced()


def test_a_build_with_the_same_description_replaces_what_is_down_and_leaves_its_dependents_their_time(system):
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 100.0})
    system.world.cloud.set_faults([{"kind": "quota", "operation": "create"}])
    system.fall_ill("db", "app")
    system.look(200)
    system.world.cloud.set_faults([])
    (app,) = system.of("app")
    system.world.build(infrastructure("db", "app", edges=[("app", "db")]))
    assert [one.node_id for one in system.of("app")] == [app.node_id]
    assert system.until_replaced("app") == A_TIMEOUT


def test_the_dependents_of_a_recovered_node_are_no_outage(system):
    system.build("db", node("web", min=9), edges=[("web", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "web")
    system.look(100)
    system.get_well("db")
    system.look(40)
    assert EventKind.FROZEN not in [event.kind for event in system.world.events]
    system.get_well("web")
    system.look(30)
    assert not system.replaced()


def test_a_dependent_has_its_whole_timeout_when_its_dependee_has_recovered_and_gets_another_check(system):
    system.build("db", "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "app")
    system.look(300)
    system.get_well("db")
    system.look(20)
    system.world.define("db", implementations=[{"checks": {"fake": "other"}, "timeout": 1000.0}], boot_seconds=2)
    system.world.build(infrastructure("db", "app", edges=[("app", "db")]))
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 15, abs=6)


def test_a_dependee_that_is_ready_since_a_later_time_holds_up_no_dependent(system):
    """The system time was set back."""
    system.build("db", "app", edges=[("app", "db")])
    (db,) = system.of("db")
    system.world.rewrite(db, since=system.world.clock.now() + 86400, well_since=system.world.clock.now() + 86400)
    system.fall_ill("app")
    assert system.until_replaced("app") == A_TIMEOUT
    assert system.replaced() == ["app"]


def test_an_instance_that_is_ill_since_a_later_time_is_replaced_after_its_timeout(system):
    system.build("app")
    system.fall_ill("app")
    system.look()
    (app,) = system.of("app")
    system.world.rewrite(app, unhealthy_since=system.world.clock.now() + 86400)
    assert system.until_replaced("app") == A_TIMEOUT


def test_a_node_of_which_one_instance_is_well_at_any_time_holds_up_no_dependent(system):
    system.build(node("db", min=2), "app", edges=[("app", "db")], db={"timeout": 1000.0})
    first, second = system.of("db")
    system.sick[second.address] = "db fails"
    system.look(100)
    system.fall_ill("app")
    system.look(10)
    system.sick.pop(second.address)
    system.look(20)
    system.sick[first.address] = "db fails"
    assert system.until_replaced("app") == pytest.approx(TIMEOUT - 25, abs=6)


def test_an_instance_that_was_ill_by_former_checks_was_not_well_until_they_changed(system):
    described = infrastructure(node("db", min=2), "app", edges=[("app", "db")])
    system.build(node("db", min=2), "app", edges=[("app", "db")], db={"timeout": 1000.0})
    system.fall_ill("db", "app")
    system.look(100)
    system.world.define("db", implementations=[{"checks": {"fake": "other"}, "timeout": 1000.0}], boot_seconds=2)
    system.world.build(described)
    system.sick.pop(system.of("db")[1].address)
    assert system.until_replaced("app") == A_TIMEOUT
