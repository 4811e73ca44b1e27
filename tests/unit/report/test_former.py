"""Reports in the format of Occopus 1.x."""

from occopus_core.report.forms_1x import addresses, built
from occopus_core.store.records import Stage


def test_each_instance_is_a_line_with_its_addresses(snapshot, instance):
    taken = snapshot(
        instance("web", 1, "192.0.2.1", "10.0.0.1"), instance("web", 2, "192.0.2.2"), instance("db", 1, "10.0.0.9")
    )
    assert addresses(taken) == "192.0.2.1 10.0.0.1\n192.0.2.2\n10.0.0.9"


def test_an_instance_without_an_address_is_left_out(snapshot, instance):
    assert addresses(snapshot(instance("web", 1, stage=Stage.CREATING))) == ""


def test_what_follows_a_build(snapshot, instance):
    taken = snapshot(instance("web", 1, "192.0.2.1"), instance("db", 1, "10.0.0.9", "192.0.2.9"))
    assert built(taken).splitlines() == [
        "List of nodes/ip addresses:",
        "web:",
        "    192.0.2.1 (id-of-web-1)",
        "db:",
        "    10.0.0.9 192.0.2.9 (id-of-db-1)",
        "infra-1",
    ]
