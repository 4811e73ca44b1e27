"""The life cycle of nodes on a real Chef server."""

from __future__ import annotations

import dataclasses
import time
import uuid
from datetime import timedelta

import pytest

from occopus_config_chef import Chef
from occopus_config_chef.server import time_of_day
from occopus_core.api import (
    AuthError,
    ConfigNode,
    ConfigState,
    NotFoundError,
    PermanentError,
    Registered,
    TransientError,
)
from occopus_core.testing.web import answering


@pytest.fixture
def manager(goiardi):
    return goiardi.manager()


@pytest.fixture
def infra(goiardi, manager):
    """An id of an infrastructure; it is removed from the server at the end."""
    infra_id = str(uuid.uuid4())
    yield infra_id
    for found in list(manager.list_registered(f"installation-of-{infra_id}")):
        manager.forget(node(infra_id, found.node_name, node_id=found.node_id))
    manager.forget_infrastructure(infra_id)
    assert infra_id not in goiardi.names("environments")
    assert not [name for name in goiardi.names("roles") if name.startswith(infra_id)]


def node(infra_id, name="web", node_id=None, **more):
    section = {"type": "chef", "endpoint": "http://x", "run_list": ["recipe[apache2]"]}
    fields = {"section": section, "generation": "g-1", **more}
    return ConfigNode(
        f"installation-of-{infra_id}", infra_id, "shop", name, node_id or str(uuid.uuid4()), "t-1", **fields
    )


def listed(manager, infra_id, count):
    """The nodes of an infrastructure in the server's index, once their number is as given: the index lags."""
    for _ in range(1000):
        found = list(manager.list_registered(f"installation-of-{infra_id}"))
        if len(found) == count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{len(found)} nodes of {infra_id} are listed in place of {count}")


def state(manager, each):
    return manager.status([each])[each.node_id].state


def test_registering_makes_environment_role_and_node(goiardi, manager, infra):
    each = node(infra, attributes={"port": 80, "db": {"user": "app"}}, mapped={"db.host": "10.0.0.5", "size": 3})
    manager.register(each)
    assert infra in goiardi.names("environments")
    assert f"{infra}_web" in goiardi.names("roles")
    made = goiardi.server.get("nodes", each.node_id)
    assert made["chef_environment"] == infra
    assert made["run_list"] == [f"role[{infra}_web]", "recipe[apache2]"]
    assert {key: value for key, value in made["normal"].items() if key != "occopus"} == {
        "port": 80,
        "db": {"user": "app", "host": "10.0.0.5"},
        "size": 3,
    }


def test_registering_again_changes_nothing(goiardi, manager, infra):
    each = node(infra)
    manager.register(each)
    goiardi.converge(each.node_id, 5.0)
    before = goiardi.server.get("nodes", each.node_id)
    manager.register(each)
    assert goiardi.server.get("nodes", each.node_id) == before


def test_ready_after_a_converge(goiardi, manager, infra):
    each = node(infra)
    assert state(manager, each) is ConfigState.UNKNOWN
    manager.register(each)
    manager.configure(each)
    assert state(manager, each) is ConfigState.PENDING
    goiardi.converge(each.node_id, 1764280000.5, fqdn="web-1.internal", network={"port": 8080})
    status = manager.status([each])[each.node_id]
    assert status.state is ConfigState.READY
    assert status.generation == "g-1"
    assert status.attributes["fqdn"] == "web-1.internal"
    assert "occopus" not in status.attributes


def test_a_converge_of_an_earlier_generation_does_not_count(goiardi, manager, infra):
    each = node(infra)
    manager.register(each)
    goiardi.converge(each.node_id, 1764280000.5)
    changed = dataclasses.replace(each, generation="g-2", attributes={"port": 81})
    assert state(manager, changed) is ConfigState.UNKNOWN
    manager.configure(changed)
    assert state(manager, changed) is ConfigState.PENDING
    manager.configure(changed)  # repeats a call whose answer was lost
    assert goiardi.server.get("nodes", each.node_id)["normal"]["port"] == 81
    goiardi.converge(each.node_id, 1764280060.5)
    assert state(manager, changed) is ConfigState.READY


def test_a_client_that_saves_old_attributes_is_detected(goiardi, manager, infra):
    each = node(infra)
    manager.register(each)
    former = goiardi.server.get("nodes", each.node_id)
    changed = dataclasses.replace(each, generation="g-2")
    manager.configure(changed)
    goiardi.server.put("nodes", each.node_id, body={**former, "automatic": {"ohai_time": 7.0}})
    assert state(manager, changed) is ConfigState.UNKNOWN
    manager.configure(changed)
    assert state(manager, changed) is ConfigState.PENDING


def test_forgetting_deletes_node_and_client(goiardi, manager, infra):
    each, other = node(infra), node(infra, "db")
    for one in (each, other):
        manager.register(one)
    goiardi.server.post("clients", body={"name": each.node_id})  # like the client at its first run
    manager.forget(each)
    manager.forget(each)
    assert each.node_id not in goiardi.names("nodes") | goiardi.names("clients")
    assert other.node_id in goiardi.names("nodes")
    assert state(manager, each) is ConfigState.UNKNOWN


def test_forgetting_an_infrastructure_leaves_others_alone(goiardi, manager, infra):
    namesake = f"{infra}_web"
    for infra_id in (infra, namesake):
        manager.register(node(infra_id, "lb"))
    manager.forget_infrastructure(infra)
    manager.forget_infrastructure(infra)
    assert infra not in goiardi.names("environments")
    assert f"{infra}_lb" not in goiardi.names("roles")
    assert f"{namesake}_lb" in goiardi.names("roles")
    manager.forget_infrastructure(namesake)


def test_registered_nodes_are_listed(goiardi, manager, infra):
    each = node(infra)
    manager.register(each)
    other = str(uuid.uuid4())
    manager.register(node(other))
    assert listed(manager, infra, 1) == [Registered(infra, "web", each.node_id)]
    (foreign,) = listed(manager, other, 1)
    manager.forget(node(other, node_id=foreign.node_id))
    manager.forget_infrastructure(other)


def test_many_nodes_are_one_search(goiardi, infra, monkeypatch):
    manager = goiardi.manager()
    nodes = [node(infra) for _ in range(12)]
    for each in nodes:
        manager.register(each)
    listed(manager, infra, len(nodes))
    calls = []
    send = type(manager._server)._call
    monkeypatch.setattr(type(manager._server), "_call", lambda *a: calls.append(a[1:3]) or send(*a))
    assert set(manager.status(nodes)) == {each.node_id for each in nodes}
    assert calls == [("GET", ("search", "node"))]
    calls.clear()
    strangers = [node(str(uuid.uuid4())) for _ in range(12)]
    assert {status.state for status in manager.status(strangers).values()} == {ConfigState.UNKNOWN}
    assert calls == [("GET", ("search", "node")), ("GET", ("nodes",))]


def test_a_missing_role_is_named(manager, infra):
    each = node(infra, section={"run_list": ["recipe[a]", "role[bsae]"]})
    with pytest.raises(NotFoundError, match="the Chef server has no role 'bsae'"):
        manager.register(each)


def test_an_id_that_is_no_valid_environment_name_is_refused_early(manager):
    manager.check(node("a-b_C9"))
    with pytest.raises(PermanentError, match=r"'a\.b', cannot name a Chef environment"):
        manager.check(node("a.b"))


def test_wrong_credentials_are_one_clear_line(goiardi):
    with pytest.raises(AuthError, match="Failed to authenticate as 'stranger'"):
        goiardi.manager(client_name="stranger").status([node("i-1")])
    with pytest.raises(AuthError, match=r"no client_key for the Chef server at .*: add them to an entry"):
        goiardi.manager(client_key="").status([node("i-1")])


def test_a_wrong_clock_is_named(goiardi):
    late = Chef(goiardi.connection(), now=lambda: time_of_day() - timedelta(minutes=20))
    with pytest.raises(AuthError, match="check your system's clock"):
        late.status([node("i-1")])


@pytest.mark.parametrize("path", ["/organizations/acme", "/nosuch"])
def test_an_answer_that_is_no_object_is_an_error(goiardi, path):
    connection = dataclasses.replace(goiardi.connection(), settings={"endpoint": goiardi.endpoint + path})
    with pytest.raises(TransientError, match="does not answer as a Chef server: check the endpoint"):
        Chef(connection).register(node("i-1"))


@pytest.mark.parametrize(
    ("status", "error"), [(500, TransientError), (503, TransientError), (403, AuthError), (400, PermanentError)]
)
def test_web_pages_are_not_repeated(goiardi, status, error):
    page = (status, {}, b"<html>secret page</html>")
    with answering(lambda *_request: page) as url:
        connection = dataclasses.replace(goiardi.connection(), settings={"endpoint": url})
        with pytest.raises(error) as raised:
            Chef(connection).forget_infrastructure("i-1")
    assert "secret" not in str(raised.value)


def test_an_unreachable_server(goiardi):
    connection = dataclasses.replace(goiardi.connection(), settings={"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(TransientError, match="the connection was refused") as refused:
        Chef(connection).forget_infrastructure("i-1")
    assert refused.value.unreached
