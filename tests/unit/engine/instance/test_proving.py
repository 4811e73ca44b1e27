"""A node is ready when everything holds at once, for as long as its definition asks."""

import pytest

from occopus_core.api import ProviderError, TransientError, Verdict
from occopus_core.events import EventKind

from ..conftest import infrastructure
from ..fakes import config_manager, health_checker, healthy_after
from .test_creation import failure


def seconds_until_ready(world, *nodes, edges=()):
    start, emitted = world.clock.now(), len(world.events)
    world.build(infrastructure(*nodes, edges=edges))
    assert not [e for e in world.events[emitted:] if e.kind is EventKind.NODE_FAILED]
    return world.clock.now() - start


def at(world, seconds, action):
    """Do something once, at the first question to the cloud after so many seconds."""
    start, left = world.clock.now(), [action]

    def answered(_operation):
        if left and world.clock.now() - start >= seconds:
            left.pop()()

    world.answered = answered


def the_only(world):
    (one,) = world.live()
    return one["id"]


def flapping(well, ill):
    """Passes for so many seconds from the first look on, then fails for so many, and so on."""
    first = {}

    def answer(probe, world):
        since = world.clock.now() - first.setdefault(probe.node_id, world.clock.now())
        return Verdict(True) if since % (well + ill) < well else Verdict(False, "port 80 refused")

    return answer


def test_without_the_key_a_build_does_not_wait(world):
    world.define("web")
    assert seconds_until_ready(world, "web") == 0


def test_with_the_key_a_node_without_checks_is_ready_when_it_has_run_for_so_long(world):
    world.define("web", implementations=[{"min_ready_seconds": 12.0}])
    world.define("db")
    took = seconds_until_ready(world, "web", "db", edges=[("db", "web")])
    assert took == pytest.approx(12, abs=0.2)
    assert world.told(EventKind.NODE_CREATING) == ["web", "db"], "what depends on it waits"
    assert [e.text for e in world.events if e.kind is EventKind.NODE_WAITING] == [
        "it must stay ready for 12 s (min_ready_seconds)"
    ]


@pytest.mark.parametrize("configured", [False, True])
def test_its_checks_are_repeated_for_so_long(world, configured):
    checker = world.install("health", "well", health_checker(healthy_after(2)))
    way = {"checks": {"well": True}, "min_ready_seconds": 20.0}
    if configured:
        world.install("config", "fake", config_manager(pending=2))
        way["config"] = {"type": "fake", "endpoint": "chef"}
    world.define("web", implementations=[way])
    assert 20 <= seconds_until_ready(world, "web") <= 30
    assert 6 <= len(checker.asked) <= 10, "every five seconds, and at the end"


def test_what_ends_within_that_time_fails_the_build_for_its_reason(world):
    world.define("web", implementations=[{"min_ready_seconds": 20.0}])
    at(world, 3, lambda: world.cloud.change(the_only(world), "fail", "it exited with code 1"))
    assert failure(world, infrastructure("web")) == ["node 'web' (memory memory): it exited with code 1"]


@pytest.mark.parametrize("kind", [TransientError, ProviderError])
def test_the_words_of_a_provider_that_fails_within_that_time_are_kept(world, kind):
    world.define("web", implementations=[{"min_ready_seconds": 20.0}])
    start = world.clock.now()

    def answered(operation):
        if operation == "describe" and world.clock.now() - start > 3 and not world.told(EventKind.NODE_FAILED):
            raise kind("the region is down")

    world.answered = answered
    (problem,) = failure(world, infrastructure("web"))
    assert problem.startswith("node 'web' (memory memory): not ready within 620 s: ")
    assert problem.endswith("; the region is down")


def test_a_relapse_begins_the_time_again(world):
    world.install("health", "well", health_checker(lambda _probe: Verdict(True)))
    world.define("web", implementations=[{"checks": {"well": True}, "min_ready_seconds": 30.0}])

    def restarting():
        id = the_only(world)
        world.cloud.change(id, "set", "restarting", "pending")
        at(world, 8, lambda: world.cloud.change(id, "start"))

    at(world, 10, restarting)
    assert 48 <= seconds_until_ready(world, "web") <= 60


@pytest.mark.parametrize("ill", [1.0, 7.0])
def test_flapping_does_not_set_the_clock_back(world, ill):
    """Ready for 15 s again and again, never for 20: given up after the timeout and these 20 s."""
    answer = flapping(15.0, ill)
    world.install("health", "well", health_checker(lambda probe: answer(probe, world)))
    world.define("web", implementations=[{"checks": {"well": True}, "min_ready_seconds": 20.0, "timeout": 60.0}])
    start = world.clock.now()
    (problem,) = failure(world, infrastructure("web"))
    assert problem.startswith("node 'web' (memory memory): not ready within 80 s: ")
    assert 60 <= world.clock.now() - start <= 90


def test_a_provider_that_says_pending_holds_a_node_up_until_its_time_is_over(world):
    world.install("health", "well", health_checker(healthy_after(100)))
    world.define("web", implementations=[{"checks": {"well": True}, "timeout": 60.0}])
    at(world, 2, lambda: world.cloud.change(the_only(world), "set", "restarting", "pending"))
    start = world.clock.now()
    (problem,) = failure(world, infrastructure("web"))
    assert "restarting" in problem
    assert 60 <= world.clock.now() - start <= 70


def test_a_check_that_passed_long_before_the_others_has_to_pass_again(world):
    seen = []

    def early(probe):
        seen.append(world.clock.now())
        return Verdict(len(seen) != 2, "refused")

    world.install("health", "early", health_checker(early))
    world.install("health", "late", health_checker(healthy_after(100)))
    world.define("web", implementations=[{"checks": {"early": True, "late": True}}])
    took = seconds_until_ready(world, "web")
    assert len(seen) == 3
    assert seen[1] - seen[0] > 5
    assert took - (seen[2] - seen[0]) < 1, "it is ready when both hold at once"


def test_a_check_that_has_just_passed_is_not_repeated(world):
    early = world.install("health", "early", health_checker(healthy_after(0)))
    world.install("health", "late", health_checker(healthy_after(3)))
    world.define("web", implementations=[{"checks": {"early": True, "late": True}}])
    seconds_until_ready(world, "web")
    assert len(early.asked) == 1
