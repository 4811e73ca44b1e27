from __future__ import annotations

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
from occopus_core.engine.convergence import Convergence, Resources
from occopus_core.registry import Registry
from occopus_core.store.database import open_database
from occopus_core.store.repository import Store
from occopus_core.testing.memory import MemoryCloud, MemoryHandler
from occopus_core.testing.time import InlineExecutor, VirtualClock


class World:
    """A store, a simulated cloud and an engine, all on one virtual clock."""

    def __init__(self, path):
        self.clock = VirtualClock()
        self.cloud = MemoryCloud(self.clock.now)
        self.store = Store(open_database(f"sqlite:///{path}/occopus.db"))
        self.events = []
        self.seed = 7
        cloud = self.cloud

        class Handler(MemoryHandler):
            def __init__(self, connection):
                super().__init__(connection, cloud)

        self.registry = Registry({("resource", "memory"): Handler})

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
                            health_check=HealthCheck(way.get("checks", {}), way.get("timeout", 600.0)),
                        )
                        for way in ways
                    ),
                )
                for name in names
            ]
        )

    def convergence(self, infra_id="infra", observer=None, width=None, holder="test"):
        return Convergence(
            Resources(
                store=self.store,
                registry=self.registry,
                credentials=Credentials(),
                clock=self.clock,
                rng=random.Random(self.seed),
                executor=InlineExecutor(),
                workers=64,
                width=width,
                observer=observer or self.events.append,
                holder=holder,
            ),
            infra_id,
        )

    def live(self):
        return [one for one in self.cloud.inventory() if one["state"] not in ("absent",)]


def infrastructure(*nodes, edges=(), name="infra"):
    """Nodes given as names or NodeDescriptions; edges as (dependent, dependee)."""
    made = tuple(NodeDescription(node, node) if isinstance(node, str) else node for node in nodes)
    return Infrastructure(name, made, tuple(Dependency(*edge) for edge in edges), user_id="me")


def node(name, type=None, min=1, max=None, **variables):
    return NodeDescription(name, type or name, scaling=Scaling(min, max or min), variables=variables)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
