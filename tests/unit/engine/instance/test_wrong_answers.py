"""Handlers and checkers that break their contract: one node fails, with the reason, and the others go on."""

import dataclasses
import functools
import re
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest

from occopus_core.api import (
    Address,
    Context,
    Feature,
    HealthChecker,
    Instance,
    InstanceState,
    Owner,
    PermanentError,
    Probe,
    ThrottledError,
    TransientError,
    Verdict,
)
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.engine.instance.checks import answered_verdicts
from occopus_core.engine.instance.output import last_lines
from occopus_core.engine.passes.errors import BuildError, UnconfirmedError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.registry import Registry
from occopus_core.store.records import Condition, ScaleKind, Stage

from ..conftest import infrastructure, node
from ..fakes import contextualiser, health_checker

HERE = "tests/unit/engine/instance/test_wrong_answers.py"


def failure(world, candidate):
    with pytest.raises(BuildError) as caught:
        world.build(candidate)
    return [str(problem) for problem in caught.value.problems]


def other_cloud(world, **methods):
    """A second handler, `other`, with these methods; returns its class. Nodes named `odd` are there."""
    handler = type("Other", (world.handler,), methods)
    world.install("resource", "other", handler)
    world.store.put_definitions([NodeDefinition("odd", (Implementation({"type": "other", "endpoint": "there"}),))])
    return handler


class Unset:
    """A constructor which needs a token that the credentials do not have, until `token` is set."""

    token = ""

    def __init__(self, connection):
        super().__init__(connection)
        if not type(self).token:
            self.token = connection.auth["token"]


def unset(world):
    handler = type("NeedsToken", (Unset, world.handler), {"token": "set"})
    world.install("resource", "other", handler)
    world.store.put_definitions([NodeDefinition("odd", (Implementation({"type": "other", "endpoint": "there"}),))])
    return handler


OTHER = "the resource handler 'other there'"
WHY = "the resource handler 'other there' cannot be set up: KeyError ("


def test_a_handler_that_cannot_be_made_refuses_the_build(world):
    unset(world).token = ""
    world.define("web")
    with pytest.raises(InvalidDesignError) as caught:
        world.build(infrastructure("web", "odd"))
    (problem,) = caught.value.problems
    assert WHY in str(problem)
    assert HERE in str(problem)
    world.assert_nothing()


def test_a_handler_that_cannot_be_made_leaves_the_healing_of_others_alone(world):
    handler = unset(world)
    world.define("web")
    world.build(infrastructure("web", "odd"))
    handler.token = ""
    (lost,) = [one for one in world.live() if one["owner"]["node_name"] == "web"]
    world.clock.time += 100
    world.cloud.change(lost["id"], "lose")
    world.events.clear()
    world.convergence().maintain()
    assert world.told(EventKind.NODE_READY) == ["web"]
    assert sorted(record.node_name for record in world.store.instances("infra")) == ["odd", "web"]
    assert any(WHY in event.text for event in world.events)


def test_a_destroy_leaves_instances_whose_handler_cannot_be_made_with_the_reason(world):
    handler = unset(world)
    world.define("web")
    world.build(infrastructure("web", "odd"))
    handler.token = ""
    with pytest.raises(UnconfirmedError) as caught:
        world.destroy()
    assert WHY in str(caught.value)
    (row,) = world.store.instances("infra")
    assert (row.node_name, row.stage) == ("odd", Stage.DROPPING)
    assert WHY in row.reason
    handler.token = "set"
    world.destroy()
    world.assert_nothing()


def test_a_handler_that_cannot_be_made_shows_no_secret(world, tmp_path):
    (tmp_path / "auth.yaml").write_text("resource: [{type: other, auth_data: {p: s3cret-value}}]")
    world.credentials = Credentials.load(str(tmp_path / "auth.yaml"), {})

    def construct(self, connection):
        raise ValueError(f"cannot use {connection.auth['p']}")

    other_cloud(world, __init__=construct)
    with pytest.raises(InvalidDesignError) as caught:
        world.build(infrastructure("odd"))
    assert "cannot be set up: ValueError (tests/" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def once(method):
    """The method, which is that of the base class from the second call on."""
    asked = []

    @functools.wraps(method)
    def call(self, *values):
        asked.append(values)
        if len(asked) > 1:
            return getattr(super(type(self), self), method.__name__)(*values)
        return method(self, *values)

    return call


def create(make):
    def create(self, request):
        return make(super(type(self), self).create(request))

    return once(create)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda found: Instance(found.id, "ready"),
            "FieldTypeError: Instance.state is of the type str, expected InstanceState",
        ),
        (
            lambda found: Instance(found.id, None, raw_state="ACTIVE"),
            "FieldTypeError: Instance.state is of the type NoneType, expected InstanceState",
        ),
        (
            lambda found: Instance(17, InstanceState.READY),
            "FieldTypeError: Instance.id is of the type int, expected str",
        ),
        (
            lambda found: Instance(found.id, InstanceState.READY, (Address(127),)),
            "FieldTypeError: Address.value is of the type int, expected str",
        ),
    ],
)
def test_a_wrong_value_fails_its_node_with_the_place_in_the_plugin(world, make, message):
    other_cloud(world, create=create(make))
    (problem,) = failure(world, infrastructure("odd"))
    assert problem.startswith(
        f"node 'odd' (other there): {OTHER} breaks its contract: create() raised {message} ({HERE}, line "
    )
    world.assert_nothing()


def raising(error):
    def create(self, request):
        raise error

    return create


@pytest.mark.parametrize(
    ("said", "text"), [(ValueError("no"), "ValueError: no"), (None, "the plugin gives no reason"), (404, "404")]
)
def test_an_error_whose_message_is_no_text_fails_its_node(world, said, text):
    create = raising(PermanentError(said))
    other_cloud(world, create=create)
    line = create.__code__.co_firstlineno + 1
    assert failure(world, infrastructure("odd")) == [f"node 'odd' (other there): {text} ({HERE}, line {line})"]


def test_a_time_to_wait_that_was_not_converted_is_waited_for(world):
    def create(self, request):
        raise ThrottledError("busy", retry_after="50")

    other_cloud(world, create=once(create))
    start = world.clock.now()
    world.build(infrastructure("odd"))
    world.assert_runs({"odd": 1})
    assert world.clock.now() - start >= 50


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            "done",
            f"{OTHER} breaks its contract: delete() answered str for an instance, expected None or a ProviderError",
        ),
        (
            ValueError("no"),
            f"{OTHER} breaks its contract: delete() answered ValueError for an instance, expected None or a",
        ),
    ],
)
def test_a_wrong_answer_to_delete_concerns_its_instance_alone(world, answer, text):
    def delete(self, ids):
        super(type(self), self).delete(ids)
        return {id: answer if id == wrong else None for id in ids}

    other_cloud(world, delete=once(delete))
    world.build(infrastructure(node("odd", min=2)))
    wrong, _other = (record.instance_id for record in world.store.instances("infra"))
    with pytest.raises(UnconfirmedError) as caught:
        world.destroy()
    assert text in str(caught.value)
    assert [record.instance_id for record in world.store.instances("infra")] == [wrong]
    world.destroy()
    world.assert_nothing()


class Checker(HealthChecker):
    """A checker that needs a key of its value."""

    @classmethod
    def schema(cls):
        return {}

    def check(self, probes):
        return [probe.value["port"] for probe in probes]


def test_the_error_of_a_checker_has_its_type_and_place(world):
    world.install("health", "odd", Checker)
    world.define("web", implementations=[{"checks": {"odd": {}}, "timeout": 10.0}])
    (problem,) = failure(world, infrastructure("web"))
    line = Checker.check.__code__.co_firstlineno + 1
    assert f"the health checker 'odd' breaks its contract: check() raised KeyError ({HERE}, line {line})" in problem


@pytest.mark.parametrize("error", [KeyError("port"), SystemExit(4)])
def test_a_checker_that_fails_when_it_is_asked_about_this_machine_refuses_the_build_with_its_name(world, error):
    def check_host(self, value):
        raise error

    world.install("health", "odd", type("Odd", (Checker,), {"check_host": check_host}))
    world.define("web", implementations=[{"checks": {"odd": {}}}])
    with pytest.raises(InvalidDesignError) as caught:
        world.build(infrastructure("web"))
    line = check_host.__code__.co_firstlineno + 1
    said = f"check_host() raised {type(error).__name__} ({HERE}, line {line})"
    assert f"the health checker 'odd' breaks its contract: {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: None, "answered NoneType, expected a sequence of Verdict"),
        (lambda: [None], "answered NoneType for probes, expected a Verdict for each"),
        (list, "answered 0 verdicts for 1 probes"),
        (lambda: [Verdict(None)], "raised FieldTypeError: Verdict.healthy is of the type NoneType, expected bool"),
        (lambda: [Verdict(False, None)], "raised FieldTypeError: Verdict.reason is of the type NoneType, expected str"),
    ],
)
def test_a_wrong_answer_of_a_checker_is_named_with_the_place(world, answer, said):
    world.install("health", "odd", type("Odd", (Checker,), {"check": lambda self, probes: answer()}))
    world.define("web", implementations=[{"checks": {"odd": {}}, "timeout": 10.0}])
    (problem,) = failure(world, infrastructure("web"))
    assert f"the health checker 'odd' breaks its contract: check() {said} ({HERE}, line " in problem


def test_a_verdict_without_a_reason_names_its_checker(world):
    check = lambda self, probes: [Verdict(False) for _ in probes]  # noqa: E731
    world.install("health", "odd", type("Odd", (Checker,), {"check": check}))
    world.define("web", implementations=[{"checks": {"odd": {}}, "timeout": 10.0}])
    (problem,) = failure(world, infrastructure("web"))
    assert problem.endswith("not ready within 10 s: the health checker 'odd' gives no reason")


def test_a_checker_that_cannot_be_made_refuses_the_build(world):
    def construct(self):
        raise KeyError("port")

    world.install("health", "odd", type("Odd", (Checker,), {"__init__": construct}))
    world.define("web", implementations=[{"checks": {"odd": {}}}])
    with pytest.raises(InvalidDesignError) as caught:
        world.build(infrastructure("web"))
    assert f"the health checker 'odd' cannot be set up: KeyError ({HERE}, line " in str(caught.value)


@pytest.mark.parametrize("text", [b"booted", 7, ["booted"]])
def test_logs_of_another_type_are_a_wrong_answer_not_no_output(text):
    handler = SimpleNamespace(logs=lambda ids, lines: {"i-0": None, "i-1": text})
    expected = (
        f"the plugin breaks its contract: logs() answered {type(text).__name__} for 'i-1', expected a text or None"
    )
    with pytest.raises(PermanentError) as caught:
        last_lines(handler, ["i-0", "i-1"], 5, str, 100)
    assert str(caught.value).startswith(f"{expected} ({HERE}, line ")


def test_the_reason_of_a_verdict_repeats_no_value_of_its_check_that_is_secret_by_its_name():
    checker = health_checker(
        lambda probe: Verdict(False, f"login of {probe.value['user']} with {probe.value['password']}")
    )
    probes = [
        Probe("1", "192.0.2.1", {"user": "me", "password": "pw-in-check"}),
        Probe("2", "", {"user": "you", "password": "b"}),
    ]
    reasons = [one.reason for one in answered_verdicts(checker(), probes)]
    assert reasons == ["login of me with ***", "login of you with ***"]


# Contextualisers


def leave_the_process():
    raise SystemExit(4)


CONTEXTS = {
    "raises": (lambda: {}["y"], "contextualise() raised KeyError"),
    "ends": (leave_the_process, "contextualise() raised SystemExit"),
    "none": (lambda: None, "contextualise() answered NoneType, expected a Context"),
    "mapping": (lambda: Context(user_data={"a": 1}), "the user_data of its Context is of a wrong type"),
    "bytes": (lambda: Context(user_data=b"x"), "the user_data of its Context is of a wrong type"),
    "half": (lambda: Context(user_data="a\ud800"), "the user_data of its Context has half of a character"),
    "env": (lambda: Context(env="A=b"), "the env of its Context is of a wrong type"),
    "form": (lambda: Context(env=("A=b",)), "its Context has environment and command, which is not among its forms"),
    "command": (lambda: Context(command="ls"), "its Context has environment and command, which is not among its forms"),
}


@pytest.mark.parametrize("case", CONTEXTS)
def test_a_contextualiser_that_breaks_its_contract_refuses_the_build(world, case):
    answer, words = CONTEXTS[case]
    world.install("context", "mine", contextualiser(answer))
    world.define("odd", implementations=[{"contextualisation": {"type": "mine"}}])
    world.define("web")
    with pytest.raises(InvalidDesignError) as caught:
        world.build(infrastructure("web", "odd"))
    (problem,) = caught.value.problems
    assert f"the contextualisation 'mine' breaks its contract: {words}" in str(problem)
    world.assert_nothing()


# One wrong answer among many


def left_out(found, wrong):
    del found[wrong]


def no_instance(found, wrong):
    found[wrong] = {"state": "ready"}


def wrong_field(found, wrong):
    Instance(wrong, "ready")


AMONG_MANY = {
    left_out: "describe() left out '{}'",
    no_instance: "describe() answered dict for '{}', expected an Instance",
    wrong_field: "describe() raised FieldTypeError: Instance.state is of the type str, expected InstanceState (tests/",
}


@pytest.mark.parametrize("spoil", AMONG_MANY)
def test_a_wrong_instance_among_many_is_unknown_alone(world, spoil):
    wrong = []

    def describe(self, ids):
        found = dict(super(type(self), self).describe(ids))
        for id in wrong:
            if id in found:
                spoil(found, id)
        return found

    other_cloud(world, describe=describe)
    unchecked = Implementation({"type": "other", "endpoint": "there"}, health_check=HealthCheck({}))
    world.store.put_definitions([NodeDefinition("odd", (unchecked,))])
    world.build(infrastructure(node("odd", min=5)))
    first, *_, lost = world.store.instances("infra")
    wrong.append(first.instance_id)
    world.clock.time += 100
    world.cloud.change(lost.instance_id, "lose")
    world.events.clear()
    passed = world.convergence().maintain()
    assert world.told(EventKind.NODE_READY) == ["odd"]
    message = f"{OTHER} breaks its contract: {AMONG_MANY[spoil].format(wrong[0])}"
    (unconfirmed,) = passed.unconfirmed
    assert unconfirmed.startswith(f"node 'odd' (other there): {message}")
    rows = world.store.instances("infra")
    assert [row.condition for row in rows].count(Condition.UNKNOWN) == 1
    (row,) = [row for row in rows if row.condition is Condition.UNKNOWN]
    assert row.reason.startswith(message)
    (waiting,) = [event.text for event in world.events if event.kind is EventKind.WAITING]
    assert waiting.startswith(f"for a provider: {message}")


def test_a_handler_that_fails_for_all_instances_is_not_asked_for_each(world):
    failing, asked = [], []

    def describe(self, ids):
        asked.append(len(ids))
        if failing:
            raise KeyError("state")
        return super(type(self), self).describe(ids)

    other_cloud(world, describe=describe)
    unchecked = Implementation({"type": "other", "endpoint": "there"}, health_check=HealthCheck({}))
    world.store.put_definitions([NodeDefinition("odd", (unchecked,))])
    world.build(infrastructure(node("odd", min=40)))
    failing.append(True)
    asked.clear()
    passed = world.convergence().maintain()
    assert asked[0] == 40
    assert len(asked) <= 13
    assert len(passed.unconfirmed) == 1


def test_what_list_owned_answers_beside_an_instance_hides_none(world):
    handler = other_cloud(world, list_owned=lambda self, owner: [*super(handler, self).list_owned(owner), "i-17"])
    world.build(infrastructure("odd"))
    with pytest.raises(UnconfirmedError) as caught:
        world.destroy()
    said = f"{OTHER} breaks its contract: list_owned() answered str among its instances, expected an Instance"
    assert f"other there cannot be searched for remaining instances: {said}" in str(caught.value)
    assert world.live() == []


@pytest.mark.parametrize("answer", [None, 5, "i-17"])
def test_an_answer_of_list_owned_that_is_no_list_is_a_breach_with_the_name_of_the_plugin(world, answer):
    def list_owned(self, owner):
        return answer

    other_cloud(world, list_owned=list_owned)
    world.build(infrastructure("odd"))
    with pytest.raises(UnconfirmedError) as caught:
        world.destroy()
    place = f"({HERE}, line {list_owned.__code__.co_firstlineno})"
    said = f"{OTHER} breaks its contract: list_owned() answered {type(answer).__name__}, expected instances {place}"
    assert f"other there cannot be searched for remaining instances: {said}" in str(caught.value)


def test_a_handler_that_ends_the_process_fails_its_node_with_the_place(world):
    def create(self, request):
        raise SystemExit(4)

    other_cloud(world, create=create)
    (problem,) = failure(world, infrastructure("odd"))
    line = create.__code__.co_firstlineno + 1
    said = f"{OTHER} breaks its contract: create() raised SystemExit ({HERE}, line {line}); report it to its author"
    assert problem == f"node 'odd' (other there): {said}"


def test_a_checker_that_ends_the_process_is_named_with_the_place(world):
    def check(self, probes):
        raise SystemExit(4)

    world.install("health", "odd", type("Odd", (Checker,), {"check": check}))
    world.define("web", implementations=[{"checks": {"odd": {}}, "timeout": 10.0}])
    (problem,) = failure(world, infrastructure("web"))
    assert f"check() raised SystemExit ({HERE}, line {check.__code__.co_firstlineno + 1})" in problem


def test_the_name_of_an_installed_plugin_has_its_distribution():
    registry = Registry()
    (by,) = {point.dist.name for point in entry_points(group="occopus.resource", name="docker")}
    assert registry.named("resource", "docker", "docker here") == f"the resource handler 'docker here' of {by}"
    assert registry.named("resource", "absent") == "the resource handler 'absent'"


# Errors that are malformed


class UnmadeError(TransientError):
    def __init__(self, code):
        self.code = code


class UnmadePermanentError(PermanentError):
    def __init__(self, code):
        self.code = code


def unmade(*_):
    raise UnmadePermanentError(7)


def test_a_contextualiser_with_a_malformed_error_refuses_the_build(world):
    world.install("context", "mine", contextualiser(unmade))
    world.define("odd", implementations=[{"contextualisation": {"type": "mine"}}])
    with pytest.raises(InvalidDesignError, match=r"'mine' breaks its contract: contextualise\(\) raised Unmade"):
        world.build(infrastructure("odd"))
    world.assert_nothing()


@pytest.mark.parametrize("method", ["check", "create", "__init__"])
def test_a_handler_with_a_malformed_error_fails_its_node_with_the_place(world, method):
    other_cloud(world, **{method: unmade})
    world.define("web")
    with pytest.raises((BuildError, InvalidDesignError)) as caught:
        world.build(infrastructure("web", "odd"))
    (problem,) = caught.value.problems
    what = "its constructor" if method == "__init__" else f"{method}()"
    said = f"{OTHER} breaks its contract: {what} raised UnmadePermanentError, whose message is missing"
    assert said in str(problem)
    assert HERE in str(problem)
    world.assert_nothing()


def test_the_malformed_error_of_a_deletion_is_transient_as_its_class_says(world):
    def delete(self, ids):
        if asked:
            return base(self, ids)
        asked.append(ids)
        raise UnmadeError(7)

    base, asked = world.handler.delete, []
    other_cloud(world, delete=delete)
    world.build(infrastructure("odd"))
    world.destroy()
    assert asked
    world.assert_nothing()


# Ids


def unchecked_cloud(world, **methods):
    other_cloud(world, **methods)
    unchecked = Implementation({"type": "other", "endpoint": "there"}, health_check=HealthCheck({}))
    world.store.put_definitions([NodeDefinition("odd", (unchecked,))])


def test_an_answer_with_another_id_deletes_nothing(world):
    swapping = []

    def describe(self, ids):
        found = super(type(self), self).describe(ids)
        return dict(zip(ids, reversed([found[id] for id in ids]), strict=True)) if swapping else found

    unchecked_cloud(world, describe=describe)
    world.build(infrastructure(node("odd", min=2)))
    first, second = world.store.instances("infra")
    world.cloud.change(first.instance_id, "stop")
    swapping.append(True)
    world.clock.time += 100
    for _ in range(3):
        passed = world.convergence().maintain()
        world.clock.time += 100
    said = f"{OTHER} breaks its contract: describe() answered the instance '{second.instance_id}' for"
    assert any(said in text for text in passed.unconfirmed)
    assert {row.condition for row in world.store.instances("infra")} == {Condition.UNKNOWN}
    assert {one["id"] for one in world.live()} == {first.instance_id, second.instance_id}


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("", "id is empty"),
        ("i" * 1025, "id has 1025 characters, of which 1024 are allowed"),
        ("i-\x1b[1m", r"id has characters that cannot be printed: 'i-\x1b[1m'"),
        ("i-\ud800", r"id has characters that cannot be printed: 'i-\ud800'"),
    ],
)
def test_an_instance_without_a_valid_id_is_looked_for_by_its_token(world, id, said):
    other_cloud(world, create=create(lambda found: dataclasses.replace(found, id=id)))
    (problem,) = failure(world, infrastructure("odd"))
    assert f"{OTHER} breaks its contract: create() answered an Instance whose {said} ({HERE}, line " in problem
    world.assert_nothing()


@pytest.mark.parametrize(
    ("what", "changes"),
    [("token", {"token": "t\ud800"}), ("owner", {"owner": Owner("here", "i\ud800")})],
)
def test_a_tag_with_a_lone_surrogate_is_a_wrong_answer(world, what, changes):
    other_cloud(world, create=create(lambda found: dataclasses.replace(found, **changes)))
    (problem,) = failure(world, infrastructure("odd"))
    assert f"create() answered an Instance whose {what} has characters that cannot be printed: " in problem
    world.assert_nothing()


def test_addresses_and_states_are_recorded_without_control_characters(world):
    class OwnAddress(Address):
        pass

    def shown(found):
        address = OwnAddress("a\ud800b\x1b[31m\n")
        return dataclasses.replace(found, addresses=(address,), raw_state="s\ud800 t", reason="r\n")

    unchecked_cloud(world, create=create(shown))
    world.build(infrastructure("odd"))
    (row,) = world.store.instances("infra")
    assert row.addresses == (Address("a b"),)
    assert type(row.addresses[0]) is Address


def test_an_id_that_another_instance_has_fails_the_creation_and_deletes_neither(world):
    def create(self, request):
        found = super(type(self), self).create(request)
        return dataclasses.replace(found, id=taken[0]) if taken else found

    def list_owned(self, owner):
        listed = super(type(self), self).list_owned(owner)
        return [dataclasses.replace(found, id=taken[0]) for found in listed]

    taken = []
    unchecked_cloud(world, create=create, list_owned=list_owned)
    world.build(infrastructure(node("odd", max=2)))
    (first,) = world.store.instances("infra")
    taken.append(first.instance_id)
    world.store.request_scaling("infra", "odd", ScaleKind.SET, 2, "", world.clock.now())
    passed = world.convergence().maintain()
    said = (
        f"{OTHER} breaks its contract: create() answered the id '{first.instance_id}', which an instance of 'odd' has"
    )
    assert any(said in text for text in (*passed.undone, *passed.unconfirmed))
    kept, left = sorted(world.store.instances("infra"), key=lambda row: row.stage is Stage.DROPPING)
    assert (kept.node_id, kept.stage) == (first.node_id, Stage.READY)
    assert left.instance_id is None
    assert first.instance_id in {one["id"] for one in world.live()}


def held_elsewhere(id):
    return f"{OTHER} breaks its contract: create() answered the id '{id}', which an instance of 'odd' of the "


def test_an_id_of_another_infrastructure_fails_the_creation_and_deletes_neither(world):
    def create(self, request):
        found = super(type(self), self).create(request)
        return dataclasses.replace(found, id=taken[0]) if taken else found

    taken = []
    unchecked_cloud(world, create=create)
    world.build(infrastructure("odd"), infra_id="first")
    (first,) = world.store.instances("first")
    taken.append(first.instance_id)
    (problem,) = failure(world, infrastructure("odd"))
    assert held_elsewhere(first.instance_id) + "infrastructure 'first' has (" in problem
    assert world.store.instances("infra") == []
    assert [one["id"] for one in world.live()] == [first.instance_id]


@pytest.mark.parametrize("features", [frozenset(), frozenset({Feature.STOP})])
def test_an_instance_that_a_row_of_another_infrastructure_has_is_neither_stopped_nor_deleted(world, features):
    """Both rows have the id because two processes have recorded it at the same time."""
    stopped = []

    def stop(self, ids):
        stopped.extend(ids)
        return dict.fromkeys(ids)

    unchecked_cloud(world, stop=stop, features=features, stop_seconds=5.0)
    world.build(infrastructure("odd"), infra_id="first")
    world.build(infrastructure("odd"))
    (first,), (second,) = world.store.instances("first"), world.store.instances("infra")
    world.rewrite(second, instance_id=first.instance_id)
    with pytest.raises(UnconfirmedError, match=re.escape(held_elsewhere(first.instance_id))):
        world.destroy()
    assert stopped == []
    assert first.instance_id in {one["id"] for one in world.live("first")}
    with pytest.raises(UnconfirmedError):
        world.destroy()
    world.destroy(infra_id="first")
    assert first.instance_id not in {one["id"] for one in world.live()}
    world.destroy()
    world.assert_nothing()


def test_the_same_id_on_another_connection_is_another_instance(world):
    unchecked_cloud(world)
    world.build(infrastructure("odd"), infra_id="first")
    world.build(infrastructure("odd"))
    (first,), (second,) = world.store.instances("first"), world.store.instances("infra")
    world.rewrite(first, connection='{"endpoint": "elsewhere"}', instance_id=second.instance_id)
    world.destroy()
    assert second.instance_id not in {one["id"] for one in world.live()}


def test_a_handler_that_changes_its_arguments_has_no_effect_on_others(world):
    def emptied(method):
        def call(self, given):
            found = method(self, given)
            (given.resource if hasattr(given, "resource") else given).clear()
            return found

        return call

    base = world.handler
    names = ("check", "create", "describe", "delete")
    unchecked_cloud(world, **{name: emptied(getattr(base, name)) for name in names})
    world.build(infrastructure(node("odd", min=2)))
    world.clock.time += 60
    assert world.convergence().maintain().undone == ()
    assert {step.verb for step in world.convergence().plan(infrastructure(node("odd", min=2))).steps} == {Verb.KEEP}
    world.destroy()
    world.assert_nothing()
