"""Translates servers and drives from the terms of CloudSigma to those of the contract."""

from __future__ import annotations

import pytest

from occopus_core.api import Address, AddressKind, InstanceState
from occopus_resource_cloudsigma.view import Parts, addresses, instance


def reference(value):
    return {"uuid": value, "resource_uri": f"/api/2.0/x/{value}/"}


def runtime(v4=None, v6=None, kind="public"):
    return {"interface_type": kind, "io": {}, "ip_v4": v4 and reference(v4), "ip_v6": v6 and reference(v6)}


def server(status="running", *nics, **fields):
    marks = {"occopus-token": "t", "occopus-installation": "here", "occopus-infra_id": "i"}
    return {"uuid": "s", "name": "t", "status": status, "meta": marks, "nics": list(nics), "drives": [], **fields}


def nic(found=None, conf="dhcp"):
    return {"ip_v4_conf": {"conf": conf, "ip": None}, "ip_v6_conf": None, "runtime": found, "vlan": None}


def drive(status="unmounted", **fields):
    return {"uuid": "d", "name": "t", "status": status, "meta": {"occopus-token": "t"}, "mounted_on": [], **fields}


STATES = {
    "running": InstanceState.READY,
    "started": InstanceState.READY,
    "running_legacy": InstanceState.READY,
    "stopping": InstanceState.READY,
    "starting": InstanceState.PENDING,
    "unavailable": InstanceState.PENDING,
    "stopped": InstanceState.STOPPED,
    "paused": InstanceState.STOPPED,
    "hibernated": InstanceState.UNKNOWN,
}


@pytest.mark.parametrize(("status", "expected"), STATES.items(), ids=STATES)
def test_states_of_a_server(status, expected):
    described = instance("t", Parts([server(status, nic(runtime("94.26.101.149")))]))
    assert (described.id, described.state, described.raw_state, described.token) == ("t", expected, status, "t")
    assert described.owner.infra_id == "i"


DRIVES = {
    "cloning_dst": (drive("cloning_dst"), InstanceState.PROVISIONING, "its drive is being cloned"),
    "creating": (drive("creating"), InstanceState.PROVISIONING, "its drive is being cloned"),
    "copying": (drive("copying"), InstanceState.PROVISIONING, "its drive is being cloned"),
    "resizing": (drive("resizing"), InstanceState.PROVISIONING, "its drive is being resized"),
    "ready": (drive(), InstanceState.PROVISIONING, "its drive is ready, its server is not made yet"),
    "left": (drive(meta={"occopus-used": "yes"}), InstanceState.FAILED, "its server is gone, its drive is left"),
    "unavailable": (drive("unavailable"), InstanceState.FAILED, "CloudSigma says that its drive is unavailable"),
    "in use": (drive("mounted", mounted_on=[reference("s")]), InstanceState.PENDING, "attached to a server"),
    "unknown": (drive("melting"), InstanceState.UNKNOWN, "its drive is melting"),
}


@pytest.mark.parametrize(("given", "expected", "reason"), DRIVES.values(), ids=DRIVES)
def test_states_of_an_instance_with_only_a_drive(given, expected, reason):
    described = instance("t", Parts(drives=[given]))
    assert described.state is expected
    assert reason in described.reason


def test_an_instance_without_parts_is_absent():
    assert instance("t", Parts()).state is InstanceState.ABSENT


def test_public_addresses_come_before_private_ones_and_ipv4_before_ipv6():
    found = addresses(
        server(
            "running",
            nic(runtime("10.0.0.5", kind="private")),
            nic(runtime("94.26.101.149", "2001:db8::1")),
            runtime={"nics": [{**runtime("94.26.101.149"), "mac": "22:b8"}, runtime("185.12.5.181")]},
        )
    )
    assert found == (
        Address("94.26.101.149"),
        Address("185.12.5.181"),
        Address("2001:db8::1"),
        Address("10.0.0.5", AddressKind.PRIVATE),
    )


def test_a_running_server_waits_for_its_address():
    described = instance("t", Parts([server("running", nic())]))
    assert described.state is InstanceState.PENDING
    assert described.reason == "the server runs and has no address yet"


def test_a_server_without_address_from_cloudsigma_does_not_wait_for_one():
    for nics in ([], [nic(conf="manual")], [{"ip_v4_conf": None, "vlan": "v", "runtime": None}]):
        assert instance("t", Parts([server("running", *nics)])).state is InstanceState.READY


def test_an_invalid_address_is_ignored():
    assert addresses(server("running", nic(runtime("not-an-address")))) == ()


def test_of_two_servers_the_last_requested_one_counts_with_its_drive():
    marks = {"occopus-token": "t", "occopus-asked": "1"}
    older = server("running", uuid="a", meta=marks, drives=[{"drive": reference("d1")}])
    newer = server("stopped", uuid="b", meta={**marks, "occopus-asked": "2"}, drives=[{"drive": reference("d1")}])
    drives = [drive(uuid="d1"), drive(uuid="d2", meta={**marks, "occopus-asked": "3"})]
    parts = Parts([older, newer], drives)
    assert parts.server["uuid"] == "b"
    assert parts.drive["uuid"] == "d1"
    assert Parts(drives=drives).drive["uuid"] == "d2"
