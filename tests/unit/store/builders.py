"""Values for the tests of the store."""

from __future__ import annotations

from occopus_core.api.resource import Address, AddressKind, InstanceId
from occopus_core.descriptions.model import (
    AttributeMapping,
    Dependency,
    HealthCheck,
    Implementation,
    Infrastructure,
    NodeDefinition,
    NodeDescription,
    Scaling,
)
from occopus_core.store.records import InstanceRecord, Stage

SECRET = "s3cr3t-Pa55"


def implementation(name="one", **resource):
    return Implementation(
        {"type": "memory", "name": name, "password": SECRET, **resource},
        contextualisation={"type": "cloudinit", "context_template": "écrit\n{{ name }}\t\"'\\ \0"},
        config_management={"type": "chef", "run_list": ["a", None, True, 1.5]},
        health_check=HealthCheck({"ping": False, "ports": [80]}, 12.5),
    )


def definition(name, *implementations):
    return NodeDefinition(name, implementations or (implementation(),))


def infrastructure(name="web-shop"):
    nodes = (
        NodeDescription("db", "database", {"regionname": "x"}, Scaling(1, 1), {"deep": {"list": [1, "ü", None]}}),
        NodeDescription("web", "server", scaling=Scaling(2, 5)),
    )
    edges = (Dependency("web", "db", (AttributeMapping("ip", "database_ip", synch=True),)),)
    return Infrastructure(name, nodes, edges, user_id="me", variables={"colour": "grün"})


def record(node_id="n-1", infra_id="i", **changes):
    values = {
        "node_id": node_id,
        "infra_id": infra_id,
        "node_name": "web",
        "position": 0,
        "token": f"t-{node_id}",
        "implementation": implementation().digest,
        "connection": '{"endpoint": "memory"}',
        "fingerprint": "f" * 64,
        "stage": Stage.BOOTING,
        "since": 1234567890.123456,
        "created_at": 1234567880.654321,
        "instance_id": InstanceId("vm-1"),
        "addresses": (Address("192.0.2.1"), Address("10.0.0.1", AddressKind.PRIVATE)),
        "reason": "port 80 refused",
    }
    return InstanceRecord(**{**values, **changes})


def add_instances(store, lease, *records, implementations=()):
    with store.changing(lease) as change:
        change.add_implementations([implementation(), *implementations])
        change.add_instances(list(records))
