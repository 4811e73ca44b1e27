"""The life time of an infrastructure: warned of, moved, and over."""

import dataclasses
import re

import pytest

from occopus_core.descriptions.times import written
from occopus_core.engine.passes import building
from occopus_core.engine.passes.errors import BuildError
from occopus_core.engine.passes.life_time import LifeTimeError, extended
from occopus_core.engine.passes.previewing import preview
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import Event, EventKind
from occopus_core.store.records import LifeTime

from ..conftest import infrastructure


def texts(world, kind):
    return [event.text for event in world.store.events("infra") if event.kind == kind.value]


def lasting(expires, *nodes):
    return dataclasses.replace(infrastructure(*(nodes or ("web",))), expires=expires)


@pytest.fixture
def built(world):
    """An infrastructure that ends ten hours after its first build."""
    world.define("web", boot_seconds=1, delete_seconds=1)
    world.began = world.clock.now()
    world.build(lasting("10h"))
    return world


def end(world):
    return world.store.infrastructure("infra").expires_at - world.began


def test_the_life_time_begins_with_the_first_build(built):
    assert end(built) == pytest.approx(36_000, abs=5)
    built.clock.time += 1000
    built.build(lasting("10h"))
    assert end(built) == pytest.approx(36_000, abs=5), "the same description moves nothing"


def test_another_life_time_begins_with_the_build_that_brings_it(built):
    built.clock.time += 1000
    built.build(lasting("20h"))
    assert end(built) == pytest.approx(73_000, abs=10)
    built.build(lasting(""))
    assert built.store.infrastructure("infra").expires_at is None


def test_a_build_may_set_the_end(world):
    world.define("web")
    convergence = world.convergence()
    convergence._run(building.build(convergence.context, lasting("10h"), end=world.clock.now() + 60))
    assert world.store.infrastructure("infra").due_at == pytest.approx(world.clock.now() + 54, abs=5)


def test_an_update_that_fails_leaves_the_end_where_it_was(built):
    built.define("bad", boot_seconds=1, fail="no")
    with pytest.raises(BuildError):
        built.build(lasting("20h", "web", "bad"))
    assert end(built) == pytest.approx(36_000, abs=5)


def test_an_end_that_has_passed_is_refused_where_it_would_be_set(world):
    world.define("web")
    past = dataclasses.replace(lasting("1970-01-02"), expires_where="infra.yaml:3:10")
    said = "infra.yaml:3:10: expires: the life time '1970-01-02' is over already"
    convergence = world.convergence()
    for ask in (convergence.build, convergence.plan, convergence.check):
        with pytest.raises(InvalidDesignError, match=f"^{re.escape(said)}$") as caught:
            ask(past)
        (problem,) = caught.value.problems
        assert (problem.position, problem.path) == ("infra.yaml:3:10", "expires")
    world.assert_nothing()
    world.build(lasting("10h"))
    for ask in (convergence.build, convergence.plan, convergence.check):
        with pytest.raises(InvalidDesignError, match=re.escape(said)):
            ask(past)
    convergence._run(building.build(convergence.context, past, end=world.clock.now() + 60))
    assert world.store.infrastructure("infra").expires_at == pytest.approx(world.clock.now() + 60, abs=5)


def test_a_description_that_says_nothing_new_of_its_end_is_accepted_when_that_has_passed(built):
    """The end was moved; what is read from the store is sent back, with another node."""
    day = written(built.clock.now() + 86_400)
    built.build(lasting(day))
    moved = LifeTime.until(built.clock.now() + 300_000, built.clock.now())
    built.store.put_life_time("infra", moved, Event(EventKind.LIFE_TIME_CHANGED, "infra"), built.clock.now())
    built.clock.time += 100_000
    built.define("db")
    convergence = built.convergence()
    convergence.check(lasting(day, "web", "db"))
    assert not convergence.plan(lasting(day, "web", "db")).empty
    built.build(lasting(day, "web", "db"))
    built.assert_runs({"web": 1, "db": 1})
    assert built.store.infrastructure("infra").expires_at == moved.expires_at


def test_maintenance_warns_once_and_destroys_then(built):
    convergence = built.convergence()
    convergence.maintain()
    assert texts(built, EventKind.EXPIRING) == []
    built.clock.time = built.began + 32_500
    for _ in range(2):
        convergence.maintain()
    (warning,) = texts(built, EventKind.EXPIRING)
    assert "occopus-maintain -i infra --extend DURATION moves that" in warning
    built.assert_runs({"web": 1})
    built.clock.time = built.began + 36_010
    convergence.maintain()
    built.assert_nothing()
    assert len(texts(built, EventKind.EXPIRED)) == 1
    assert [event.kind for event in built.events].count(EventKind.EXPIRED) == 1


def test_a_build_that_was_cut_off_ends_too(world):
    world.define("web")
    world.began = world.clock.now()
    life_time = LifeTime.until(world.began + 60, world.began)
    world.store.add_infrastructure("infra", lasting("1m"), {"web": 1}, None, world.began, life_time=life_time)
    world.clock.time += 61
    world.convergence().maintain()
    world.assert_nothing()
    assert world.calls("create") == 0


def test_the_plan_of_what_is_over_destroys(built):
    built.clock.time = built.began + 36_010
    convergence = built.convergence()
    plan = convergence._run(preview(convergence.context))
    assert [step.verb for step in plan.steps] == [Verb.DESTROY]


def test_what_was_extended_is_warned_of_again(built):
    convergence = built.convergence()
    built.clock.time = built.began + 33_000
    convergence.maintain()
    record = built.store.infrastructure("infra")
    moved = extended(record, "10h", built.clock.now())
    event = Event(EventKind.LIFE_TIME_CHANGED, "infra", text="later")
    built.store.put_life_time("infra", moved, event, built.clock.now())
    assert end(built) == pytest.approx(72_000, abs=5)
    built.clock.time = built.began + 36_010
    convergence.maintain()
    built.assert_runs({"web": 1})
    built.clock.time = built.began + 68_500
    convergence.maintain()
    assert len(texts(built, EventKind.EXPIRING)) == 2


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("soon", "expected a duration such as 90m.*or never, got 'soon'"),
        ("1970-01-02", "is over already"),
    ],
)
def test_ends_that_make_no_sense(built, by, message):
    with pytest.raises(LifeTimeError, match=message):
        extended(built.store.infrastructure("infra"), by, 1e9)


def test_without_an_end_there_is_nothing_to_extend(world):
    world.define("web")
    world.build(infrastructure("web"))
    record = world.store.infrastructure("infra")
    with pytest.raises(LifeTimeError, match="'infra' has no life time to be extended"):
        extended(record, "1h", 0.0)
    assert extended(record, "1970-01-02", 0.0) == LifeTime.until(86_400.0, 0.0)
    assert extended(record, "never", 0.0).expires_at is None


def test_a_short_life_is_warned_of_near_its_end():
    assert LifeTime.until(1000.0, 0.0).warns_at == 900.0
    assert LifeTime.until(360_000.0, 0.0).warns_at == 356_400.0


@pytest.mark.parametrize("by", ["999999999d", "365251d", "9999-12-31T23:59-12:00", "9999-01-01"])
def test_an_end_is_moved_at_most_to_the_last_year_that_can_be_shown(built, by):
    with pytest.raises(LifeTimeError, match=f"'{re.escape(by)}' is too long: a life time is at most 365250d"):
        extended(built.store.infrastructure("infra"), by, built.clock.now())


def test_a_time_before_every_calendar_is_over_already(built):
    with pytest.raises(LifeTimeError, match="is over already"):
        extended(built.store.infrastructure("infra"), "0001-01-01T00:00+12:00", built.clock.now())


def test_a_stored_description_with_an_end_that_is_refused_now_can_be_built_shown_and_extended(built):
    late = LifeTime.until(6e14, built.clock.now())
    built.store.put_life_time("infra", late, Event(EventKind.LIFE_TIME_CHANGED, "infra"), built.clock.now())
    built.build(lasting("999999999w"))
    record = built.store.infrastructure("infra")
    assert written(record.expires_at) == "9999-01-01T00:00:00+00:00"
    with pytest.raises(LifeTimeError, match="is too long"):
        extended(record, "1h", built.clock.now())
    assert extended(record, "never", built.clock.now()).expires_at is None
    built.convergence().maintain()
    built.assert_runs({"web": 1})
