import dataclasses

import pytest

from occopus_core.api import AuthError, HealthChecker, PermanentError, ThrottledError, TransientError, Verdict
from occopus_core.engine.passes.errors import BuildError
from occopus_core.events import EventKind
from occopus_core.store.records import Stage

from ..conftest import infrastructure, node, userdata
from ..fakes import config_manager, health_checker, healthy_after
from .test_creation import failure

CONFIG = {"type": "fake", "endpoint": "chef"}


def reasons(world, kind=EventKind.NODE_WAITING):
    return [event.text for event in world.events if event.kind is kind]


# Booting


def test_an_instance_that_fails_to_boot_fails_the_build_with_its_reason(world):
    world.define("web", boot_seconds=5, fail="kernel panic")
    assert failure(world, infrastructure("web")) == ["node 'web' (memory memory): kernel panic"]


def test_the_same_reason_of_several_instances_is_one_problem_of_the_build(world):
    world.define("web", boot_seconds=5, fail="kernel panic")
    assert failure(world, infrastructure(node("web", min=3))) == ["node 'web' (memory memory): kernel panic"]
    assert world.told(EventKind.NODE_FAILED) == ["web"] * 3


def test_an_instance_that_is_lost_while_it_boots_fails_the_build(world):
    world.define("web", boot_seconds=60)
    world.answered = lambda operation: (
        operation == "describe"
        and [
            world.cloud.change(one["id"], "lose") for one in world.live() if world.clock.now() - one["created_at"] > 20
        ]
    )
    (problem,) = failure(world, infrastructure("web"))
    assert problem == "node 'web' (memory memory): the provider does not know it any more"


def test_an_instance_may_stay_invisible_for_a_while(world):
    world.define("web", boot_seconds=5)
    world.cloud.set_faults([{"kind": "invisible_seconds", "operation": "create", "seconds": 1.9}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})


@pytest.mark.parametrize("kind", ["error_500", "throttle", "hang"])
def test_a_look_that_fails_is_repeated(world, kind):
    world.define("web", boot_seconds=5)
    world.cloud.set_faults([{"kind": kind, "operation": "describe", "count": 4}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})


def test_a_look_that_is_refused_fails_the_build(world):
    world.define("web", boot_seconds=5)
    world.cloud.set_faults([{"kind": "permanent", "operation": "describe", "nth": 1, "reason": "not for you"}])
    assert failure(world, infrastructure("web")) == ["node 'web' (memory memory): memory cloud: not for you"]


def test_a_handler_that_breaks_its_contract_while_it_boots_is_reported(world):
    class Broken(world.handler):
        looked = False

        def describe(self, ids):
            if not type(self).looked:
                type(self).looked = True
                raise ValueError("oops")
            return super().describe(ids)

    world.install("resource", "memory", Broken)
    world.define("web", boot_seconds=5)
    (problem,) = failure(world, infrastructure("web"))
    assert "the resource handler 'memory memory' breaks its contract: describe() raised ValueError (" in problem


def test_one_that_never_boots_is_given_up_after_the_timeout(world):
    world.define("web", implementations=[{"timeout": 60.0}], boot_seconds=10**6)
    start = world.clock.now()
    assert failure(world, infrastructure("web")) == [
        "node 'web' (memory memory): not ready within 60 s: the provider says pending"
    ]
    assert 60 <= world.clock.now() - start <= 66


@pytest.mark.parametrize("waits_for", ["boot", "job"])
def test_the_timeout_is_kept_where_a_plugin_is_asked_seldom(world, waits_for):
    manager = config_manager(pending=10**6)
    world.handler.poll_seconds = manager.poll_seconds = (30, 300)
    if waits_for == "job":
        configured(world, manager, timeout=8.0)
    else:
        world.define("web", implementations=[{"timeout": 8.0}], boot_seconds=10**6)
    start = world.clock.now()
    failed = []
    world.answered = lambda operation: failed.append(world.clock.now() - start) if operation == "delete" else None
    (problem,) = failure(world, infrastructure("web"))
    assert "within 8 s" in problem
    assert 8 <= failed[0] < 9


def test_later_ones_of_a_kind_are_seen_when_they_are_done(world):
    world.define("web", boot_seconds=100)
    world.build(infrastructure(node("web", min=12)), width=1)
    rows = sorted(world.store.instances("infra"), key=lambda row: row.created_at)
    late = [row.since - row.created_at - 100 for row in rows]
    assert late[0] <= 5.0
    assert max(late[8:]) < 0.2


# Health


def test_a_node_is_ready_when_all_its_checks_have_passed(world):
    first = world.install("health", "first", health_checker(healthy_after(2)))
    second = world.install("health", "second", health_checker(healthy_after(5)))
    world.define("web", implementations=[{"checks": {"first": [80], "second": "http://{{ ip }}/"}}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    (row,) = world.store.instances("infra")
    assert [len(first.asked), len(second.asked)] == [3, 6]
    assert {probe.value for probes in second.asked for probe in probes} == {f"http://{row.address}/"}
    assert {(probe.node_id, probe.address) for probes in first.asked for probe in probes} == {
        (row.node_id, row.address)
    }
    assert "look 2: not yet" in reasons(world)
    assert world.told(EventKind.NODE_CONFIGURING) == ["web"]


def test_what_waits_for_a_node_waits_for_its_checks(world):
    world.install("health", "well", health_checker(healthy_after(3)))
    world.define("db", implementations=[{"checks": {"well": True}}])
    world.define("web")
    world.build(infrastructure("web", "db", edges=[("web", "db")]))
    kinds = [(event.kind, event.node_name) for event in world.events]
    assert kinds.index((EventKind.NODE_READY, "db")) < kinds.index((EventKind.NODE_CREATING, "web"))


def test_many_nodes_are_checked_at_once(world):
    checker = world.install("health", "well", health_checker(healthy_after(1)))
    world.define("web", implementations=[{"checks": {"well": True}}])
    world.build(infrastructure(node("web", min=50)))
    assert sorted(len(probes) for probes in checker.asked) == [50, 50]


def test_an_unhealthy_node_is_given_up_with_the_last_reason(world):
    world.install(
        "health", "well", health_checker(lambda probe: Verdict(False, f"port 80 refused on {probe.node_id[:0]}it"))
    )
    world.define("web", implementations=[{"checks": {"well": True}, "timeout": 60.0}])
    start = world.clock.now()
    assert failure(world, infrastructure("web")) == [
        "node 'web' (memory memory): not ready within 60 s: port 80 refused on it"
    ]
    assert 60 <= world.clock.now() - start <= 66


def test_what_the_provider_remarks_on_an_unhealthy_node_is_shown_with_the_reason(world):
    class Remarking(world.handler):
        def describe(self, ids):
            found = super().describe(ids)
            return {id: dataclasses.replace(one, reason="runcmd ended with exit status 1") for id, one in found.items()}

    world.install("resource", "memory", Remarking)
    world.install("health", "well", health_checker(lambda probe: Verdict(False, "port 80 refused")))
    world.define("web", implementations=[{"checks": {"well": True}, "timeout": 60.0}])
    reason = "port 80 refused; runcmd ended with exit status 1"
    assert failure(world, infrastructure("web")) == [f"node 'web' (memory memory): not ready within 60 s: {reason}"]
    assert reason in [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]


def test_a_node_that_fails_two_checks_fails_once(world):
    for name in ("first", "second"):
        world.install("health", name, health_checker(lambda probe: Verdict(False, "no")))
    world.define("web", implementations=[{"checks": {"first": True, "second": True}, "timeout": 60.0}])
    assert failure(world, infrastructure("web")) == ["node 'web' (memory memory): not ready within 60 s: no"]
    assert world.told(EventKind.NODE_FAILED) == ["web"]


def test_all_checks_that_fail_are_one_reason_which_is_reported_once(world):
    for name in ("first", "second"):
        world.install("health", name, health_checker(lambda probe, name=name: Verdict(False, f"{name} refused")))
    world.define("web", implementations=[{"checks": {"first": True, "second": True}, "timeout": 60.0}])
    ended = "node 'web' (memory memory): not ready within 60 s: first refused; second refused"
    assert failure(world, infrastructure("web")) == [ended]
    assert reasons(world)[-1] == "first refused; second refused"
    assert len([text for text in reasons(world) if "refused" in text]) <= 2


def test_a_checker_that_raises_is_asked_again(world):
    calls = []

    def answer(probe):
        calls.append(probe)
        if len(calls) == 1:
            raise ZeroDivisionError("oops")
        return Verdict(True)

    world.install("health", "well", health_checker(answer))
    world.define("web", implementations=[{"checks": {"well": True}}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    (reason,) = [text for text in reasons(world) if "health checker" in text]
    assert reason.startswith(
        "the health checker 'well' breaks its contract: check() raised ZeroDivisionError (tests/unit/engine/instance/"
    )


def test_a_checker_that_does_not_answer_for_every_node_is_asked_again(world):
    class Forgetful(HealthChecker):
        calls = 0

        @classmethod
        def schema(cls):
            return {}

        def check(self, probes):
            type(self).calls += 1
            return [Verdict(True)] * (len(probes) - (self.calls == 1))

    world.install("health", "well", Forgetful)
    world.define("web", implementations=[{"checks": {"well": True}}])
    world.build(infrastructure(node("web", min=2)))
    world.assert_runs({"web": 2})
    assert any(
        "the health checker 'well' breaks its contract: check() answered 1 verdicts for 2 probes (" in one
        for one in reasons(world)
    )


# Configuration managers


def configured(world, manager, names=("web",), **way):
    world.install("config", "fake", manager)
    world.define(*names, implementations=[{"config": CONFIG, **way}])
    return manager


def test_a_node_is_registered_before_it_is_created_and_ready_when_it_is_configured(world):
    manager = configured(world, config_manager(pending=3))
    world.during = lambda operation: manager.log.append((operation, ""))
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    steps = [step for step, _ in manager.log if step != "describe"]
    assert steps == ["register", "create", "configure", "status", "status", "status", "status"]
    assert "no converge seen" in reasons(world)


def test_the_manager_offers_names_to_the_templates_and_is_told_the_attributes(world):
    contextualisation = {**userdata("{{ fake.greeting }}"), "attributes": {"motd": "{{ fake.greeting }}!"}}
    manager = configured(world, config_manager(), contextualisation=contextualisation)
    world.build(infrastructure("web"))
    assert manager.nodes["web"].attributes == {"motd": "hello web!"}
    assert manager.nodes["web"].section == CONFIG


def test_many_nodes_are_asked_for_at_once(world):
    manager = configured(world, config_manager())
    world.build(infrastructure(node("web", min=30)))
    assert [step for step, _ in manager.log].count("status") == 30
    looks = {id for id, count in manager.looks.items() if count == 1}
    assert len(looks) == 30


@pytest.mark.parametrize("method", ["register", "configure", "status"])
def test_a_passing_failure_of_the_manager_is_repeated(world, method):
    errors = {method: [TransientError("chef is away"), ThrottledError("slow down", retry_after=1.0)]}
    manager = configured(world, config_manager(**errors))
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    assert [step for step, _ in manager.log].count(method) == 3
    assert "chef is away" in reasons(world)


@pytest.mark.parametrize("error", [PermanentError, AuthError])
@pytest.mark.parametrize("method", ["register", "configure", "status"])
def test_a_refusal_of_the_manager_fails_the_build_and_the_cloud_is_cleaned_up(world, method, error):
    configured(world, config_manager(**{method: [error("who are you?")]}), names=("web", "db"))
    world.define("ok", boot_seconds=1)
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("ok", "web", edges=[("web", "ok")]))
    assert caught.value.problems == ("node 'web' (memory memory): who are you?",)
    assert world.live() == []


def test_a_throttled_manager_does_not_slow_the_cloud_down(world):
    configured(world, config_manager(register=[ThrottledError("slow down", retry_after=100.0)]))
    world.define("other", boot_seconds=1)
    start = world.clock.now()
    ready = {}
    convergence = world.convergence(
        observer=lambda event: ready.setdefault((event.kind, event.node_name), world.clock.now() - start)
    )
    convergence.build(infrastructure("web", "other"))
    assert ready[EventKind.NODE_READY, "web"] >= 100
    assert ready[EventKind.NODE_READY, "other"] < 2


def test_a_node_that_is_never_configured_is_given_up(world):
    configured(world, config_manager(pending=10**6), timeout=60.0)
    assert failure(world, infrastructure("web")) == [
        "node 'web' (memory memory): not configured within 60 s: no converge seen"
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_the_manager_forgets_what_it_was_told(world, fails):
    manager = configured(world, config_manager())
    world.define("bad", boot_seconds=5, fail="disk on fire")
    if fails:
        with pytest.raises(BuildError):
            world.build(infrastructure("web", "bad"))
    else:
        world.build(infrastructure("web"))
        world.destroy()
    world.assert_nothing()
    assert [step for step in manager.log if "forget" in step[0]] == [
        ("forget", "web"),
        ("forget_infrastructure", "infra"),
    ]


def test_a_manager_that_is_away_for_a_moment_still_forgets(world):
    manager = configured(world, config_manager(forget=[TransientError("away")] * 3))
    world.build(infrastructure("web"))
    world.destroy()
    world.assert_nothing()
    assert manager.log.count(("forget", "web")) == 4


def test_a_manager_that_will_not_forget_the_infrastructure_does_not_keep_it_alive(world):
    manager = configured(world, config_manager(forget_infrastructure=[PermanentError("no")]))
    world.build(infrastructure("web"))
    world.destroy()
    world.assert_nothing()
    assert manager.log[-1] == ("forget_infrastructure", "infra")


def test_a_node_that_is_described_no_more_is_forgotten_by_a_later_pass(world):
    manager = configured(world, config_manager(), names=("web", "db"))
    world.build(infrastructure("web", "db"))
    (row,) = [row for row in world.store.instances("infra") if row.node_name == "web"]
    (held,) = [one for one in world.store.configurations.of("infra") if one.node_name == "web"]
    world.build(infrastructure("db"))
    # As if the process had died after the new description was in force, while the node was being dropped.
    world.cloud.reset()
    lease = world.store.acquire("infra", "test", world.clock.now())
    with world.store.changing(lease) as change:
        change.add_instances([row])
        change.put_configurations([held])
    world.store.release(lease)
    world.rewrite(row, stage=Stage.DROPPING)
    manager.log.clear()
    world.destroy()
    world.assert_nothing()
    assert ("forget", "web") in manager.log


@pytest.mark.parametrize(
    ("action", "reason"), [("stop", "out of memory"), ("fail", "the script ended with 3"), ("lose", "")]
)
def test_what_stops_while_its_checks_are_awaited_is_given_up_for_the_providers_reason(world, action, reason):
    """The checks alone would keep it until its timeout, and say only that nobody answers."""
    world.install("health", "fake", health_checker(lambda probe: Verdict(False, "nobody answers")))
    world.define("web", implementations=[{"checks": {"fake": True}, "timeout": 600.0}], boot_seconds=5)
    start = world.clock.now()

    def answered(operation):
        if world.clock.now() - start > 60:
            for one in world.live():
                if one["state"] == "ready":
                    world.cloud.change(one["id"], action, *[reason][: bool(reason)])

    world.answered = answered
    (problem,) = failure(world, infrastructure("web"))
    assert problem == f"node 'web' (memory memory): {reason or 'the provider does not know it any more'}"
    assert world.clock.now() - start < 120
    world.assert_nothing()


# The reason in its row


def test_its_row_forgets_what_is_over_when_its_provider_answers(world, monkeypatch):
    seen = []
    real = world.handler.describe

    def describe(handler, ids):
        seen.extend(row.reason for row in world.store.instances("infra"))
        if len(seen) == 1:
            raise TransientError("connection refused")
        return real(handler, ids)

    monkeypatch.setattr(world.handler, "describe", describe)
    world.define("web", boot_seconds=100)
    world.build(infrastructure("web"))
    assert "connection refused" in seen
    assert seen[-1] == ""


def test_its_row_has_what_it_waits_for_until_it_is_ready(world, monkeypatch):
    """The report shows it to others than the process at work."""
    seen = []

    def note(step):
        rows = world.store.instances("infra")
        seen.extend((step, row.stage.value, row.reason) for row in rows)

    real, calls = world.handler.create, []

    def create(handler, request):
        note("create")
        calls.append(request)
        if len(calls) < 4:
            raise TransientError("the provider is busy")
        return real(handler, request)

    def answer(_probe):
        note("check")
        return Verdict(sum(step == "check" for step, *_ in seen) > 5, "port 80 refused")

    monkeypatch.setattr(world.handler, "create", create)
    world.answered = lambda operation: operation == "describe" and note("describe")
    world.install("health", "well", health_checker(answer))
    world.define("web", boot_seconds=10, implementations=[{"checks": {"well": True}}])
    world.build(infrastructure("web"))
    waits = list(dict.fromkeys(seen))
    assert waits[:2] == [
        ("create", "creating", ""),
        ("create", "creating", "the provider is busy (tried again; given up after 600 s)"),
    ]
    assert ("describe", "booting", "") in waits, "what was true of its creation is over"
    assert ("check", "configuring", "port 80 refused") in waits
    (row,) = world.store.instances("infra")
    assert row.reason == ""
