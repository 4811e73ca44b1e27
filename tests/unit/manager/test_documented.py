"""The Python API as the developer guide of 1.x documents it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import occopus_core
from occopus_core import InfrastructureIDNotFoundException, InfrastructureIDTakenException, InfrastructureManager
from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import HealthCheck, Implementation, NodeDefinition
from occopus_core.descriptions.problems import DescriptionError
from occopus_core.descriptions.text import description_digest
from occopus_core.engine.passes.errors import BusyError
from occopus_core.engine.planning.design import InvalidDesignError
from occopus_core.manager import DryRunError
from occopus_core.manager.errors import ChangedMeanwhileError
from occopus_core.registry import Registry
from occopus_core.settings import Settings
from occopus_core.testing.memory import MemoryCloud, MemoryHandler

LONGEST = 120.0
TEXT = """\
user_id: me
infra_name: shop
nodes:
- &A {name: a, type: t}
- &B {name: b, type: t}
dependencies: [[*B, *A]]
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCCOPUS_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Elsewhere(MemoryHandler):
    """A handler whose instances are ready as soon as they are looked at."""

    cloud = MemoryCloud(time.monotonic)

    def __init__(self, connection):
        super().__init__(connection, self.cloud)


@pytest.fixture
def manager():
    registry = Registry({("resource", "elsewhere"): Elsewhere})
    with InfrastructureManager("parallel", interval=LONGEST, registry=registry) as manager:
        resource = {"type": "elsewhere", "boot_seconds": 0}
        made = Implementation(resource, None, None, HealthCheck({}, LONGEST))
        manager.store.put_definitions([NodeDefinition("t", (made,))])
        yield manager


def mapping():
    a, b = {"name": "a", "type": "t"}, {"name": "b", "type": "t"}
    return {"user_id": "me", "infra_name": "shop", "nodes": [a, b], "dependencies": [[b, a]]}


@pytest.mark.parametrize("strategy", [("parallel",), ("sequential",), ()])
def test_the_strategy_by_position(strategy):
    with InfrastructureManager(*strategy) as manager:
        assert manager.process_table == {}


def test_a_strategy_that_does_not_exist():
    with pytest.raises(ValueError, match="'quick' is not a process strategy; allowed are sequential and parallel"):
        InfrastructureManager("quick")
    with pytest.raises(ValueError, match="'quick'"):
        InfrastructureManager(process_strategy="quick")


def test_a_description_in_all_its_forms(manager, home):
    (home / "infra.yaml").write_text(TEXT)
    model = manager.load("infra.yaml")
    assert [node.name for node in model.nodes] == ["a", "b"]
    for form in (home / "infra.yaml", TEXT, json.dumps(mapping()), mapping(), model):
        found = manager.load(form)
        assert (found.name, len(found.nodes), found.dependencies[0].dependent) == ("shop", 2, "b")
        assert manager.get(manager.submit_infrastructure(form)).current.name == "shop"


def test_a_description_that_is_wrong(manager):
    with pytest.raises(DescriptionError, match=r"description:1:\d+: .*'infra_name'"):
        manager.load({"nodes": [{"name": "a", "type": "t"}]})
    with pytest.raises(DescriptionError, match=r"none\.yaml: there is no such file"):
        manager.add("none.yaml")
    with pytest.raises(TypeError, match="a description cannot contain the type object"):
        manager.load({"infra_name": object()})


def test_submit_stores_only(manager):
    infra_id = manager.submit_infrastructure(mapping())
    assert manager.get(infra_id).current.name == "shop"
    assert (manager.maintained, manager.process_table) == (frozenset(), {})


def test_for_services_the_node_definitions_must_be_there(manager):
    manager.remove_node_definition("t")
    with pytest.raises(InvalidDesignError, match="there is no node definition 't': import its file"):
        manager.submit_infrastructure(mapping(), "early", for_services=True)
    with pytest.raises(InfrastructureIDNotFoundException):
        manager.get("early")


def test_add_stores_and_provisions(manager):
    infra_id = manager.add(mapping())
    assert manager.maintained == {infra_id}
    assert list(manager.process_table) == [infra_id]
    assert manager.process_table[infra_id].current.name == "shop"
    with pytest.raises(ValueError, match="is being maintained"):
        manager.tear_down(infra_id)
    assert manager.stop_provisioning(infra_id) == infra_id
    manager.tear_down(infra_id)
    with pytest.raises(InfrastructureIDNotFoundException):
        manager.get(infra_id)


def test_an_id_that_is_taken(manager):
    manager.submit_infrastructure(mapping(), "mine")
    with pytest.raises(InfrastructureIDTakenException, match="exists already"):
        manager.add(mapping(), "mine")
    assert manager.maintained == frozenset()


def test_what_is_provisioned_already(manager):
    infra_id = manager.submit_infrastructure(mapping())
    assert manager.attach(infra_id) == infra_id
    for call in (manager.attach, manager.start_provisioning):
        with pytest.raises(InfrastructureIDTakenException, match="is being provisioned already"):
            call(infra_id)
        assert call(infra_id, idempotent=True) == infra_id
    assert manager.detach(infra_id) == infra_id
    for call in (manager.detach, manager.stop_provisioning):
        with pytest.raises(InfrastructureIDNotFoundException, match="is not being provisioned"):
            call(infra_id)
        assert call(infra_id, idempotent=True) == infra_id


def test_what_is_attached_is_not_torn_down_however_busy_maintenance_is(manager):
    busy, go_on = threading.Event(), threading.Event()
    manager.add(mapping(), "first")

    def hold_up():
        busy.set()
        go_on.wait(LONGEST)

    manager._background._rounds._resources.loop.post(hold_up)
    assert busy.wait(LONGEST)
    attached = threading.Thread(target=manager.attach, args=[manager.submit_infrastructure(mapping(), "second")])
    attached.start()
    attached.join(LONGEST / 4)
    try:
        assert not attached.is_alive()
        assert manager.maintained == {"first", "second"}
        with pytest.raises(ValueError, match="is being maintained"):
            manager.tear_down("second")
        with pytest.raises(InfrastructureIDTakenException):
            manager.attach("second")
    finally:
        go_on.set()
    attached.join()
    manager.detach("second")
    assert manager.maintained == {"first"}


def test_of_many_callers_at_once_one_attaches(manager):
    for number in range(10):
        infra_id = manager.submit_infrastructure(mapping(), f"shop-{number}")
        begin, outcomes = threading.Barrier(8), []

        def attach(infra_id=infra_id, begin=begin, outcomes=outcomes):
            begin.wait()
            try:
                outcomes.append(manager.attach(infra_id))
            except InfrastructureIDTakenException:
                outcomes.append(None)
            with pytest.raises(ValueError, match="is being maintained"):
                manager.tear_down(infra_id)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(attach) for _ in range(8)]:
                done.result()
        assert sorted(outcomes, key=str) == [None] * 7 + [infra_id]
    assert len(manager.maintained) == 10


def test_what_does_not_exist(manager):
    for call in (manager.attach, manager.detach, manager.get, manager.tear_down):
        with pytest.raises(InfrastructureIDNotFoundException):
            call("nobody")


def test_a_dry_run_changes_nothing(home):
    settings = Settings(f"sqlite:///{home}/dry.db", dry_run=True)
    with InfrastructureManager(settings, Credentials()) as manager:
        calls = (
            lambda: manager.build(mapping()),
            lambda: manager.add(mapping()),
            lambda: manager.submit_infrastructure(mapping()),
            lambda: manager.maintain("x"),
            lambda: manager.tear_down("x"),
            lambda: manager.start_provisioning("x"),
            lambda: manager.sweep(remove=True),
            lambda: manager.scale_by("x", "a", 1),
            lambda: manager.rounds(1.0),
        )
        for call in calls:
            with pytest.raises(DryRunError, match="nothing was changed: 'dry_run' is set in the settings"):
                call()


def test_every_name_that_is_exported_exists():
    assert all(getattr(occopus_core, name) for name in occopus_core.__all__)


def test_another_description_is_recorded_for_the_next_pass(manager):
    infra_id = manager.build(TEXT)
    changed = TEXT.replace("user_id: me", "user_id: other")
    manager.submit_update(changed, infra_id)
    manager.submit_update(changed, infra_id)
    assert manager.get(infra_id).candidate == manager.load(changed)
    with pytest.raises(DescriptionError):
        manager.submit_update(TEXT.replace("type: t", "typ: t"), infra_id)
    with pytest.raises(ChangedMeanwhileError):
        manager.submit_update(TEXT, infra_id, replaces="0" * 32)
    manager.maintain(infra_id)
    assert manager.get(infra_id).description == manager.load(changed)
    manager.submit_update(TEXT, infra_id, replaces=description_digest(manager.load(changed)))
    assert manager.start_provisioning(infra_id) == infra_id
    deadline = time.monotonic() + LONGEST
    while manager.get(infra_id).candidate is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert manager.get(infra_id).description == manager.load(TEXT)
    manager.stop_provisioning(infra_id)
    manager.store.request_destroy(infra_id)
    with pytest.raises(BusyError, match="is being destroyed"):
        manager.submit_update(TEXT, infra_id)
    manager.tear_down(infra_id)
