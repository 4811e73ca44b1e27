import pytest

from occopus_core.engine.journal import Journal
from occopus_core.engine.outcomes import BuildError, UnconfirmedError
from occopus_core.store.change import LEASE_SECONDS
from occopus_core.store.records import LeaseLostError

from .conftest import Convergence, Site, infrastructure, node


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
    resources.connections.redact = lambda text: text.replace("s3cret", "***")
    with pytest.raises(BuildError):
        Convergence(Site(resources, "infra")).build(infrastructure("web"))
    texts = [event.text for event in world.store.events("infra")]
    assert any("bad key ***" in text for text in texts)
    assert not any("s3cret" in text for text in texts)


def test_nothing_is_created_or_deleted_once_the_lease_has_run_out(world):
    world.define("web")
    world.build(infrastructure("web"))
    lease = world.store.acquire("infra", "me", world.clock.now())
    resources = world.resources()
    journal = Journal(world.store, lease, resources.loop, lambda: None)
    journal.refuse_if_lost()
    world.clock.time += LEASE_SECONDS
    with pytest.raises(LeaseLostError, match="has run out"):
        journal.refuse_if_lost()
