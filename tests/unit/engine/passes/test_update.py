import pytest

from occopus_core.api import ProviderError
from occopus_core.engine.passes.errors import BuildError, UnconfirmedError
from occopus_core.engine.planning.plan import Verb
from occopus_core.events import EventKind
from occopus_core.store.records import InfrastructureState

from ..conftest import infrastructure, node


@pytest.fixture
def built(world):
    world.define("db", "mail", boot_seconds=2, delete_seconds=2)
    world.define("web", boot_seconds=2, delete_seconds=2, image="port {{ variables.port }}")
    world.build(infrastructure(node("web", min=2, port=1), "db", edges=[("web", "db")]))
    world.events.clear()
    return world


def ids(world):
    found = {}
    for row in world.store.instances("infra"):
        found.setdefault(row.node_name, []).append(row.instance_id)
    return found


def test_nothing_to_do_does_nothing(built):
    before = built.calls("create"), built.calls("delete")
    built.build(infrastructure(node("web", min=2, port=1), "db", edges=[("web", "db")]))
    assert (built.calls("create"), built.calls("delete")) == before
    assert built.events == []
    built.assert_runs({"db": 1, "web": 2})


def test_a_node_is_added_beside_what_runs(built):
    before = ids(built)
    built.build(infrastructure(node("web", min=2, port=1), "db", "mail", edges=[("web", "db"), ("mail", "web")]))
    built.assert_runs({"db": 1, "web": 2, "mail": 1})
    assert {name: ids(built)[name] for name in before} == before


def test_a_node_is_removed(built):
    before = ids(built)
    built.build(infrastructure("db"))
    built.assert_runs({"db": 1})
    assert ids(built) == {"db": before["db"]}


def test_changed_variables_replace_the_new_ones_first(built):
    before = ids(built)
    built.build(infrastructure(node("web", min=2, port=2), "db", edges=[("web", "db")]))
    built.assert_runs({"db": 1, "web": 2})
    assert ids(built)["db"] == before["db"]
    assert not set(ids(built)["web"]) & set(before["web"])
    kinds = [event.kind for event in built.events]
    last_ready = len(kinds) - 1 - kinds[::-1].index(EventKind.NODE_READY)
    assert last_ready < kinds.index(EventKind.NODE_DROPPING)


def test_more_and_fewer_instances(built):
    before = ids(built)
    built.build(infrastructure(node("web", min=4, port=1), "db", edges=[("web", "db")]))
    built.assert_runs({"db": 1, "web": 4})
    assert ids(built)["web"][:2] == before["web"]
    built.build(infrastructure(node("web", min=1, port=1), "db", edges=[("web", "db")]))
    built.assert_runs({"db": 1, "web": 1})
    assert ids(built)["web"] == before["web"][:1]


@pytest.mark.parametrize("action", ["lose", "stop", "fail"])
def test_a_lost_instance_is_replaced(built, action):
    lost = ids(built)["db"][0]
    built.cloud.change(lost, action)
    built.clock.time += 100
    built.build(infrastructure(node("web", min=2, port=1), "db", edges=[("web", "db")]))
    built.assert_runs({"db": 1, "web": 2})
    assert lost not in ids(built)["db"]


@pytest.mark.parametrize("fault", ["permanent", "quota", "not_found"])
def test_a_failing_update_leaves_everything_as_it_was(built, fault):
    before = (built.live(), built.store.instances("infra"), built.store.infrastructure("infra"))
    built.cloud.set_faults([{"kind": fault, "operation": "create", "node_name": "mail"}])
    changed = infrastructure(node("web", min=1, port=2), "mail", edges=[("mail", "web")])
    with pytest.raises(BuildError):
        built.build(changed)
    assert (built.live(), built.store.instances("infra"), built.store.infrastructure("infra")) == before
    assert before[2].state is InfrastructureState.READY


def test_a_plan_changes_nothing(built):
    before = (built.live(), built.store.instances("infra"), built.store.infrastructure("infra"))
    plan = built.convergence().plan(infrastructure(node("web", min=1, port=1), "mail"))
    assert [(step.verb, step.node_name) for step in plan.steps] == [
        (Verb.KEEP, "web"),
        (Verb.DESTROY, "web"),
        (Verb.CREATE, "mail"),
        (Verb.DESTROY, "db"),
    ]
    assert (built.live(), built.store.instances("infra"), built.store.infrastructure("infra")) == before
    assert not built.convergence("other").plan(infrastructure("mail")).empty


def test_an_update_whose_leavings_are_not_confirmed_is_in_force(built):
    built.cloud.set_faults([{"kind": "permanent", "operation": "delete", "node_name": "web", "reason": "locked"}])
    with pytest.raises(UnconfirmedError, match="locked"):
        built.build(infrastructure("db"))
    assert built.store.infrastructure("infra").state is InfrastructureState.READY
    built.cloud.set_faults([])
    built.build(infrastructure("db"))
    built.assert_runs({"db": 1})


def test_a_cloud_that_cannot_be_asked_changes_nothing(built):
    before = built.live()
    built.cloud.set_faults([{"kind": "error_500", "operation": "describe"}])
    with pytest.raises(ProviderError):
        built.build(infrastructure("db"))
    assert built.live() == before
    assert built.store.infrastructure("infra").state is InfrastructureState.READY
    built.cloud.set_faults([])
    built.build(infrastructure("db"))
    built.assert_runs({"db": 1})
