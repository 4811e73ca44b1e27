"""A node that fails keeps the last lines of its output: in the event, in the reason, and after it was deleted."""

import dataclasses

import pytest

from occopus_core.api import AuthError, Feature, PermanentError, TransientError, Verdict
from occopus_core.credentials import Credentials
from occopus_core.engine.instance.output import READ_SECONDS
from occopus_core.engine.kernel.job_status import KEPT_LENGTH, KEPT_LINES
from occopus_core.engine.passes.errors import BuildError, InterruptedBuildError
from occopus_core.events import EventKind
from occopus_core.printable import cleaned

from ..conftest import infrastructure, node
from ..fakes import health_checker

PRINTED = "starting\ncannot open the database\n"
WHY = "exit code 3; its last output:\n    starting\n    cannot open the database"


def texts(world, kind):
    return [event.text for event in world.events if event.kind is kind]


def failing(world, output=PRINTED, **resource):
    world.define("bad", boot_seconds=1, fail="exit code 3", output=output, **resource)


def build_fails(world, candidate=None):
    with pytest.raises(BuildError) as caught:
        world.build(candidate or infrastructure("bad"))
    world.assert_nothing()
    return caught.value.problems


def test_a_node_that_fails_keeps_its_output_after_the_roll_back(world):
    failing(world)
    assert build_fails(world) == (f"node 'bad' (memory memory): {WHY}",)
    assert texts(world, EventKind.NODE_FAILED) == [WHY]
    stored = [event.text for event in world.store.events("infra") if event.kind == EventKind.NODE_FAILED.value]
    assert stored == [WHY]


def test_every_node_that_fails_at_once_is_in_the_error_of_the_build_once(world):
    failing(world)
    described = infrastructure(node("bad", min=2), node("worse", "bad"))
    assert build_fails(world, described) == tuple(f"node '{name}' (memory memory): {WHY}" for name in ("bad", "worse"))


def test_the_output_is_read_before_the_instance_is_deleted(world):
    failing(world)
    build_fails(world)
    calls = [call["operation"] for call in world.cloud.log()]
    assert calls.index("logs") < calls.index("delete")
    assert calls.count("logs") == 1


def unhealthy(world):
    """A node of which no check ever passes."""
    world.install("health", "port", health_checker(lambda _probe: Verdict(False, "port 80 refused")))
    world.define("bad", implementations=[{"checks": {"port": "80"}, "timeout": 20.0}], output=PRINTED)


def test_a_node_that_is_given_up_keeps_its_output(world):
    unhealthy(world)
    output = WHY.partition("; ")[2]
    assert build_fails(world) == (f"node 'bad' (memory memory): not ready within 20 s: port 80 refused; {output}",)


def test_what_the_provider_says_meanwhile_is_reported_and_explains_why_no_check_passes(world):
    unhealthy(world)
    world.answered = lambda operation: (
        operation == "create"
        and [world.cloud.change(one["id"], "set", state="pending", reason="exit code 3") for one in world.live()]
    )

    class Reasons(world.handler):
        def describe(self, ids):
            found = super().describe(ids)
            return {id: dataclasses.replace(one, reason="it exited, and is restarted") for id, one in found.items()}

    world.install("resource", "memory", Reasons)
    (problem,) = build_fails(world)
    assert "port 80 refused; it exited, and is restarted; its last output:" in problem
    assert "it exited, and is restarted" in texts(world, EventKind.NODE_WAITING)


def test_an_instance_that_stops_while_it_is_checked_fails_then(world):
    unhealthy(world)
    world.define("bad", implementations=[{"checks": {"port": "80"}, "timeout": 600.0}], output=PRINTED)
    stop = {"left": 1}

    def answered(operation):
        if operation == "create" and stop["left"]:
            stop["left"] = 0
            world.cloud.change(world.live()[0]["id"], "fail", "exit code 3")

    world.answered = answered
    start = world.clock.now()
    assert build_fails(world) == (f"node 'bad' (memory memory): {WHY}",)
    assert world.clock.now() - start < 30


@pytest.mark.parametrize("error", [AuthError("logs refused"), PermanentError("no logs"), RuntimeError("oh"), None])
def test_logs_that_fail_hide_neither_the_reason_nor_the_deletion(world, error):
    """Credentials that may not read output close the connection for nothing else."""
    failing(world)

    def logs(_self, ids, _lines):
        if error is not None:
            raise error
        return list(ids)

    world.handler.logs = logs
    assert build_fails(world) == ("node 'bad' (memory memory): exit code 3",)


def test_output_that_does_not_come_is_waited_for_a_while(world):
    """The deadline is kept by the loop: nothing waits for the call itself."""
    failing(world)
    start = world.clock.now()
    held = []

    class Stuck(world.handler):
        def logs(self, ids, lines):
            held.append((ids, lines))
            world.clock.sleep(READ_SECONDS + 5)
            raise TransientError("no answer")

    world.install("resource", "memory", Stuck)
    assert build_fails(world) == ("node 'bad' (memory memory): exit code 3",)
    assert held
    assert world.clock.now() - start < 60


def test_a_handler_without_logs_is_not_asked(world):
    failing(world)
    world.handler.features = frozenset(Feature) - {Feature.LOGS}
    assert build_fails(world) == ("node 'bad' (memory memory): exit code 3",)
    assert "logs" not in [call["operation"] for call in world.cloud.log()]


def test_secrets_do_not_leave_with_the_output(world, tmp_path):
    file = tmp_path / "auth.yaml"
    file.write_text("resource:\n- type: other\n  auth_data: {password: hush-hush-42}\n")
    world.credentials = Credentials.load(file)
    failing(world, output="password=hush-hush-42\nhush-\x1b[31mhush-42\n")
    (problem,) = build_fails(world)
    assert "hush-hush-42" not in problem
    assert "password=" in problem
    assert all("hush-hush-42" not in event.text for event in world.store.events("infra"))


def test_an_instance_that_is_replaced_keeps_its_output_in_the_event(world):
    world.define("web", boot_seconds=1, output=PRINTED)
    world.build(infrastructure("web"))
    (one,) = world.live()
    world.clock.time += 60
    world.cloud.change(one["id"], "fail", "exit code 3")
    world.convergence().maintain()
    world.assert_runs({"web": 1})
    assert texts(world, EventKind.HEALING) == [WHY]
    kinds = [event.kind for event in world.events]
    assert kinds.index(EventKind.HEALING) < kinds.index(EventKind.NODE_DROPPING)


def test_a_node_that_fails_in_a_repair_keeps_its_output(world):
    healthy = [True]
    world.install("health", "port", health_checker(lambda _probe: Verdict(healthy[0], "port 80 refused")))
    world.define("web", implementations=[{"checks": {"port": "80"}, "timeout": 20.0}], output=PRINTED)
    world.build(infrastructure("web"))
    healthy[0] = False
    world.cloud.change(world.live()[0]["id"], "fail", "gone")
    passed = world.convergence().maintain()
    why = f"not ready within 20 s: port 80 refused; {WHY.partition('; ')[2]}"
    assert texts(world, EventKind.NODE_FAILED) == [why]
    assert f"node 'web' (memory memory): {why}" in passed.undone


def test_an_interruption_while_the_output_is_read_undoes_the_build(world):
    failing(world)
    convergence = world.convergence()

    class Slow(world.handler):
        def logs(self, ids, lines):
            convergence.interrupt("SIGINT")
            return super().logs(ids, lines)

    world.install("resource", "memory", Slow)
    convergence.context.resources.connections._registry = world.registry
    with pytest.raises((InterruptedBuildError, BuildError)):
        convergence.build(infrastructure("bad"))
    world.assert_nothing()


def hide(text):
    return text.replace("hush", "****")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("plain\n", ["plain", ""]),
        ("Traceback:\n  File\n\tat a\n", ["Traceback:", "  File", "        at a", ""]),
        ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07text", ["red text"]),
        ("10%\r50%\r100%\r\ndone", ["100%", "done"]),
        ("bell\x07 null\x00 \u202eback", ["bell  null   back"]),
        ("hu\x1b[0msh", ["****"]),
        ("x" * (KEPT_LENGTH + 1), ["x" * (KEPT_LENGTH - 1) + "…"]),
        (f"hush{'x' * 1_000_000}\nlast", ["last"]),
        ("x" * 2_000_000, [""]),
    ],
)
def test_lines_are_clean(text, lines):
    assert cleaned(text, hide, KEPT_LENGTH) == lines


def test_lines_are_few(world):
    failing(world, output="".join(f"line {number}\n\n" for number in range(1000)))
    (problem,) = build_fails(world)
    shown = problem.splitlines()[1:]
    assert shown == [f"    line {number}" for number in range(1000 - KEPT_LINES, 1000)]
