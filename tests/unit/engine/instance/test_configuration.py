"""The engine's side of configuration managers, one instance at a time."""

import contextlib
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.api import ConfigState, ConfigStatus, PermanentError
from occopus_core.credentials import Credentials
from occopus_core.engine.kernel.clock import SystemClock
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.passes import building
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.errors import BuildError, InterruptedBuildError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.events import EventKind
from occopus_core.store.records import Stage

from ..configured import Managers
from ..conftest import infrastructure, node
from ..fakes import KilledError, Life, config_manager
from .test_creation import failure

CONFIG = {"type": "fake", "endpoint": "chef"}


@pytest.fixture
def managers(world):
    return Managers(world)


def records(world, infra_id="infra"):
    return {record.node_name: record for record in world.store.configurations.of(infra_id)}


# What the manager gets, and what is recorded


def test_the_manager_gets_addresses_peers_values_and_the_generation(world, managers):
    managers.define("db")
    managers.define("web", attributes={"port": 80}, role=["a", 1], seconds=5)
    world.build(infrastructure("db", "web", edges=[("web", "db")]))
    (web,) = managers.held()["web"]
    rows = {row.node_name: row for row in world.store.instances("infra")}
    assert web.token == rows["web"].token
    assert web.addresses == [address.value for address in rows["web"].addresses]
    assert web.peers == [f"db {rows['db'].address}", f"web {rows['web'].address}"]
    assert web.section == {"type": "memory", "endpoint": "chef", "role": ["a", 1], "seconds": 5}
    assert web.attributes == {"port": 80}
    record = records(world)["web"]
    assert (record.state, record.applied, record.wanted) == (ConfigState.READY, web.generation, web.generation)
    assert record.published == {"port": 80}
    assert len(web.generation) == 32


def test_the_row_is_there_before_the_manager_is_called(world, managers):
    managers.define("web")
    seen = []
    managers.at().during = lambda operation: seen.append((operation, list(records(world))))
    world.build(infrastructure("web"))
    assert seen[0] == ("register", ["web"])


def test_what_cmd_prints_and_credentials_are_not_in_the_database(world, managers, tmp_path):
    file = tmp_path / "auth.yaml"
    file.write_text("config_management:\n  - {type: memory, auth_data: {password: topsecret}}\n")
    world.credentials = Credentials.load(str(file))
    plugin = managers.plugin
    plugin.template_variables = lambda self, node: {"mine": self.connection.auth["password"]}
    managers.define("web", attributes={"key": "{{ mine }}"}, role="{{ cmd('echo printed-secret') }}")
    world.build(infrastructure("web"))
    (web,) = managers.held()["web"]
    assert (web.section["role"], web.attributes["key"]) == ("printed-secret\n", "topsecret")
    for found in tmp_path.glob("occopus.db*"):
        content = found.read_bytes()
        assert b"topsecret" not in content
        assert b"printed-secret\\n" not in content
    assert records(world)["web"].section["role"] == ""
    world.destroy()
    world.assert_nothing()
    managers.assert_nothing()


# Deadlines and queues


def plugin_with(managers, **attributes):
    for name, value in attributes.items():
        setattr(managers.plugin, name, value)


def test_forty_nodes_queue_for_eight_jobs_and_none_is_late(world, managers):
    plugin_with(managers, max_jobs=8)
    managers.define("app", seconds=60, timeout=90.0)
    world.build(infrastructure(node("app", min=40)))
    world.assert_runs({"app": 40})
    assert managers.at().service.most_jobs == 8
    assert world.told(EventKind.NODE_FAILED) == []
    assert world.told(EventKind.ROLLING_BACK) == []


def test_others_are_not_delayed_by_a_queue(world, managers):
    plugin_with(managers, max_jobs=8)
    managers.define("app", seconds=60, timeout=90.0)
    world.define("plain", boot_seconds=1)
    resources = world.resources()
    ended = {}

    start = world.clock.now()
    for infra_id, description in {
        "slow": infrastructure(node("app", min=40)),
        "quick": infrastructure(node("plain", min=5)),
    }.items():
        steps = building.build(PassContext(resources, infra_id), description)
        resources.loop.begin(
            steps,
            lambda outcome, infra_id=infra_id: ended.update({infra_id: (outcome.error, world.clock.now() - start)}),
        )
    resources.loop.run_until(lambda: len(ended) == 2)
    assert ended["quick"][0] is ended["slow"][0] is None
    assert ended["quick"][1] < 5
    assert ended["slow"][1] > 300


def test_an_interruption_cancels_every_running_job_within_five_seconds(world, managers):
    plugin_with(managers, max_jobs=8)
    managers.define("app", seconds=60, timeout=90.0)
    convergence = world.convergence()
    interrupted_at = []

    def interrupt():
        interrupted_at.append(world.clock.now())
        convergence.interrupt("SIGINT")

    convergence.context.resources.loop.after(100.0, interrupt)
    with pytest.raises(InterruptedBuildError):
        convergence.build(infrastructure(node("app", min=40)))
    cancels = [call for call in managers.at().service.log() if call["operation"] == "cancel"]
    assert {name for call in cancels for name in call["nodes"]} == {"app"}
    assert sum(len(call["nodes"]) for call in cancels) >= 8
    assert max(call["at"] for call in cancels) - interrupted_at[0] < 5
    assert max(call["at"] for call in managers.at().service.log() if call["operation"] == "configure") < (
        interrupted_at[0] + 1
    )
    world.assert_nothing()
    managers.assert_nothing()


def test_a_job_that_takes_too_long_is_cancelled_and_fails_with_its_progress(world, managers):
    managers.define("app", seconds=400, timeout=20.0)
    start = world.clock.now()
    assert failure(world, infrastructure("app")) == [
        "node 'app' (memory memory): not configured within 20 s: a task is running"
    ]
    assert 20 <= world.clock.now() - start < 40
    assert ("cancel", "app") in managers.at().operations()
    managers.assert_nothing()


def test_progress_is_shown(world, managers):
    managers.define("app", seconds=10)
    world.build(infrastructure("app"))
    assert "a task is running" in [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]


def test_a_job_that_fails_fails_the_build_with_its_reason(world, managers):
    managers.define("app", seconds=1, fail="task 'install' failed")
    assert failure(world, infrastructure("app")) == ["node 'app' (memory memory): task 'install' failed"]
    managers.assert_nothing()


def test_a_node_that_the_manager_lost_is_registered_again(world, managers):
    managers.define("app", seconds=10)
    store, lost = managers.at(), []

    def lose(operation):
        if operation == "status" and not lost:
            lost.extend(store.service.nodes)
            store.service.nodes.clear()

    store.during = lose
    world.build(infrastructure("app"))
    world.assert_runs({"app": 1})
    assert [step for step, _ in store.operations("status")] == ["register", "configure", "register", "configure"]


def test_a_job_that_was_lost_is_begun_again(world, managers):
    managers.define("app", seconds=10)
    store, lost = managers.at(), []

    def lose(operation):
        if operation == "status" and not lost:
            for node_id in store.service.nodes:
                store.service.change(node_id, "lose_job")
                lost.append(node_id)

    store.during = lose
    world.build(infrastructure("app"))
    world.assert_runs({"app": 1})
    assert [step for step, _ in store.operations("status")].count("configure") == 2


def test_an_older_generation_that_is_ready_is_not_believed(world, managers):
    managers.define("app", seconds=10)
    status = managers.plugin.status
    looks = []

    def old(self, nodes):
        looks.append(1)
        if len(looks) < 3:
            return {each.node_id: ConfigStatus(ConfigState.READY, generation="older") for each in nodes}
        return status(self, nodes)

    managers.plugin.status = old
    world.build(infrastructure("app"))
    assert managers.held()["app"][0].ends_at <= world.clock.now()
    assert len(looks) > 3


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (ConfigStatus(ConfigState.READY, generation="older"), "READY for another generation than the one that was"),
        (ConfigStatus(ConfigState.PENDING), "PENDING and gives no reason"),
    ],
)
def test_a_status_without_a_reason_is_named_at_the_end_of_the_time_limit(world, managers, status, why):
    managers.define("app", timeout=20.0)
    managers.plugin.status = lambda self, nodes: {each.node_id: status for each in nodes}
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("app"))
    (problem,) = map(str, caught.value.problems)
    assert "not configured within 20 s: memory" in problem
    assert f" reports {why}" in problem


@pytest.mark.parametrize("method", ["register", "configure", "check"])
def test_errors_of_a_manager_show_no_secret_of_its_section(world, managers, method):
    def refuse(self, node):
        raise PermanentError(f"no role for {node.section['password']}")

    setattr(managers.plugin, method, refuse)
    managers.define("app", password="open-sesame")
    with pytest.raises((BuildError, InvalidDesignError)) as caught:
        world.build(infrastructure("app"))
    said = "; ".join(map(str, caught.value.problems))
    assert "no role for ***" in said
    assert "sesame" not in said


# Answers of whatever shape

SHAPES = [
    (None, "status() answered NoneType, expected a mapping"),
    ("all is well", "status() answered str, expected a mapping"),
    ({}, "status() left out a node"),
    ({"x": 1}, "status() left out a node"),
    (lambda id: {id: None}, "status() answered NoneType for a node, expected a ConfigStatus"),
    (lambda id: {id: "ready"}, "status() answered str for a node, expected a ConfigStatus"),
    (lambda id: {id: ConfigStatus("ready")}, "status() answered str as state, expected a ConfigState"),
    (lambda id: {id: ConfigStatus(ConfigState.READY, reason=None)}, "NoneType as reason, expected a string"),
    (lambda id: {id: ConfigStatus(ConfigState.FAILED, output=None)}, "NoneType as output, expected a string"),
    (lambda id: {id: ConfigStatus(ConfigState.READY, attributes=[1])}, "attributes that are not a mapping of names"),
    (lambda id: {id: ConfigStatus(ConfigState.READY, attributes={"a": object()})}, "attributes that are not JSON"),
    (lambda id: {id: ConfigStatus(ConfigState.READY, attributes={"a": "x" * 300_000})}, "attributes of 30"),
]


@pytest.mark.parametrize(("answer", "message"), SHAPES)
def test_a_status_of_another_shape_fails_that_node_alone(world, managers, answer, message):
    class Wrong(managers.plugin):
        def status(self, nodes):
            found = super().status([each for each in nodes if each.node_name != "bad"])
            bad = [each.node_id for each in nodes if each.node_name == "bad"]
            if not bad:
                return found
            if callable(answer):
                return {**found, **answer(bad[0])}
            return answer if len(nodes) == 1 or not isinstance(answer, dict) else {**found, **answer}

    managers.plugin = world.install("config", "memory", Wrong)
    managers.define("bad")
    managers.define("good", seconds=30)
    world.define("plain", boot_seconds=3)
    resources, ended = world.resources(), {}

    for infra_id, name in {"one": "bad", "two": "good", "three": "plain"}.items():
        steps = building.build(PassContext(resources, infra_id), infrastructure(name))
        resources.loop.begin(steps, lambda outcome, infra_id=infra_id: ended.update({infra_id: outcome.error}))
    resources.loop.run_until(lambda: len(ended) == 3)
    assert ended["two"] is ended["three"] is None
    assert isinstance(ended["one"], BuildError)
    assert message in str(ended["one"])
    assert "the configuration manager 'memory chef' breaks its contract" in str(ended["one"])


def test_one_node_for_which_status_raises_does_not_fail_the_others(world, managers):
    class Wrong(managers.plugin):
        def status(self, nodes):
            if any(each.node_name == "bad" for each in nodes):
                raise KeyError("bad")
            return super().status(nodes)

    managers.plugin = world.install("config", "memory", Wrong)
    managers.define("good")
    managers.define("bad")
    (problem,) = failure(world, infrastructure(node("good", min=3), "bad"))
    line = Wrong.status.__code__.co_firstlineno + 2
    assert problem == (
        "node 'bad' (memory memory): the configuration manager 'memory chef' breaks its contract: "
        f"status() raised KeyError (tests/unit/engine/instance/test_configuration.py, line {line}); "
        "report it to its author"
    )


@pytest.mark.parametrize("method", ["register", "configure"])
def test_an_error_that_is_none_of_the_contract_fails_the_node_with_the_managers_name(world, managers, method):
    def broken(self, node):
        raise AttributeError("'NoneType' object has no attribute 'x'")

    setattr(managers.plugin, method, broken)
    managers.define("app")
    (problem,) = failure(world, infrastructure("app"))
    assert f"'memory chef' breaks its contract: {method}() raised AttributeError" in problem


@pytest.mark.parametrize("answer", [None, "x", {1: 2}])
def test_template_variables_of_another_shape_are_a_message(world, managers, answer):
    managers.plugin.template_variables = lambda self, node: answer
    managers.define("app", context="{{ x }}")
    with pytest.raises(
        InvalidDesignError, match=r"template_variables\(\) answered \w+, expected a mapping whose keys are names \("
    ):
        world.build(infrastructure("app"))


def test_a_key_error_in_template_variables_is_a_message(world, managers):
    managers.plugin.template_variables = lambda self, node: {}["x"]
    managers.define("app", context="{{ x }}")
    with pytest.raises(InvalidDesignError, match=r"template_variables\(\) raised KeyError"):
        world.build(infrastructure("app"))


def test_check_refuses_before_anything_is_made(world, managers):
    managers.define("app", seconds="{{ variables.much }}")
    with pytest.raises(InvalidDesignError, match=r"config_management\.seconds must be a number"):
        world.build(infrastructure(node("app", much="soon")))
    assert managers.at().operations() == []


def test_nothing_of_a_manager_runs_in_the_thread_of_the_loop(world):

    seen = set()

    class Manager(config_manager()):
        def _call(self, method, *names):
            seen.add((method, threading.current_thread() is threading.main_thread()))

        def leave(self, node):
            seen.add(("leave", threading.current_thread() is threading.main_thread()))
            return True

    world.install("config", "fake", Manager)
    world.define("app", implementations=[{"config": CONFIG}])
    world.clock = SystemClock()
    with ThreadPoolExecutor(4) as pool:
        convergence = world.convergence()
        resources = convergence.context.resources
        loop = Loop(world.clock, pool)
        connections = Connections(world.registry, world.credentials, loop, 4)
        observatory = type(resources.observatory)(loop)
        convergence.context.resources = dataclasses.replace(
            resources, loop=loop, connections=connections, observatory=observatory
        )
        convergence.build(infrastructure("app"))
        convergence.destroy()
    assert seen == {
        (method, False) for method in ("register", "configure", "status", "leave", "forget", "forget_infrastructure")
    }


# Leaving and forgetting


def test_a_node_leaves_before_it_is_deleted_and_is_forgotten_afterwards(world, managers):
    managers.define("app", leave_seconds=20)
    world.build(infrastructure("app"))
    store = managers.at()
    steps = []
    store.during = steps.append
    world.during = lambda operation: steps.append(operation) if operation == "delete" else None
    start = world.clock.now()
    world.destroy()
    assert 20 <= world.clock.now() - start < 30
    assert list(dict.fromkeys(steps)) == ["leave", "delete", "forget", "forget_infrastructure"]
    world.assert_nothing()
    managers.assert_nothing()


def test_a_node_that_does_not_leave_is_deleted_all_the_same(world, managers):
    plugin_with(managers, leave_seconds=30.0)
    managers.define("app", leave_seconds=10**6)
    world.build(infrastructure("app"))
    start = world.clock.now()
    world.destroy()
    assert 30 <= world.clock.now() - start < 40
    world.assert_nothing()
    managers.assert_nothing()


@pytest.mark.parametrize("answer", [None, "yes", 1])
def test_an_answer_of_leave_that_is_no_truth_keeps_nothing_alive(world, managers, answer):
    managers.plugin.leave = lambda self, node: answer
    managers.define("app")
    world.build(infrastructure("app"))
    world.destroy()
    world.assert_nothing()


def test_the_clock_of_leaving_goes_on_after_a_kill(world, managers):
    plugin_with(managers, leave_seconds=60.0)
    managers.define("app", leave_seconds=10**6)
    world.build(infrastructure("app"))
    begun = world.clock.now()
    looks = []

    def die(operation):
        if operation == "leave":
            looks.append(1)
            if len(looks) == 5:
                raise KilledError

    managers.at().during = die
    with pytest.raises(KilledError):
        world.destroy()
    managers.at().during = lambda operation: None
    world.clock.time += 16
    world.destroy()
    assert world.clock.now() - begun < 75
    world.assert_nothing()
    managers.assert_nothing()


def test_a_manager_that_is_away_at_destroy_keeps_nothing_alive_and_is_asked_again(world, managers):
    managers.define("app")
    world.build(infrastructure(node("app", min=3)))
    managers.at().set_faults([{"kind": "error_500"}])
    start = world.clock.now()
    world.destroy()
    assert world.clock.now() - start < 120
    world.assert_nothing()
    assert len(managers.at().service.nodes) == 3
    told = [event.text for event in world.events if event.kind is EventKind.NOT_FORGOTTEN]
    assert told == ["configuration manager 'memory chef' has not forgotten 3 nodes: memory manager: internal error"]
    assert len(world.store.configurations.abandoned()) == 3


def test_a_section_whose_templates_need_what_is_gone_is_forgotten_all_the_same(world, managers):
    world.define("chefserver", boot_seconds=1)
    managers.define("client", role="server {{ getip('chefserver') }}")
    world.build(infrastructure("chefserver", "client"))
    world.store.remove_definition("client")
    world.store.remove_definition("chefserver")
    world.destroy()
    world.assert_nothing()
    managers.assert_nothing()
    forgets = [call for call in managers.at().operations() if call[0] == "forget"]
    assert forgets == [("forget", "client")]


@pytest.mark.parametrize("operation", ["register", "configure", "status", "leave", "forget", "forget_infrastructure"])
@pytest.mark.parametrize("when", ["during", "answered"])
def test_killed_in_any_call_a_later_destroy_leaves_nothing(world, managers, operation, when):
    managers.define("app", seconds=5, leave_seconds=2)
    store = managers.at()

    def die(what):
        if what == operation:
            raise KilledError

    setattr(store, when, die)

    def live():
        world.build(infrastructure(node("app", min=2)))
        world.destroy()

    with pytest.raises(KilledError):
        live()
    setattr(store, when, lambda _operation: None)
    world.clock.time += 16
    world.destroy()
    world.assert_nothing()
    managers.assert_nothing()


@pytest.mark.parametrize("operation", ["register", "configure", "status"])
@pytest.mark.parametrize("when", ["during", "answered"])
def test_killed_in_any_call_the_build_is_carried_on(world, managers, operation, when):
    managers.define("app", seconds=5, attributes={"port": 1})
    store = managers.at()

    def die(what):
        if what == operation:
            raise KilledError

    setattr(store, when, die)
    with pytest.raises(KilledError):
        world.build(infrastructure(node("app", min=2)))
    setattr(store, when, lambda _operation: None)
    world.clock.time += 16
    world.build(infrastructure(node("app", min=2)))
    world.assert_runs({"app": 2})
    assert {record.published["port"] for record in world.store.configurations.of("infra")} == {1}
    assert len(managers.held()["app"]) == 2


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_killed_at_every_commit_nothing_is_lost(world, managers, moment):
    managers.define("app", seconds=1, attributes={"port": 1})
    for commits in range(1, 40):
        life = Life(moment, commits)
        try:
            world.build(infrastructure("app"), life=life)
            world.destroy(life=life)
        except KilledError:
            pass
        else:
            break
        world.clock.time += 16
        world.clock._left = 5400.0
        with contextlib.suppress(Exception):
            world.destroy()
        world.assert_nothing()
        managers.assert_nothing()
    else:
        pytest.fail("it never ended by itself")
    assert commits > 5


@pytest.mark.parametrize("kind", ["error_500", "lost_reply", "hang", "throttle"])
def test_whatever_fails_for_a_moment_nothing_is_lost(world, managers, kind):
    managers.define("app", seconds=5)
    for operation in ("register", "configure", "status", "leave", "forget", "forget_infrastructure"):
        managers.at().set_faults([{"kind": kind, "operation": operation, "count": 2}])
        world.build(infrastructure(node("app", min=2)))
        world.assert_runs({"app": 2})
        world.destroy()
        world.assert_nothing()
        managers.assert_nothing()


def test_a_refusal_to_register_leaves_nothing(world, managers):
    managers.define("app")
    managers.at().set_faults([{"kind": "permanent", "operation": "register"}])
    assert failure(world, infrastructure("app")) == ["node 'app' (memory memory): memory manager: refused"]
    assert world.calls("create") == 0
    managers.assert_nothing()


def test_a_stage_is_configuring_while_its_job_runs(world, managers):
    managers.define("app", seconds=5)
    stages = []
    managers.at().during = lambda operation: (
        operation == "status" and stages.extend(row.stage for row in world.store.instances("infra"))
    )
    world.build(infrastructure("app"))
    assert set(stages) <= {Stage.CONFIGURING, Stage.BOOTING, Stage.CREATING}
    assert Stage.CONFIGURING in stages


def test_the_time_in_which_its_manager_has_it_queued_does_not_count(world, managers):
    managers.define("db", seconds=30, queued_seconds=500, timeout=60.0)
    seen = []
    managers.at().during = lambda _operation: seen.append({one.state for one in records(world).values()})
    world.build(infrastructure("db"))
    assert {ConfigState.QUEUED} in seen
    assert world.clock.now() > 500
    waits = [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]
    assert "for its turn: another job is under way" in waits
    assert records(world)["db"].state is ConfigState.READY


def test_its_own_time_is_limited_after_the_queue_of_its_manager(world, managers):
    managers.define("db", seconds=100, queued_seconds=500, timeout=60.0)
    assert failure(world, infrastructure("db")) == [
        "node 'db' (memory memory): not configured within 60 s: a task is running"
    ]
    managers.assert_nothing()


def test_a_job_in_the_queue_of_its_manager_is_cancelled_where_its_instance_is_dropped(world, managers):
    managers.define("db", queued_seconds=1000)
    managers.define("web", fail="no such role", queued_seconds=5)
    calls = []
    managers.at().during = calls.append
    assert failure(world, infrastructure("db", "web")) == ["node 'web' (memory memory): no such role"]
    assert calls.count("cancel") == 1
    managers.assert_nothing()


def test_a_manager_that_is_silent_about_what_it_has_queued_is_given_up(world, managers):
    managers.define("db", queued_seconds=10_000, timeout=60.0)
    store, asked = managers.at(), []

    def silent(operation):
        asked.append(operation)
        if operation == "status" and asked.count("status") == 3:
            store.set_faults([{"kind": "error_500", "operation": "status"}])

    store.during = silent
    (problem,) = failure(world, infrastructure("db"))
    assert problem.startswith("node 'db' (memory memory): not configured within 60 s: ")
