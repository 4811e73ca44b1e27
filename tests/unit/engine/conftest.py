from __future__ import annotations

import contextlib
import dataclasses
import random
import shutil

import pytest
import sqlalchemy as sa

from occopus_core.contextualisers.cloudinit import CloudInit
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
from occopus_core.engine.passes import building, destroying
from occopus_core.engine.passes.context import PassContext
from occopus_core.engine.passes.maintaining import maintain
from occopus_core.engine.passes.previewing import preview
from occopus_core.engine.passes.resources import Resources
from occopus_core.events import EventKind
from occopus_core.registry import Registry
from occopus_core.store.database import open_database
from occopus_core.store.records import NoSuchInfrastructureError, Stage
from occopus_core.store.repository import Store
from occopus_core.testing.memory import MemoryCloud, MemoryHandler
from occopus_core.testing.time import InlineExecutor

from .fakes import KilledError, MortalStore, PatientClock


def unsynced(database):
    """The database without waiting for the disk: no power is cut here."""

    def unsync(_connection, _cursor, statement, parameters, _context, _many):
        return ("PRAGMA synchronous=OFF" if statement.startswith("PRAGMA synchronous") else statement), parameters

    sa.event.listen(database._engine, "before_cursor_execute", unsync, retval=True)
    return database


class Convergence:
    """Passes over one infrastructure, each run to its end."""

    def __init__(self, context):
        self.context = context
        self.interrupt = context.interrupt

    def _run(self, steps):
        try:
            return self.context.resources.loop.run(self.context.attended(steps))
        except KilledError:
            with contextlib.suppress(KilledError):
                steps.close()  # nobody cleans up after the dead
            raise

    def build(self, candidate, replaced=()):
        self._run(building.build(self.context, candidate, replaced=replaced))

    def check(self, candidate):
        self._run(building.check(self.context, candidate))

    def plan(self, candidate, replaced=()):
        return self._run(building.plan(self.context, candidate, replaced=replaced))

    def preview(self):
        return self._run(preview(self.context))

    def destroy(self):
        self._run(destroying.destroy(self.context))

    def maintain(self):
        return self._run(maintain(self.context))


class World:
    """A store, a simulated cloud and an engine, all on one virtual clock."""

    def __init__(self, file):
        self.clock = PatientClock()
        self.cloud = MemoryCloud(self.clock.now, during=lambda operation: self.during(operation))  # noqa: PLW0108
        self.store = Store(unsynced(open_database(f"sqlite:///{file}")))
        self.credentials = Credentials()
        self.events = []
        self.rng = random.Random(7)
        self.during = lambda operation: None
        self.answered = lambda operation: None
        world = self

        class Handler(MemoryHandler):
            poll_seconds = (0.1, 5.0)

            def __init__(self, connection):
                super().__init__(connection, world.cloud)

            def create(self, request):
                instance = super().create(request)
                world.answered("create")
                return instance

            def describe(self, ids):
                instances = super().describe(ids)
                world.answered("describe")
                return instances

            def delete(self, ids):
                results = super().delete(ids)
                world.answered("delete")
                return results

        self.handler = Handler
        self._plugins = {("resource", "memory"): Handler, ("context", "cloudinit"): CloudInit}
        self.registry = Registry(self._plugins)

    def install(self, kind, name, plugin):
        self._plugins[kind, name] = plugin
        self.registry = Registry(self._plugins)
        return plugin

    def doubles(self, hidden=0.0):
        """The first instance is made twice for one token; for so many seconds the first of the two is hidden."""
        faults = [
            {"kind": "lost_reply", "operation": "create", "nth": 1},
            {"kind": "forget_tokens", "operation": "create", "nth": 2},
        ]
        if hidden:
            faults.append({"kind": "invisible_seconds", "operation": "create", "nth": 1, "seconds": hidden})
        self.cloud.set_faults(faults)

    def define(self, *names, implementations=None, **resource):
        """Node definitions of these names, on the memory cloud and without health checks."""
        ways = implementations or [{}]
        self.store.put_definitions(
            [
                NodeDefinition(
                    name,
                    tuple(
                        Implementation(
                            {"type": "memory", "endpoint": "memory", **resource, **way.get("resource", {})},
                            contextualisation=way.get("contextualisation"),
                            config_management=way.get("config"),
                            health_check=HealthCheck(
                                way.get("checks", {}), way.get("timeout", 600.0), way.get("min_ready_seconds", 0.0)
                            ),
                        )
                        for way in ways
                    ),
                )
                for name in names
            ]
        )

    def resources(self, observer=None, width=None, holder="test", life=None, clock=None):
        loop = Loop(clock or self.clock, InlineExecutor())
        connections = Connections(self.registry, self.credentials, loop, 64, self.store.host_keys)
        return Resources(
            store=MortalStore(self.store, life) if life else self.store,
            registry=self.registry,
            connections=connections,
            observatory=Observatory(loop),
            checks=HealthChecks(loop, connections),
            loop=loop,
            rng=self.rng,
            width=width,
            observer=observer or self.events.append,
            holder=holder,
        )

    def convergence(self, infra_id="infra", **options):
        return Convergence(PassContext(self.resources(**options), infra_id))

    def build(self, candidate, **options):
        self.convergence(**options).build(candidate)

    def destroy(self, **options):
        self.convergence(**options).destroy()

    def live(self, infra_id=None):
        return [one for one in self.cloud.inventory() if infra_id in (None, one["owner"]["infra_id"])]

    def calls(self, operation):
        return self.cloud.calls()["total"][operation]

    def told(self, kind):
        """The nodes that events of a kind were about, in their order."""
        return [event.node_name for event in self.events if event.kind is kind]

    def rewrite(self, record, **changes):
        """Change a row behind everybody's back."""
        lease = self.store.acquire(record.infra_id, "test", self.clock.now())
        with self.store.changing(lease) as change:
            change.put_instances([dataclasses.replace(record, **changes)])
        self.store.release(lease)

    def assert_runs(self, expected, infra_id="infra"):
        """Exactly so many instances of each node are ready, settled, and there."""
        records = self.store.instances(infra_id)
        found = {}
        for record in records:
            found[record.node_name] = found.get(record.node_name, 0) + 1
        assert found == expected
        assert {(r.stage, r.provisional) for r in records} == {(Stage.READY, False)}
        assert sorted((r.instance_id, r.token) for r in records) == sorted(
            (one["id"], one["token"]) for one in self.live(infra_id) if one["state"] == "ready"
        )
        assert len(self.live(infra_id)) == len(records)
        record = self.store.infrastructure(infra_id)
        assert record.candidate is None
        assert record.wanted

    def assert_nothing(self, infra_id="infra"):
        assert self.live(infra_id) == []
        assert self.store.instances(infra_id) == []
        with pytest.raises(NoSuchInfrastructureError):
            self.store.infrastructure(infra_id)


def infrastructure(*nodes, edges=(), name="infra"):
    """Nodes given as names or NodeDescriptions; edges as (dependent, dependee)."""
    made = tuple(NodeDescription(node, node) if isinstance(node, str) else node for node in nodes)
    return Infrastructure(name, made, tuple(Dependency(*edge) for edge in edges), user_id="me")


def node(name, type=None, min=1, max=None, **variables):
    return NodeDescription(name, type or name, scaling=Scaling(min, max or min), variables=variables)


def userdata(template):
    """The contextualisation of a text."""
    return {"type": "cloudinit", "context_template": template}


def interrupter(world, at, kinds=EventKind, times=1):
    """A convergence that is interrupted, `times` times, when the `at`-th event of these kinds is emitted."""
    count = 0

    def observer(event):
        nonlocal count
        world.events.append(event)
        if event.kind in kinds:
            count += 1
            if count == at:
                for _ in range(times):
                    convergence.interrupt("SIGINT")

    convergence = world.convergence(observer=observer)
    return convergence


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The file of a store with nothing in it: making one takes longer than most tests."""
    file = tmp_path_factory.mktemp("store") / "empty.db"
    open_database(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def world(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "occopus.db")
    return World(tmp_path / "occopus.db")
