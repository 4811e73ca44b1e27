from __future__ import annotations

import pytest

from occopus_core.api.resource import Address, AddressKind, InstanceId
from occopus_core.descriptions.model import Dependency, Infrastructure, NodeDescription, Scaling
from occopus_core.report import Snapshot
from occopus_core.store.records import InfrastructureRecord, InstanceRecord, Stage


def instance(node="web", position=1, *addresses, stage=Stage.READY, node_id=None, since=1_700_000_060.0, **fields):
    return InstanceRecord(
        node_id=node_id or f"id-of-{node}-{position}",
        infra_id="infra-1",
        node_name=node,
        position=position,
        token=f"occopus-{node}-{position}",
        implementation="implementation",
        connection="{}",
        fingerprint="fingerprint",
        stage=stage,
        since=since,
        created_at=1_700_000_000.0,
        instance_id=InstanceId(f"i-{position}"),
        addresses=tuple(Address(value, AddressKind.PUBLIC) for value in addresses),
        **fields,
    )


def infrastructure(name="shop", nodes=("web", "db"), edges=(("web", "db"),), targets=None):
    described = tuple(NodeDescription(node, node, scaling=Scaling(1, 3)) for node in nodes)
    dependencies = tuple(Dependency(*edge) for edge in edges)
    return InfrastructureRecord(
        id="infra-1",
        description=Infrastructure(name, described, dependencies),
        candidate=None,
        wanted=True,
        created_at=1_700_000_000.0,
        targets=targets or dict.fromkeys(nodes, 1),
    )


@pytest.fixture
def snapshot():
    """Makes a snapshot of `infrastructure(**described)` with these instances."""

    def make(*instances, **described):
        return Snapshot.of(infrastructure(**described), instances)

    return make


@pytest.fixture(name="instance")
def instance_fixture():
    return instance
