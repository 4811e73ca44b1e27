"""What no row knows is found wherever instances were ever made, and nothing else is touched."""

from __future__ import annotations

import pytest

from occopus_core.api.context import Context
from occopus_core.api.resource import CreateRequest, Owner
from occopus_core.engine.passes.sweeping import PATIENCE, sweep
from occopus_core.registry import Registry
from occopus_core.store.database import open_database
from occopus_core.store.records import Stage
from occopus_core.store.repository import Store

from ..conftest import infrastructure, node


@pytest.fixture
def built(world):
    world.define("web")
    world.build(infrastructure(node("web", min=2)))
    return world


def stray(world, token="occopus-late", infra_id="infra"):
    """An instance that was made after everybody had given it up."""
    owner = Owner(world.store.installation, infra_id, "web", "gone")
    (place,) = world.store.places.all()
    handler = world.resources().connections.resource(place.implementation, place.connection).plugin
    return handler.create(CreateRequest(token, owner, {}, Context())).id


def run(world, *, remove=True):
    resources = world.resources()
    return resources.loop.run(sweep(resources, remove=remove))


def test_nothing_is_found_where_all_is_known(built):
    swept = run(built)
    assert (swept.strays, swept.silent, swept.left) == ([], [], [])
    built.assert_runs({"web": 2})


def test_a_stray_is_deleted_and_the_others_stay(built):
    id = stray(built)
    swept = run(built)
    assert [each.instance.id for each in swept.strays] == [id]
    assert str(swept.strays[0]) == f"memory memory {id}, node 'web' of 'infra', ready"
    assert swept.left == []
    built.assert_runs({"web": 2})


def test_a_plan_deletes_nothing(built):
    id = stray(built)
    assert [each.instance.id for each in run(built, remove=False).strays] == [id]
    assert len(built.live()) == 3
    assert built.calls("delete") == 0


def test_strays_of_infrastructures_that_are_gone_are_found(built):
    built.destroy()
    id = stray(built)
    assert [each.instance.id for each in run(built).strays] == [id]
    assert built.live() == []


def test_other_installations_are_left_alone(built):
    (place,) = built.store.places.all()
    handler = built.resources().connections.resource(place.implementation, place.connection).plugin
    handler.create(CreateRequest("occopus-other", Owner("another", "infra", "web", "x"), {}, Context()))
    assert run(built).strays == []
    assert len(built.live()) == 3


def test_a_second_instance_of_a_token_is_a_stray(built):
    row = built.store.instances("infra")[0]
    built.cloud.set_faults([{"kind": "forget_tokens"}])
    id = stray(built, token=row.token)
    built.cloud.set_faults([])
    assert [each.instance.id for each in run(built).strays] == [id]
    built.assert_runs({"web": 2})


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING, Stage.DROPPING])
def test_what_is_under_way_looks_after_itself(built, stage):
    row = built.store.instances("infra")[0]
    built.rewrite(row, stage=stage, instance_id=None)
    assert run(built).strays == []
    assert len(built.live()) == 2


def test_one_that_will_not_go_is_told(built):
    id = stray(built)
    built.cloud.set_faults([{"kind": "permanent", "operation": "delete", "reason": "it is locked"}])
    swept = run(built)
    assert swept.left == [f"memory memory {id}, node 'web' of 'infra', ready: memory cloud: it is locked"]


def test_slow_deletions_are_waited_for_but_not_for_ever(world):
    world.define("web", delete_seconds=PATIENCE / 2)
    world.build(infrastructure("web"))
    stray(world)
    assert run(world).left == []


def test_a_cloud_that_is_away_is_told(built):
    built.cloud.set_faults([{"kind": "error_500", "operation": "list"}])
    swept = run(built)
    assert swept.strays == []
    (line,) = swept.silent
    assert line.startswith("memory memory cannot be searched for remaining instances: ")


def test_destroy_searches_where_instances_were_earlier(world):
    """The duplicate is on the cloud the node was moved away from."""
    world.define("web", project="first")
    world.build(infrastructure("web"))
    id = stray(world)
    world.define("web", endpoint="other", project="second")
    world.build(infrastructure("web"))
    assert id in [one["id"] for one in world.live()]
    world.destroy()
    world.assert_nothing()


def test_what_a_provider_still_hides_is_waited_for(world):
    """A second instance of a token that was used a moment ago."""
    world.define("web")
    world.doubles(hidden=1.9)
    world.build(infrastructure("web"))
    assert len(world.live()) == 2
    began = world.clock.now()
    assert len(run(world).strays) == 1
    assert world.clock.now() - began <= world.handler.consistency_window + 1
    world.assert_runs({"web": 1})


def test_where_nothing_was_made_lately_nothing_is_waited_for(built):
    built.clock.time += 60
    began = built.clock.now()
    run(built)
    assert built.clock.now() - began < 0.1


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.BOOTING])
def test_what_is_under_way_may_have_been_asked_for_a_moment_ago(built, stage):
    row = built.store.instances("infra")[0]
    built.rewrite(row, stage=stage)
    built.clock.time += 60
    began = built.clock.now()
    run(built)
    assert built.handler.consistency_window <= built.clock.now() - began < built.handler.consistency_window + 0.1


def retag(world, row, token="", **owner):
    mine = {"installation": world.store.installation, "infra_id": "infra", "node_name": "web", "node_id": row.node_id}
    world.cloud.tag(row.instance_id, token, {**mine, **owner})


def test_what_a_row_names_by_its_id_is_no_stray_and_gets_its_tags_back(built):
    row = built.store.instances("infra")[0]
    retag(built, row)
    swept = run(built)
    assert swept.strays == []
    (line,) = swept.untagged
    assert row.instance_id in line
    assert line.endswith("has lost its tags; they were written again")
    built.assert_runs({"web": 2})
    assert run(built).untagged == []


def test_a_plan_tells_of_lost_tags_and_writes_none(built):
    row = built.store.instances("infra")[0]
    retag(built, row, installation="somebody")
    (line,) = run(built, remove=False).untagged
    assert line.endswith("has lost its tags")
    assert len(run(built).untagged) == 1, "also where the tag of the installation is gone"
    built.assert_runs({"web": 2})


def test_where_tags_cannot_be_written_again_that_is_told(built):
    built.handler.features = frozenset()
    retag(built, built.store.instances("infra")[0])
    (line,) = run(built).untagged
    assert line.endswith("; its provider cannot write them again")


def test_an_instance_without_its_token_is_found_by_its_node_before_its_row_goes(built):
    row = built.store.instances("infra")[0]
    built.rewrite(row, stage=Stage.DROPPING, instance_id=None)
    retag(built, row)
    built.destroy()
    built.assert_nothing()
    assert built.calls("delete") > 0


def test_a_store_that_is_made_anew_after_a_loss_finds_what_the_lost_one_has_made(built, tmp_path):
    known = sorted(each["id"] for each in built.live())
    lost = built.store
    lost.close()
    for file in tmp_path.glob("occopus.db*"):
        if file.suffix != ".installation":
            file.unlink()
    built.store = Store(open_database(f"sqlite:///{tmp_path / 'occopus.db'}"))
    assert built.store.installation == lost.installation
    built.define("web")
    swept = run(built)
    assert sorted(each.instance.id for each in swept.strays) == known
    assert built.live() == []
    built.store.close()


def test_connections_that_are_templates_are_left_out_of_a_sweep(built):
    built.define("web", endpoint="{{ variables.where }}")
    assert run(built).silent == []


def answering(world, extra):
    """The handler of the cloud, which answers `extra` beside the instances."""
    real = world.handler.list_owned
    world.handler.list_owned = lambda self, owner: [*real(self, owner), *extra]


def test_a_plugin_that_breaks_its_contract_hides_no_stray_and_is_no_reason_to_forget_its_cloud(built):
    id = stray(built)
    answering(built, [None])
    swept = run(built)
    assert [each.instance.id for each in swept.strays] == [id]
    (silent,) = swept.silent
    assert "breaks its contract: list_owned() answered NoneType among its instances" in silent
    assert swept.unsearched == []
    built.assert_runs({"web": 2})


def test_a_cloud_that_does_not_answer_may_be_forgotten(built):
    built.cloud.set_faults([{"kind": "auth", "operation": "list"}])
    assert run(built).unsearched == ["memory memory"]


def test_a_plugin_that_cannot_be_loaded_is_no_reason_to_forget_its_cloud_unless_it_is_uninstalled(built):
    built.install("resource", "memory", type("Wrong", (built.handler,), {"max_concurrency": 0}))
    swept = run(built)
    (silent,) = swept.silent
    assert "breaks its contract: its class attribute max_concurrency is 0" in silent
    assert swept.unsearched == []
    built.registry = Registry()
    assert run(built).unsearched == ["memory memory"]
