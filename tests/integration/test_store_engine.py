"""An infrastructure is built and destroyed on each kind of store."""

from __future__ import annotations

import contextlib
import random

import pytest

from occopus_core.credentials import Credentials
from occopus_core.descriptions.model import (
    Dependency,
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDefinition,
    NodeDescription,
    Scaling,
)
from occopus_core.engine.instance.checks import HealthChecks
from occopus_core.engine.instance.observe import Observatory
from occopus_core.engine.kernel.connections import Connections
from occopus_core.engine.kernel.loop import Loop
from occopus_core.engine.passes.building import build
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.destroying import destroy
from occopus_core.engine.passes.resources import Resources
from occopus_core.registry import Registry
from occopus_core.store.database import open_database
from occopus_core.store.listing import list_infrastructures
from occopus_core.store.records import Stage
from occopus_core.store.repository import Store
from occopus_core.testing.memory import MemoryCloud, MemoryHandler
from occopus_core.testing.time import InlineExecutor, VirtualClock

pytestmark = pytest.mark.integration

RESOURCE = {"type": "memory", "endpoint": "memory", "boot_seconds": 5}
SMALL = NodeDefinition("small", (Implementation(RESOURCE, health_check=HealthCheck({})),))
DESCRIPTION = Infrastructure(
    "shop",
    (NodeDescription("web", "small", scaling=Scaling(3, 5)), NodeDescription("db", "small")),
    (Dependency("web", "db"),),
)


@pytest.fixture
def store(store_url):
    with contextlib.closing(open_database(store_url)) as database:
        yield Store(database)


def test_build_and_destroy(store, store_url):
    clock = VirtualClock()
    cloud = MemoryCloud(clock.now)

    class Handler(MemoryHandler):
        def __init__(self, connection):
            super().__init__(connection, cloud)

    loop = Loop(clock, InlineExecutor())
    registry = Registry({("resource", "memory"): Handler})
    connections = Connections(registry, Credentials(), loop, 8)
    resources = Resources(
        store=store,
        registry=registry,
        connections=connections,
        observatory=Observatory(loop),
        checks=HealthChecks(loop, connections),
        loop=loop,
        rng=random.Random(1),
        width=None,
        observer=lambda _event: None,
        holder="test",
    )
    store.put_definitions([SMALL])
    loop.run(build(PassContext(resources, "i"), DESCRIPTION))
    records = store.instances("i")
    assert [(one.node_name, one.stage, one.provisional) for one in records] == [
        ("db", Stage.READY, False),
        *[("web", Stage.READY, False)] * 3,
    ]
    assert [(one.id, one.state.value, one.instances) for one in list_infrastructures(store_url)] == [("i", "ready", 4)]
    loop.run(destroy(PassContext(resources, "i")))
    assert list_infrastructures(store_url) == []
    assert [one for one in cloud.inventory() if one["state"] != "absent"] == []
