"""Inventories: correct for their readers, and without dangerous text of a provider."""

import json
import re

import pytest

from occopus_core.report.inventory import ansible_inventory, hosts, ssh_config
from occopus_core.store.records import Stage

HARMFUL = [
    "10.0.0.1\nProxyCommand touch /tmp/x",
    "{{ lookup('pipe', 'id') }}",
    "10.0.0.1 evil",
    "fe80::1%eth0\nHost *",
    "-oProxyCommand=x",
    "a..b",
    "999.1.1.1",
    "%h",
    "a" * 64,
    ".".join(["a" * 60] * 5),
]


@pytest.fixture
def shop(snapshot, instance):
    return snapshot(
        instance("db", 1, "db.example.com"),
        instance("web", 2, "2001:db8::2"),
        instance("web", 1, "10.0.0.1", "192.168.0.1"),
        instance("web", 3, stage=Stage.BOOTING),
        instance("web", 4, "10.0.0.4", stage=Stage.DROPPING),
    )


def test_ansible(shop):
    inventory = json.loads(ansible_inventory(shop))
    hostvars = inventory.pop("_meta")["hostvars"]
    assert inventory == {
        "all": {"children": ["ungrouped", "shop"]},
        "shop": {"children": ["web", "db"]},
        "web": {"hosts": ["shop-web-1", "shop-web-2"]},
        "db": {"hosts": ["shop-db-1"]},
    }
    assert list(hostvars) == ["shop-web-1", "shop-web-2", "shop-db-1"]
    assert hostvars["shop-web-1"] == {
        "ansible_host": "10.0.0.1",
        "occopus_node_id": "id-of-web-1",
        "occopus_node_name": "web",
        "occopus_infra_id": "infra-1",
        "occopus_state": "ready",
        "occopus_addresses": ["10.0.0.1", "192.168.0.1"],
    }


def test_groups_have_names_that_ansible_allows_and_that_are_theirs_alone(snapshot, instance):
    nodes = ("a-b", "1", "-1", "all", "-meta", "shop")
    made = snapshot(*(instance(node, 1, "10.0.0.1") for node in nodes), nodes=nodes, edges=())
    groups = json.loads(ansible_inventory(made))
    assert list(groups) == ["_meta", "all", "shop_", "a_b", "_1", "_1_", "all_", "_meta_", "shop"]
    assert groups["shop_"] == {"children": ["a_b", "_1", "_1_", "all_", "_meta_", "shop"]}
    assert groups["all_"] == {"hosts": ["shop-all-1"]}
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in groups)


def test_ssh(shop):
    assert ssh_config(shop) == (
        "# infrastructure shop, id infra-1\n"
        "\n"
        "# web-1: ready\n"
        "Host shop-web-1 id-of-web-1\n"
        "    HostName 10.0.0.1\n"
        "\n"
        "# web-2: ready\n"
        "Host shop-web-2 id-of-web-2\n"
        "    HostName 2001:db8::2\n"
        "\n"
        "# web-3 (id-of-web-3): it has no address yet\n"
        "\n"
        "# db-1: ready\n"
        "Host shop-db-1 id-of-db-1\n"
        "    HostName db.example.com"
    )


def test_no_alias_of_ssh_looks_like_an_option(snapshot, instance):
    assert "Host id-of-web-1\n" in ssh_config(snapshot(instance("web", 1, "10.0.0.1"), name="-x"))


def test_hosts(shop):
    assert hosts(shop).split("\n") == [
        "# infrastructure shop, id infra-1",
        "10.0.0.1 web-1.shop web-1",
        "2001:db8::2 web-2.shop web-2",
        "# web-3: it has no address yet",
        "# db-1: its address is not an IP address",
    ]


@pytest.mark.parametrize(
    ("infra", "node", "line"),
    [
        ("-x", "web", "10.0.0.1 web-1"),
        ("123", "web", "10.0.0.1 web-1"),
        ("shop", "-web", "10.0.0.1 id-of--web-1"),
        ("shop", "w" * 62, f"10.0.0.1 id-of-{'w' * 62}-1"),
        ("x" * 63, "1", f"10.0.0.1 1-1.{'x' * 63} 1-1"),
    ],
)
def test_hosts_get_names_that_are_host_names(snapshot, instance, infra, node, line):
    made = snapshot(instance(node, 1, "10.0.0.1"), name=infra, nodes=(node,), edges=())
    assert hosts(made).split("\n")[1:] == [line]


def test_two_instances_never_share_a_name(snapshot, instance):
    rows = [
        instance("web", 1, "10.0.0.1"),
        instance("web", 1, "10.0.0.2", node_id="id-z"),
        instance("WEB", 1, "10.0.0.3"),
    ]
    made = snapshot(*rows, nodes=("web", "WEB"), edges=())
    assert hosts(made).split("\n")[1:] == [
        "10.0.0.1 web-1.shop web-1",
        "10.0.0.2 id-z.shop id-z",
        "10.0.0.3 id-of-WEB-1.shop id-of-WEB-1",
    ]
    assert len(json.loads(ansible_inventory(made))["_meta"]["hostvars"]) == 3


@pytest.mark.parametrize("address", HARMFUL)
def test_what_is_no_address_is_never_written(snapshot, instance, address):
    made = snapshot(instance("web", 1, address, "10.0.0.9"), instance("db", 1, "10.0.0.1", address))
    assert "# web-1: its address is neither" in hosts(made)
    assert "# web-1 (id-of-web-1): its address is neither" in ssh_config(made)
    hostvars = json.loads(ansible_inventory(made))["_meta"]["hostvars"]
    assert {name: found["occopus_addresses"] for name, found in hostvars.items()} == {"shop-db-1": ["10.0.0.1"]}
    for text in (hosts(made), ssh_config(made), ansible_inventory(made)):
        assert address not in text
