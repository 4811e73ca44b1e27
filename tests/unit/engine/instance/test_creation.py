import dataclasses
from types import SimpleNamespace

import pytest

from occopus_core.api import AuthError, Instance, InstanceState, PermanentError, TransientError
from occopus_core.engine.instance.observe import describe
from occopus_core.engine.kernel.outcome import Outcome
from occopus_core.engine.passes.errors import BuildError
from occopus_core.events import EventKind
from occopus_core.store.records import Stage

from ..conftest import infrastructure, node
from ..fakes import config_manager


def failure(world, candidate, **options):
    """Why a build fails, and everything is undone."""
    with pytest.raises(BuildError) as caught:
        world.build(candidate, **options)
    assert not caught.value.unconfirmed
    world.assert_nothing()
    return list(caught.value.problems)


def creates(world):
    """The tokens of all create calls."""
    return [token for call in world.cloud.log() if call["operation"] == "create" for token in call["tokens"]]


def test_what_is_to_be_created_is_committed_before_it_is_asked_for(world):
    world.define("web")
    rows = []
    world.during = lambda operation: rows.extend(world.store.instances("infra"))
    world.build(infrastructure("web"))
    assert rows[0].stage is Stage.CREATING
    assert [rows[0].token] == creates(world)


@pytest.mark.parametrize("kind", ["error_500", "throttle", "hang", "lost_reply", "cut_reply"])
def test_a_passing_failure_is_repeated_with_the_same_token(world, kind):
    world.define("web", boot_seconds=2)
    world.cloud.set_faults([{"kind": kind, "operation": "create", "count": 3}])
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    assert len(creates(world)) == 4
    assert len(set(creates(world))) == 1


def test_a_throttled_connection_is_left_alone_as_long_as_it_asks(world):
    world.define(*(names := [f"n{number}" for number in range(40)]))
    world.cloud.set_faults([{"kind": "throttle", "operation": "create", "nth": 1, "seconds": 30}])
    start = world.clock.now()
    world.build(infrastructure(*names))
    world.assert_runs(dict.fromkeys(names, 1))
    # Those that were under way by then had passed the gate already: they are made one after another here.
    assert max(call["at"] for call in world.cloud.log() if call["operation"] == "create") - start >= 30


def test_an_instance_of_many_parts_is_made_step_by_step(world):
    world.define("web", steps=4, boot_seconds=2)
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
    assert world.calls("create") == 4
    assert len(set(creates(world))) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "permanent", "reason": "no such shape"}, "memory cloud: no such shape"),
        ({"kind": "not_found", "reason": "image 'x' does not exist"}, "memory cloud: image 'x' does not exist"),
        ({"kind": "quota"}, "memory cloud: quota exceeded"),
    ],
)
def test_a_refusal_fails_the_build_with_its_message(world, fault, message):
    world.define("ok", "web", boot_seconds=2)
    world.cloud.set_faults([{"operation": "create", "node_name": "web", **fault}])
    assert failure(world, infrastructure("ok", "web", edges=[("web", "ok")])) == [
        f"node 'web' (memory memory): {message}"
    ]
    assert world.told(EventKind.NODE_FAILED) == ["web"]


def test_refused_credentials_are_used_no_more(world):
    world.define("a", "b", "c")
    world.cloud.set_faults([{"kind": "auth", "operation": "create", "nth": 2}])
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("a", "b", "c"), width=1)
    assert caught.value.problems == ("node 'b' (memory memory): memory cloud: the credentials were refused",)
    # Nothing was called any more, so what there is could not be deleted: its row tells what is left.
    assert caught.value.unconfirmed == ("node 'a' (memory memory): memory cloud: the credentials were refused",)
    assert world.calls("delete") == 0
    assert [(row.node_name, row.stage) for row in world.store.instances("infra")] == [("a", Stage.DROPPING)]
    world.cloud.set_faults([])
    world.destroy()
    world.assert_nothing()


def test_nothing_is_left_where_the_credentials_were_refused_from_the_start(world):
    manager = world.install("config", "fake", config_manager())
    world.define("a", "b", implementations=[{"config": {"type": "fake", "endpoint": "chef"}}])
    world.cloud.set_faults([{"kind": "auth"}])
    (first, *_) = failure(world, infrastructure("a", node("b", min=3), edges=[("b", "a")]))
    assert first == "node 'a' (memory memory): memory cloud: the credentials were refused"
    assert world.told(EventKind.NODE_UNCONFIRMED) == []
    assert ("forget", "a") in manager.log


def test_after_any_other_attempt_refused_credentials_leave_it_unconfirmed(world):
    """What an earlier call made may be there: nobody can say that it is not."""
    world.define("web")
    world.cloud.set_faults(
        [
            {"kind": "lost_reply", "operation": "create", "nth": 1},
            {"kind": "auth", "operation": "create", "nth": 2},
        ]
    )
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("web"))
    assert len(caught.value.unconfirmed) == len(world.store.instances("infra")) == len(world.live()) == 1
    world.cloud.set_faults([])
    world.destroy()
    world.assert_nothing()


@pytest.mark.parametrize("error", [ValueError("bad value"), KeyError("port")])
def test_a_handler_that_breaks_its_contract_is_reported(world, error):
    def create(self, request):
        raise error

    world.install("resource", "memory", type("Broken", (world.handler,), {"create": create}))
    world.define("web")
    (problem,) = failure(world, infrastructure("web"))
    line = create.__code__.co_firstlineno + 1
    assert problem == (
        "node 'web' (memory memory): the resource handler 'memory memory' breaks its contract: create() raised "
        f"{type(error).__name__} (tests/unit/engine/instance/test_creation.py, line {line}); "
        "report it to its author"
    )


def test_a_handler_that_answers_nothing_is_reported(world):
    world.install("resource", "memory", type("Broken", (world.handler,), {"create": lambda self, request: None}))
    world.define("web")
    (problem,) = failure(world, infrastructure("web"))
    assert "contract" in problem


def test_a_handler_that_leaves_out_an_instance_is_reported(world):
    class Broken(world.handler):
        broken = True

        def describe(self, ids):
            found = super().describe(ids)
            return {} if self.broken else found

        def delete(self, ids):
            type(self).broken = False
            return super().delete(ids)

    world.install("resource", "memory", Broken)
    world.define("web", boot_seconds=5)
    (problem,) = failure(world, infrastructure("web"))
    assert "contract" in problem


def unchecked(instance):
    """The instance with an address that its constructor refuses."""
    object.__setattr__(instance, "addresses", ("127.0.0.1",))
    return instance


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda _ids: None, "answered NoneType, expected a mapping"),
        (list, "answered list, expected a mapping"),
        (lambda _ids: {}, "left out '{id}'"),
        (lambda ids: {id: {"state": "ready"} for id in ids}, "answered dict for '{id}', expected an Instance"),
        (
            lambda ids: {id: unchecked(Instance(id, InstanceState.READY)) for id in ids},
            "answered an Instance for '{id}' whose addresses have str, expected Address",
        ),
    ],
)
def test_a_wrong_answer_to_describe_is_said_as_what_it_is(answer, fault):
    handler = SimpleNamespace(describe=answer)
    outcome = Outcome.of(lambda: describe(handler, ["i-1", "i-2"]))
    error = outcome.error or outcome.get()["i-1"].error
    assert str(error).startswith(f"the plugin breaks its contract: describe() {fault.format(id='i-1')}")


def test_a_provider_that_never_answers_is_given_up_after_the_timeout(world):
    world.define("web", implementations=[{"timeout": 60.0}])
    world.cloud.set_faults([{"kind": "error_500", "operation": "create"}])
    start = world.clock.now()
    assert failure(world, infrastructure("web")) == [
        "node 'web' (memory memory): not created within 60 s: memory cloud: internal error"
    ]
    assert 60 <= world.clock.now() - start <= 60 + 35 + world.handler.consistency_window
    assert world.calls("create") < 20


def test_what_is_tried_again_is_reported_once_where_progress_and_failure_alternate(world, monkeypatch):
    world.handler.poll_seconds = (1.0, 5.0)  # rows are written within that time
    real, calls, shown = world.handler.create, [], []

    def create(handler, request):
        calls.append(request)
        shown.append(world.store.instances("infra")[0].reason)
        if len(calls) > 30:
            return real(handler, request)
        if len(calls) % 3:
            reason = "pulling app:1" if len(calls) % 3 == 1 else "pulling app:1: 10 %"
            return Instance(
                "image", InstanceState.PROVISIONING, token=request.token, owner=request.owner, reason=reason
            )
        raise TransientError("the registry does not answer", request_id=f"id-{len(calls)}")

    monkeypatch.setattr(world.handler, "create", create)
    world.define("web")
    world.build(infrastructure("web"))
    assert [event.text for event in world.events if event.kind is EventKind.NODE_WAITING] == [
        "pulling app:1",
        "pulling app:1: 10 %",
        "the registry does not answer (request id-3) (tried again; given up after 600 s)",
    ]
    assert shown[21:25] == [  # the row has the newest one
        "the registry does not answer (request id-21) (tried again; given up after 600 s)",
        "pulling app:1",
        "pulling app:1: 10 %",
        "the registry does not answer (request id-24) (tried again; given up after 600 s)",
    ]


def test_steps_that_never_end_are_given_up_after_the_timeout(world):
    world.define("web", implementations=[{"timeout": 60.0}], steps=10**6)
    assert failure(world, infrastructure("web")) == [
        "node 'web' (memory memory): not created within 60 s: the provider is creating its parts"
    ]


@pytest.mark.parametrize("lost_before", [False, True])
def test_what_never_arrived_is_not_looked_for(world, monkeypatch, lost_before):
    """A wrong endpoint leaves nothing; but what an earlier call may have made is looked for."""
    real, calls = world.handler.create, []

    def create(handler, request):
        calls.append(request.token)
        if lost_before and len(calls) == 1:
            real(handler, request)
            raise TransientError("the connection broke")
        raise TransientError("nothing listens", unreached=True)

    monkeypatch.setattr(world.handler, "create", create)
    world.define("web", implementations=[{"timeout": 10.0}])
    assert failure(world, infrastructure("web")) == [
        "node 'web' (memory memory): not created within 10 s: nothing listens"
    ]
    assert len(set(calls)) == 1
    assert (world.calls("list") > 0) is lost_before
    world.assert_nothing()


@pytest.mark.parametrize("made", [False, True])
def test_what_a_refused_create_may_have_made_is_looked_for(world, monkeypatch, made):
    """Credentials can expire, or not suffice, between two calls of one `create`."""
    real = world.handler.create

    def create(handler, request):
        if not made:
            raise AuthError("who are you")
        real(handler, request)
        raise AuthError("may not read it back", unreached=False)

    monkeypatch.setattr(world.handler, "create", create)
    world.define("web")
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("web"))
    assert bool(caught.value.unconfirmed) is made
    if made:  # nobody is asked again with credentials that were refused: later, with others
        world.destroy()
    world.assert_nothing()


def test_how_far_the_making_is_is_told(world, monkeypatch):
    """A reason of what is being made is progress: told once for each text."""
    real, percent = world.handler.create, iter([10, 10, 20, *[30] * 100])

    def create(handler, request):
        instance = real(handler, request)
        if instance.state is InstanceState.PROVISIONING:
            return dataclasses.replace(instance, reason=f"pulling: {next(percent)} %")
        return instance

    monkeypatch.setattr(world.handler, "create", create)
    world.define("web", steps=5)
    world.build(infrastructure("web"))
    waits = [event.text for event in world.events if event.kind is EventKind.NODE_WAITING]
    assert waits == ["pulling: 10 %", "pulling: 20 %", "pulling: 30 %"]


def test_an_instance_of_a_lost_reply_is_undone_too(world):
    world.define("web")
    world.cloud.set_faults(
        [
            {"kind": "lost_reply", "operation": "create", "nth": 1},
            {"kind": "permanent", "operation": "create", "nth": 2},
        ]
    )
    failure(world, infrastructure("web"))


def test_an_instance_that_was_made_but_is_not_visible_yet_is_undone_too(world):
    world.define("web")
    world.cloud.set_faults(
        [
            {"kind": "lost_reply", "operation": "create", "nth": 1},
            {"kind": "invisible_seconds", "operation": "create", "nth": 1, "seconds": 1.9},
            {"kind": "permanent", "operation": "create", "nth": 2},
        ]
    )
    failure(world, infrastructure("web"))


def test_one_provider_object_for_each_connection(world):
    made = []

    class Counted(world.handler):
        def __init__(self, connection):
            super().__init__(connection)
            made.append(dict(connection.settings))

    world.install("resource", "memory", Counted)
    world.define("a")
    world.define("b", project="{{ variables.project }}")
    world.build(infrastructure(node("a", min=3), node("b", project="x"), node("c", "b", project="y")))
    assert made == [
        {"endpoint": "memory"},
        {"endpoint": "memory", "project": "x"},
        {"endpoint": "memory", "project": "y"},
    ]


def test_create_may_answer_that_it_runs_already(world):
    class Instant(world.handler):
        def create(self, request):
            instance = super().create(request)
            return Instance(instance.id, InstanceState.READY, instance.addresses, instance.token, instance.owner)

        def describe(self, ids):
            raise PermanentError("nobody needs to look")

    world.install("resource", "memory", Instant)
    world.define("web")
    world.build(infrastructure("web"))
    world.assert_runs({"web": 1})
