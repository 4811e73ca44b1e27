import math
from dataclasses import replace

import pytest

from occopus_core.api.errors import TransientError
from occopus_core.api.resource import InstanceState
from occopus_core.engine.instance.deletion import LONGEST_DELETION, PATIENCE
from occopus_core.engine.passes.errors import AbandonedError, BuildError, UnconfirmedError
from occopus_core.events import EventKind
from occopus_core.registry import PluginError, Registry
from occopus_core.store.records import InfrastructureState, Stage

from ..conftest import infrastructure, interrupter, node


def looks(seconds):
    """The most looks at a deletion that takes so long: 0.1 s apart at first, then a fiftieth of the time waited."""
    longest = 250  # from here on 5 s apart
    growing = math.log(min(seconds, longest) / 5) / math.log(1.02)
    return 50 + growing + max(0, seconds - longest) / 5 + 2


@pytest.fixture
def built(world):
    world.define("db", "web", boot_seconds=1, delete_seconds=5)
    world.build(infrastructure(node("web", min=2), "db", edges=[("web", "db")]))
    return world


def test_what_has_gone_already_is_no_trouble(built):
    built.clock.time += 100
    for one in built.live():
        built.cloud.change(one["id"], "lose")
    built.destroy()
    built.assert_nothing()


@pytest.mark.parametrize("kind", ["error_500", "throttle", "hang", "lost_reply", "cut_reply"])
@pytest.mark.parametrize("operation", ["delete", "describe", "list"])
def test_a_passing_failure_is_repeated(built, kind, operation):
    built.cloud.set_faults([{"kind": kind, "operation": operation, "count": 4}])
    built.destroy()
    built.assert_nothing()


@pytest.mark.parametrize(
    ("state", "raw_state", "text"),
    [
        (InstanceState.DELETING, "deleting", "the provider is deleting it"),
        (
            InstanceState.UNKNOWN,
            "evacuating",
            "its deletion was asked for; its plugin does not know the provider's state 'evacuating'",
        ),
        (InstanceState.READY, "", "its deletion was asked for; the provider still reports it as 'ready'"),
    ],
)
def test_what_a_deletion_waits_for_is_what_the_provider_reports(world, state, raw_state, text):
    class Handler(world.handler):
        def describe(self, ids):
            found = super().describe(ids)
            going = {id for id, one in found.items() if one.state is InstanceState.DELETING}
            return {
                id: replace(one, state=state, raw_state=raw_state) if id in going else one for id, one in found.items()
            }

    world.install("resource", "memory", Handler)
    world.define("web", delete_seconds=20)
    world.build(infrastructure("web"))
    world.destroy()
    assert [event.text for event in world.events if event.kind is EventKind.NODE_WAITING] == [text]
    world.assert_nothing()


def test_one_that_fails_does_not_stop_the_others(built):
    built.cloud.set_faults([{"kind": "permanent", "operation": "delete", "node_name": "db", "reason": "it is locked"}])
    with pytest.raises(UnconfirmedError) as caught:
        built.destroy()
    assert caught.value.instances == ("node 'db' (memory memory): memory cloud: it is locked",)
    (row,) = built.store.instances("infra")
    assert (row.node_name, row.stage, row.reason) == ("db", Stage.DROPPING, "memory cloud: it is locked")
    built.cloud.set_faults([])
    built.destroy()
    built.assert_nothing()


def test_a_dead_cloud_is_left_after_a_while_and_a_later_destroy_finishes(built):
    built.cloud.set_faults([{"kind": "error_500"}])
    start = built.clock.now()
    with pytest.raises(UnconfirmedError) as caught:
        built.destroy()
    assert caught.value.instances == ("3 instances of nodes 'db', 'web' (memory memory): memory cloud: internal error",)
    # The dependent first, then what it depends on: two waits.
    assert built.clock.now() - start <= 2 * (PATIENCE + 31)
    assert {row.stage for row in built.store.instances("infra")} == {Stage.DROPPING}
    assert built.store.infrastructure("infra").state is InfrastructureState.DROPPING
    assert sorted(built.told(EventKind.NODE_UNCONFIRMED)) == ["db", "web", "web"]
    built.cloud.set_faults([])
    built.destroy()
    built.assert_nothing()


def test_refused_credentials_leave_it_unconfirmed_at_once(built):
    built.cloud.set_faults([{"kind": "auth"}])
    start = built.clock.now()
    with pytest.raises(UnconfirmedError) as caught:
        built.destroy()
    assert built.clock.now() - start < 1
    assert all("the credentials were refused" in instance for instance in caught.value.instances)
    built.cloud.set_faults([])
    built.destroy()
    built.assert_nothing()


def test_it_waits_until_the_provider_says_that_it_is_gone(world):
    world.define("web", delete_seconds=300)
    world.build(infrastructure("web"))
    start = world.clock.now()
    world.destroy()
    assert 300 <= world.clock.now() - start <= 306
    assert world.calls("delete") <= looks(300)
    world.assert_nothing()


def test_what_will_not_go_is_left_unconfirmed(world):
    world.define("web", delete_seconds=10**6)
    world.build(infrastructure("web"))
    with pytest.raises(UnconfirmedError, match="still reports it 900 s after"):
        world.destroy()
    assert world.clock.now() - 1_000_000 <= LONGEST_DELETION + 20
    world.clock.time += 10**6
    world.destroy()
    world.assert_nothing()


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.RESERVED])
@pytest.mark.parametrize("exists", [True, False])
def test_an_instance_whose_id_is_not_known_is_found_by_its_token(world, stage, exists):
    world.define("web", boot_seconds=100)
    world.build(infrastructure("web"))
    (row,) = world.store.instances("infra")
    world.rewrite(row, stage=stage, instance_id=None)
    if not exists:
        world.cloud.reset()
    world.destroy()
    world.assert_nothing()


def test_a_row_that_was_only_reserved_is_not_looked_for(world):
    world.define("web")
    world.build(infrastructure("web"))
    (row,) = world.store.instances("infra")
    world.cloud.reset()
    world.rewrite(row, stage=Stage.RESERVED, instance_id=None, connection="")
    world.destroy()
    world.assert_nothing()
    assert world.calls("list") == 1  # the last search, wherever there ever was something
    assert world.calls("describe") == world.calls("delete") == 0


def test_a_duplicate_that_no_row_knows_is_swept(world):
    """The provider has broken its promise to take a token once."""
    world.define("web")
    world.doubles()
    world.build(infrastructure("web"))
    assert len(world.live()) == 2
    world.destroy()
    world.assert_nothing()


def test_instances_of_others_are_left_alone(world):
    world.define("web")
    world.build(infrastructure("web"), infra_id="mine")
    world.build(infrastructure("web"), infra_id="other")
    world.destroy(infra_id="mine")
    world.assert_nothing("mine")
    world.assert_runs({"web": 1}, "other")


def test_many_are_deleted_with_few_calls(world):
    world.define("web", delete_seconds=10)
    world.build(infrastructure(node("web", min=200)))
    world.destroy()
    world.assert_nothing()
    assert world.calls("delete") <= looks(10)
    assert world.calls("describe") <= looks(10)


def test_an_interrupted_destroy_stops_at_once_and_goes_on_later(built):
    convergence = interrupter(built, 1, [EventKind.NODE_DROPPING])
    with pytest.raises(AbandonedError):
        convergence.destroy()
    rows = built.store.instances("infra")
    assert len(rows) == 3
    assert len({row.instance_id for row in rows}) == 3
    built.destroy()
    built.assert_nothing()


def test_what_a_late_call_made_is_found_although_its_creation_began_long_ago(world):
    world.define("web")
    world.cloud.set_faults(
        [
            {"kind": "error_500", "operation": "create", "count": 6},
            {"kind": "lost_reply", "operation": "create", "nth": 7},
            {"kind": "invisible_seconds", "operation": "create", "nth": 7, "seconds": 1.9},
        ]
    )

    def observer(event):
        if "connection broke" in event.text:
            convergence.interrupt("SIGINT")
            convergence.interrupt("SIGINT")

    convergence = world.convergence(observer=observer)
    with pytest.raises(AbandonedError):
        convergence.build(infrastructure("web"))
    assert world.calls("create") == 7
    assert len(world.live()) == 1
    world.destroy()
    world.assert_nothing()


def test_a_plugin_that_is_installed_no_more_leaves_it_unconfirmed(built):
    class Bare(Registry):
        def resource(self, name):
            raise PluginError(f"no resource handler '{name}' is installed")

    registry, built.registry = built.registry, Bare()
    with pytest.raises(UnconfirmedError, match="no resource handler 'memory' is installed"):
        built.destroy()
    assert len(built.store.instances("infra")) == 3
    built.registry = registry
    built.destroy()
    built.assert_nothing()


def says_itself(world, said, window=30.0):
    """Its provider says of what is gone that it is gone, where `said` is something."""

    class Handler(world.handler):
        consistency_window = window

        def describe(self, ids):
            found = super().describe(ids)
            absent = InstanceState.ABSENT
            return {id: replace(one, raw_state=said) if one.state is absent else one for id, one in found.items()}

    world.install("resource", "memory", Handler)


@pytest.mark.parametrize(("said", "answered"), [("terminated", False), ("", False), ("", True)])
@pytest.mark.parametrize("age", [0.0, 20.0, 60.0])
def test_a_row_stays_for_as_long_as_anything_of_it_may_be_hidden(world, said, answered, age):
    says_itself(world, said)
    world.define("web")
    if not answered:
        world.cloud.set_faults([{"kind": "lost_reply", "operation": "create", "count": 1}])
    world.build(infrastructure("web"))
    assert [row.answered for row in world.store.instances("infra")] == [answered]
    world.clock.time += age
    start = world.clock.now()
    world.destroy()
    world.assert_nothing()
    hidden = max(0.0, 30.0 - age)
    assert hidden <= world.clock.now() - start < hidden + 6


def test_a_row_goes_at_once_where_its_one_creation_was_answered_and_the_provider_says_that_it_is_gone(world):
    says_itself(world, "terminated")
    world.define("web")
    world.build(infrastructure(node("web", min=3)))
    assert all(row.answered for row in world.store.instances("infra"))
    start = world.clock.now()
    world.destroy()
    world.assert_nothing()
    assert world.clock.now() - start < 1


def test_a_creation_in_several_calls_is_not_one_that_was_answered_at_once(world):
    """Between two of them the provider may not have seen what the first one made, and have made it twice."""
    world.define("web", steps=2)
    world.build(infrastructure("web"))
    assert [row.answered for row in world.store.instances("infra")] == [False]


def test_a_second_call_is_recorded_before_it_is_made(world):
    """By another process, which found the instance booting."""
    world.define("web")
    world.build(infrastructure("web"))
    (row,) = world.store.instances("infra")
    assert row.answered
    world.rewrite(row, stage=Stage.BOOTING)
    seen = []
    world.during = lambda operation: operation == "create" and seen.extend(world.store.instances("infra"))
    world.convergence().maintain()
    assert [one.answered for one in seen] == [False]
    assert [one.answered for one in world.store.instances("infra")] == [False]


def test_a_second_call_of_the_same_process_is_recorded_before_it_is_made(world):
    """Its provider finds while the instance boots that a part of it is still to be made."""

    class Handler(world.handler):
        calls = 0

        def describe(self, ids):
            found = super().describe(ids)
            type(self).calls += 1
            first = type(self).calls == 1
            return {id: replace(one, state=InstanceState.PROVISIONING) if first else one for id, one in found.items()}

    world.install("resource", "memory", Handler)
    world.define("web", boot_seconds=5)
    seen = []
    world.during = lambda operation: operation == "create" and seen.extend(world.store.instances("infra"))
    world.build(infrastructure("web"))
    assert world.calls("create") == 2
    assert [(one.instance_id is not None, one.answered) for one in seen] == [(False, False), (True, False)]
    assert [one.answered for one in world.store.instances("infra")] == [False]


def test_a_second_instance_that_is_still_hidden_is_not_missed(world):
    """Its provider has taken a token for two, shows neither at once, and says that the one it was told of is gone."""
    says_itself(world, "terminated")
    world.define("web")
    world.doubles(hidden=25.0)
    world.build(infrastructure("web"))
    assert len(world.live()) == 2
    world.destroy()
    world.assert_nothing()


def test_the_time_of_day_may_be_set_back_before_a_deletion(world):
    says_itself(world, "")
    world.define("web")
    world.build(infrastructure("web"))
    (row,) = world.store.instances("infra")
    world.rewrite(row, since=world.clock.now() + 86400)
    start = world.clock.now()
    world.destroy()
    world.assert_nothing()
    assert world.clock.now() - start < 40


def test_what_a_dead_process_may_have_asked_for_of_a_booting_instance_may_be_hidden_too(world):
    """`create` is called again while an instance boots, where its provider says that it is still making parts."""
    says_itself(world, "terminated")
    world.define("web")
    world.build(infrastructure("web"))
    (row,) = world.store.instances("infra")
    world.clock.time += 3600
    world.rewrite(row, stage=Stage.BOOTING, answered=False)
    start = world.clock.now()
    world.destroy()
    world.assert_nothing()
    assert 30 <= world.clock.now() - start < 36


def test_a_creation_whose_answer_never_came_counts_from_its_end(world):
    """The provider made something at the very end of a long call whose answer was lost, and hides it for a while."""
    world.define("a", implementations=[{"timeout": 5.0}])

    def slow(operation):
        if operation == "create":
            world.clock.time += 10  # less than the lease lasts

    world.during = slow
    world.cloud.set_faults(
        [
            {"kind": "lost_reply", "operation": "create"},
            {"kind": "invisible_seconds", "operation": "create", "seconds": 1.9},
        ]
    )
    with pytest.raises(BuildError, match="not created within 5 s"):
        world.build(infrastructure("a"))
    assert world.calls("create") == 1
    world.assert_nothing()


LEVELS = [node("web", min=2), "app", "db"], [("web", "app"), ("app", "db")]


@pytest.fixture
def cut_off(world):
    """Three levels of instances that have 30 s to stop; `cut_off.until` is when their provider can be reached again."""
    world.define("web", "app", "db", stop_seconds=30)
    nodes, edges = LEVELS
    world.build(infrastructure(*nodes, edges=edges))
    world.until, world.calls = math.inf, []

    class Handler(world.handler):
        def stop(self, ids):
            self.reach("stop", ids)
            return super().stop(ids)

        def delete(self, ids):
            self.reach("delete", ids)
            return super().delete(ids)

        def reach(self, what, ids):
            world.calls.append((what, tuple(ids)))
            if world.clock.now() < world.until:
                raise TransientError("nothing listens", unreached=True)

    world.install("resource", "memory", Handler)
    return world


def test_a_provider_that_is_away_is_waited_for_once_and_not_at_each_level(cut_off):
    start, rows = cut_off.clock.now(), cut_off.store.instances("infra")
    with pytest.raises(UnconfirmedError, match="nothing listens"):
        cut_off.destroy()
    assert 90 < cut_off.clock.now() - start < 100
    left = cut_off.store.instances("infra")
    assert [one.node_id for one in left] == [one.node_id for one in rows]
    assert {(one.stage, one.reason) for one in left} == {(Stage.DROPPING, "nothing listens")}
    assert len(cut_off.live()) == 4
    for name in ("app", "db"):
        (found,) = [one.instance_id for one in rows if one.node_name == name]
        assert [what for what, ids in cut_off.calls if found in ids] == ["stop"]
    cut_off.until = 0.0
    cut_off.destroy()
    cut_off.assert_nothing()


def test_a_provider_that_comes_back_while_the_first_level_is_left_deletes_the_others(cut_off):
    nodes = {one.instance_id: one.node_name for one in cut_off.store.instances("infra")}

    def back(event):
        if event.kind is EventKind.NODE_UNCONFIRMED:
            cut_off.until = 0.0

    with pytest.raises(UnconfirmedError, match="'web'"):
        cut_off.convergence(observer=back).destroy()
    assert {one.node_name for one in cut_off.store.instances("infra")} == {"web"}
    assert {nodes[one["id"]] for one in cut_off.live()} == {"web"}
    cut_off.destroy()
    cut_off.assert_nothing()


def test_a_provider_that_answers_with_errors_is_waited_for_at_each_level(cut_off):
    cut_off.until = 0.0
    cut_off.cloud.set_faults([{"kind": "error_500", "operation": "delete"}])
    start = cut_off.clock.now()
    with pytest.raises(UnconfirmedError):
        cut_off.destroy()
    assert cut_off.clock.now() - start > 3 * PATIENCE
    assert len(cut_off.live()) == 4
