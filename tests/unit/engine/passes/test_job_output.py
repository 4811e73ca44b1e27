"""A job of a configuration manager that fails keeps the last lines it has printed, as an instance that fails does."""

import dataclasses

import pytest

from occopus_core.api import ConfigState
from occopus_core.credentials import Credentials
from occopus_core.engine.kernel.job_status import KEPT_LINES
from occopus_core.engine.passes.errors import BuildError, UnconfiguredError
from occopus_core.engine.passes.outputs import kept
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.manager.instance_logs import read_logs

from ..configured import Managers
from ..conftest import infrastructure

PRINTED = "Reading package lists...\nE: Unable to locate package ngnix\n"
LINES = ["Reading package lists...", "E: Unable to locate package ngnix"]
FAILED = "task 'install' failed"
WHY = f"{FAILED}; its last output:\n    {LINES[0]}\n    {LINES[1]}"


@pytest.fixture
def managers(world):
    return Managers(world)


def texts(world, kind):
    return [event.text for event in world.events if event.kind is kind]


def build_fails(world):
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("app"))
    world.assert_nothing()
    (problem,) = caught.value.problems
    return problem


def test_it_is_in_the_error_the_event_and_the_log_of_an_instance_that_is_gone(world, managers):
    managers.define("app", fail=FAILED, output=PRINTED)
    assert build_fails(world) == f"node 'app' (memory memory): {WHY}"
    assert texts(world, EventKind.NODE_FAILED) == [WHY]
    assert texts(world, EventKind.ROLLING_BACK) == [f"node 'app' (memory memory): {FAILED}"]
    (one,) = kept(world.store.events("infra"))
    assert (one.node_name, list(one.lines)) == ("app", LINES)


def test_it_is_shown_in_place_of_the_output_of_the_instance(world, managers):
    managers.define("app", fail=FAILED, output=PRINTED, resource={"output": "login:\n"})
    assert build_fails(world) == f"node 'app' (memory memory): {WHY}"
    assert "logs" not in [call["operation"] for call in world.cloud.log()]


def test_a_job_that_has_printed_nothing_leaves_the_output_of_the_instance(world, managers):
    managers.define("app", fail=FAILED, output=" \n\n", resource={"output": "login:\n"})
    assert build_fails(world) == f"node 'app' (memory memory): {FAILED}; its last output:\n    login:"


def test_what_the_provider_says_of_the_instance_stands_before_it(world, managers):
    managers.define("app", seconds=5, fail=FAILED, output=PRINTED)

    class Reasons(world.handler):
        def describe(self, ids):
            found = super().describe(ids)
            return {id: dataclasses.replace(one, reason="a disk is slow") for id, one in found.items()}

    world.install("resource", "memory", Reasons)
    assert build_fails(world).startswith(
        f"node 'app' (memory memory): {FAILED}; a disk is slow; its last output:\n    R"
    )


def test_it_is_of_ten_lines_without_control_characters(world, managers):
    printed = "".join(f"\x1b[31mline {number}\x1b[0m\n\n" for number in range(100_000))
    managers.define("app", fail=FAILED, output=printed)
    shown = build_fails(world).splitlines()[1:]
    assert shown == [f"    line {number}" for number in range(100_000 - KEPT_LINES, 100_000)]


@pytest.mark.parametrize(
    "printed",
    [
        "of the login hush-hush-42",
        "of an attribute attribute-42",
        "of the section section-42, coloured sec\x1b[31mtion-42",
        'escaped sec\\"tion-42',
        "in a list 4242424242",
    ],
)
def test_secrets_of_the_login_and_of_the_node_are_not_shown(world, managers, tmp_path, printed):
    file = tmp_path / "auth.yaml"
    file.write_text("config_management:\n- {type: memory, auth_data: {password: hush-hush-42}}\n")
    world.credentials = Credentials.load(file)
    managers.define(
        "app",
        attributes={"db": {"password": "attribute-42"}},
        publish={"api_token": "section-42", "private": ['sec"tion-42', 4242424242]},
        fail=FAILED,
        output=f"{printed}\nend\n",
    )
    problem = build_fails(world)
    assert problem.endswith("\n    end")
    assert "***" in problem
    assert "42" not in problem
    assert all("42" not in event.text.replace(event.node_id, "") for event in world.store.events("infra"))


def test_secrets_of_the_node_are_not_shown_in_the_reason_of_the_manager(world, managers):
    managers.define("app", attributes={"db": {"password": "attribute-42"}}, fail="refused: attribute-42")
    assert build_fails(world) == "node 'app' (memory memory): refused: ***"
    assert all("attribute-42" not in event.text for event in world.store.events("infra"))


def test_a_ready_instance_that_cannot_be_reconfigured_has_it_in_its_event_alone(world, managers):
    managers.define("app")
    world.build(infrastructure("app"))
    managers.define("app", fail=FAILED, output=PRINTED)
    with pytest.raises(UnconfiguredError) as caught:
        world.build(infrastructure("app"))
    assert f"node 'app' (memory memory): not reconfigured: {WHY}" in str(caught.value)
    assert texts(world, EventKind.NODE_UNHEALTHY) == [f"not reconfigured: {WHY}"]
    (record,) = world.store.configurations.of("infra")
    assert (record.state, record.reason) == (ConfigState.FAILED, FAILED)


def logged(world, since=None):
    connections = world.resources().connections
    return [(one.of_job, list(one.lines)) for one in read_logs(world.store, connections, "infra", "app", 100, since)]


def test_the_log_of_an_instance_has_it_until_the_instance_is_reconfigured(world, managers):
    managers.define("app", resource={"output": "login:\n"})
    world.build(infrastructure("app"))
    own = (False, ["login:"])
    assert logged(world) == [own]
    managers.define("app", fail=FAILED, output=PRINTED, resource={"output": "login:\n"})
    with pytest.raises(UnconfiguredError):
        world.build(infrastructure("app"))
    assert logged(world) == [own, (True, LINES)]
    assert not any(of_job for of_job, _ in logged(world, world.clock.now() + 1))
    managers.define("app", publish={"port": 1}, resource={"output": "login:\n"})
    world.build(infrastructure("app"))
    assert logged(world) == [own]


def test_secrets_of_the_node_are_not_shown_in_the_plan_of_a_ready_instance_that_has_failed(world, managers):
    managers.define("app", attributes={"db": {"password": "attribute-42"}})
    world.build(infrastructure("app"))
    (managed,) = managers.at().service.nodes.values()
    managed.fail = "refused: attribute-42"
    convergence = world.convergence()
    assert reasons(convergence) == ["its configuration failed: refused: ***"]
    convergence.maintain()
    (record,) = world.store.configurations.of("infra")
    assert record.reason == "refused: ***"


def test_what_is_said_of_a_former_description_whose_secrets_are_not_known_is_not_shown(world, managers):
    for password in ("former-42", "present-42"):
        managers.define("app", attributes={"db": {"password": password}})
        world.build(infrastructure("app"))
    (managed,) = managers.at().service.nodes.values()
    managed.generation, managed.fail = managed.generations[0], "refused: former-42"
    assert reasons(world.convergence()) == ["its configuration failed"]


def reasons(convergence):
    return [step.reason for step in convergence.plan(infrastructure("app")).of(Verb.RECONFIGURE)]
