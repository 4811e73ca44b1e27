"""A store that somebody repaired by hand: what names something that is not there is told, and holds up nothing else."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from occopus_core.engine.passes.costing import costs
from occopus_core.engine.passes.errors import UnconfirmedError
from occopus_core.engine.passes.maintenance_loop import MaintenanceLoop
from occopus_core.engine.passes.sweeping import sweep
from occopus_core.store.records import StoreError

from ..conftest import infrastructure


def lose(world, **resource):
    """The implementations of an endpoint vanish, and whatever names them stays."""
    ways = [place.implementation for place in world.store.places.all()]
    gone = [(way.digest,) for way in ways if resource.items() <= way.resource.items()]
    with contextlib.closing(sqlite3.connect(world.store._database._engine.url.database)) as connection:
        connection.executemany("DELETE FROM implementations WHERE digest = ?", gone)
        connection.commit()


@pytest.fixture
def robbed(world):
    """Two infrastructures, of which one was made by what is not there any more."""
    world.define("web", endpoint="one", image="first")
    world.build(infrastructure("web"), infra_id="broken")
    world.define("web", endpoint="two")
    world.build(infrastructure("web"), infra_id="whole")
    lose(world, endpoint="one")
    return world


@pytest.mark.parametrize(
    "act",
    [
        lambda world: world.convergence("broken").maintain(),
        lambda world: world.build(infrastructure("web"), infra_id="broken"),
        lambda world: world.convergence("broken").plan(infrastructure("web")),
        lambda world: world.destroy(infra_id="broken"),
        lambda world: costs(world.resources().connections, world.store, world.store.instances("broken")),
    ],
    ids=["maintain", "build", "plan", "destroy", "cost"],
)
def test_it_is_told_in_a_line(robbed, act):
    (row,) = robbed.store.instances("broken")
    with pytest.raises(StoreError) as caught:
        act(robbed)
    assert str(caught.value) == (
        f"the node definition that instance '{row.node_id}' of node 'web' was made by is not in the store any more: "
        "import its file again, or restore a backup"
    )
    assert robbed.store.holding("broken") is None
    assert len(robbed.live()) == 2


def test_others_are_maintained_meanwhile(robbed):
    robbed.cloud.change(robbed.live("whole")[0]["id"], "lose")
    said = []
    rounds = MaintenanceLoop(robbed.resources(), 10.0, lambda infra_id, text: said.append((infra_id, text)))
    for infra_id in ("broken", "whole"):
        rounds.attach(infra_id)
    rounds._resources.loop.after(60, rounds.stop)
    rounds.run()
    robbed.assert_runs({"web": 1}, "whole")
    ((infra_id, text),) = said
    assert infra_id == "broken"
    assert "not in the store any more" in text


def test_to_import_it_again_mends_it(robbed):
    robbed.define("web", endpoint="one", image="first")
    robbed.convergence("broken").maintain()
    robbed.assert_runs({"web": 1}, "broken")
    robbed.destroy(infra_id="broken")
    robbed.assert_nothing("broken")


def test_a_sweep_tells_where_it_could_not_look_and_looks_elsewhere(robbed):
    resources = robbed.resources()
    swept = resources.loop.run(sweep(resources, remove=True))
    assert swept.strays == []
    assert swept.silent == [
        '{"endpoint": "one"} cannot be searched for remaining instances: no node definition in the store has it'
    ]
    assert len(robbed.live()) == 2


def test_nothing_is_forgotten_where_it_cannot_be_searched(world):
    world.define("web", endpoint="one")
    world.build(infrastructure("web"))
    world.define("web", endpoint="two")
    world.build(infrastructure("web"))
    lose(world, endpoint="one")
    with pytest.raises(UnconfirmedError, match="no node definition in the store has it"):
        world.destroy()
    assert not world.store.infrastructure("infra").wanted
    world.define("web", endpoint="one")
    world.destroy()
    world.assert_nothing()


def test_a_definition_that_lost_a_part_is_not_used_by_half(world):
    world.define("web", implementations=[{"resource": {"endpoint": "one"}}, {"resource": {"endpoint": "two"}}])
    world.build(infrastructure("web"))
    lose(world)
    with pytest.raises(StoreError, match="the node definition 'web' in the store has lost a part: import its file"):
        world.store.definitions(["web"])
