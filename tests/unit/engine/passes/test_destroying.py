import pytest

from occopus_core.engine.kernel.journal import Journal
from occopus_core.engine.kernel.lease import HeldLease, moment
from occopus_core.engine.passes import destroying
from occopus_core.engine.passes.errors import BuildError, UnconfirmedError
from occopus_core.engine.passes.sweeping import sweep
from occopus_core.events import EventKind
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import (
    LeaseLostError,
    NoSuchInfrastructureError,
    NoSuchPlaceError,
    PlaceInUseError,
    StoreError,
)

from ..conftest import Convergence, PassContext, infrastructure, node
from ..fakes import KilledError, Life


def test_a_cloud_that_cannot_be_searched_for_leftovers_keeps_the_infrastructure_known(world):
    world.define("web")
    world.build(infrastructure(node("web", min=2)))
    world.cloud.set_faults([{"kind": "permanent", "operation": "list"}])
    with pytest.raises(UnconfirmedError, match="cannot be searched"):
        world.destroy()
    assert not world.store.infrastructure("infra").wanted
    world.cloud.set_faults([])
    world.destroy()
    world.assert_nothing()


def test_a_search_that_fails_for_a_moment_is_made_again(world):
    world.define("web")
    world.cloud.set_faults(
        [
            {"kind": "forget_tokens", "operation": "create"},
            {"kind": "lost_reply", "operation": "create", "count": 1},
            {"kind": "error_500", "operation": "list", "count": 1},
        ]
    )
    world.build(infrastructure("web"))
    assert len(world.live()) == 2, "a duplicate nobody knows of"
    world.destroy()
    world.assert_nothing()


def test_a_secret_that_a_provider_repeats_is_not_recorded(world):
    world.define("web", boot_seconds=1, fail="bad key s3cret")
    resources = world.resources()
    resources.loop.redact = lambda text: text.replace("s3cret", "***")
    with pytest.raises(BuildError) as raised:
        Convergence(PassContext(resources, "infra")).build(infrastructure("web"))
    assert "s3cret" not in str(raised.value)
    texts = [event.text for event in world.store.events("infra")]
    assert any("bad key ***" in text for text in texts)
    assert not any("s3cret" in text for text in texts)


def test_nothing_is_created_or_deleted_once_the_lease_has_run_out(world):
    world.define("web")
    world.build(infrastructure("web"))
    resources, asked = world.resources(), moment(world.clock)
    lease = world.store.acquire("infra", "me", asked[0])
    journal = Journal(world.store, HeldLease(lease, world.clock, asked), resources.loop, lambda: None)
    journal.refuse_if_lost()
    world.clock.time += LEASE_SECONDS
    with pytest.raises(LeaseLostError, match="has run out"):
        journal.refuse_if_lost()


@pytest.mark.parametrize("step", ["acquire", "infrastructure"])
def test_who_slept_through_its_lease_before_it_began_calls_nobody(world, monkeypatch, step):
    """The machine stops right after the store has answered, and somebody else takes over."""
    world.define("web")
    world.build(infrastructure("web"))
    world.cloud.set_faults([{"kind": "permanent", "operation": "delete", "count": 1}])
    with pytest.raises(UnconfirmedError):
        world.destroy()  # what it announced is in the store: whoever carries on need not write before it calls
    real, acquire = getattr(world.store, step), world.store.acquire

    def asleep(*arguments):
        answer = real(*arguments)
        world.clock.time += LEASE_SECONDS
        assert acquire("infra", "another", world.clock.now())
        return answer

    monkeypatch.setattr(world.store, step, asleep)
    calls = [one["operation"] for one in world.cloud.log()].count("delete")
    with pytest.raises(LeaseLostError):
        world.destroy()
    assert [one["operation"] for one in world.cloud.log()].count("delete") == calls


def test_a_build_that_is_undone_after_another_was_killed_searches_where_that_one_was(world):
    """The first one made two instances for one row, took away the one it knew, and died before its last search."""
    world.define("web")
    world.define("bad", boot_seconds=1, fail="disk on fire")
    world.cloud.set_faults(
        [
            {"kind": "forget_tokens", "operation": "create", "node_name": "web"},
            {"kind": "lost_reply", "operation": "create", "count": 1},
        ]
    )
    described = infrastructure("web", "bad", edges=[("bad", "web")])

    def die(operation):
        if operation == "list":
            raise KilledError

    world.during = die
    with pytest.raises(KilledError):
        world.build(described, life=Life("none", 1))
    world.during = lambda operation: None
    assert len(world.live()) == 1, "the one that nobody knows of"
    world.clock.time += LEASE_SECONDS + 1
    world.cloud.set_faults([{"kind": "auth", "operation": "create"}])
    with pytest.raises(BuildError) as caught:
        world.build(described)
    assert "cannot be searched" in caught.value.unconfirmed[0]
    world.cloud.set_faults([])
    world.destroy()
    world.assert_nothing()


def test_refused_credentials_keep_no_infrastructure_alive(world):
    world.define("web")
    world.cloud.set_faults([{"kind": "auth"}])
    with pytest.raises(BuildError) as caught:
        world.build(infrastructure("web"))
    assert not caught.value.unconfirmed
    world.assert_nothing()


def gone_for_good(world):
    world.define("web")
    world.build(infrastructure(node("web", min=2)))
    world.cloud.set_faults([{"kind": "error_500"}])
    with pytest.raises(UnconfirmedError):
        world.destroy()


def give_up(world, *names):
    convergence = world.convergence()
    convergence._run(destroying.destroy(convergence.context, names))


def test_a_cloud_that_is_gone_is_given_up_and_the_id_is_free(world):
    gone_for_good(world)
    ids = sorted(each["id"] for each in world.live())
    give_up(world, "memory memory")
    with pytest.raises(NoSuchInfrastructureError):
        world.store.infrastructure("infra")
    told = [event for event in world.store.events("infra") if event.kind == EventKind.NODE_GIVEN_UP.value]
    assert sorted(event.text.split()[0] for event in told) == ids
    assert all("token occopus-" in event.text for event in told)
    world.cloud.set_faults([])
    world.build(infrastructure("web"))
    resources = world.resources()
    swept = resources.loop.run(sweep(resources, remove=True))
    assert sorted(stray.instance.id for stray in swept.strays) == ids, "should the cloud come back, they are found"
    world.assert_runs({"web": 1})


def test_only_what_is_named_is_given_up(world):
    gone_for_good(world)
    with pytest.raises(NoSuchPlaceError):
        give_up(world, "memory elsewhere")
    assert len(world.store.instances("infra")) == 2


def test_what_can_be_deleted_is_deleted_whatever_is_given_up(world):
    world.define("web")
    world.build(infrastructure("web"))
    give_up(world, "memory memory")
    world.assert_nothing()
    assert not [event for event in world.store.events("infra") if event.kind == EventKind.NODE_GIVEN_UP.value]


def test_a_place_in_use_says_how_it_can_be_given_up(world):
    gone_for_good(world)
    with pytest.raises(PlaceInUseError, match="--give-up 'memory memory' --yes"):
        world.store.places.forget("memory memory")


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_build_whose_store_is_deleted_stops_and_does_not_succeed(world, tmp_path, at):
    world.define("a", "b", boot_seconds=3)
    calls = []

    def during(operation):
        calls.append(operation)
        if calls.count("create") == at:
            world.during = lambda _operation: None
            for file in tmp_path.glob("occopus.db*"):
                file.unlink()

    world.during = during
    with pytest.raises(StoreError, match="was deleted while it was in use; no more work is done: put a backup"):
        world.build(infrastructure(node("a", min=3), "b", edges=[("b", "a")]))
    assert not (tmp_path / "occopus.db").exists()
