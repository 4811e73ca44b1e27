"""States and addresses of instances."""

from __future__ import annotations

import pytest

from occopus_core.api import Address, AddressKind, InstanceState
from occopus_resource_cloudbroker.view import instance

ADDRESSES = {
    "internal-hostname": "a.internal",
    "internal-ip-address": "10.0.0.5",
    "external-hostname": "a.example.org",
    "external-ip-address": "203.0.113.9",
}


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        ("starting", InstanceState.PENDING),
        ("initializing", InstanceState.PENDING),
        ("preparing", InstanceState.PENDING),
        ("running", InstanceState.READY),
        ("stopping", InstanceState.DELETING),
        ("halted", InstanceState.ABSENT),
        ("levitating", InstanceState.UNKNOWN),
        ("", InstanceState.UNKNOWN),
    ],
)
def test_state_of_each_status(raw, state):
    found = instance({"id": "i-1", "status": raw, **ADDRESSES})
    assert (found.id, found.state, found.raw_state) == ("i-1", state, raw)
    assert not found.may_be_hidden


def test_external_addresses_come_first_and_numbers_before_names():
    found = instance({"id": "i-1", "status": "running", **ADDRESSES}).addresses
    assert found == (
        Address("203.0.113.9", AddressKind.PUBLIC),
        Address("a.example.org", AddressKind.PUBLIC),
        Address("10.0.0.5", AddressKind.PRIVATE),
        Address("a.internal", AddressKind.PRIVATE),
    )
    inside = {**ADDRESSES, "external-ip-address": "", "external-hostname": ""}
    assert [each.value for each in instance({"id": "i-1", **inside}).addresses] == ["10.0.0.5", "a.internal"]


def test_it_is_not_ready_before_it_has_an_address():
    found = instance({"id": "i-1", "status": "running", "external-ip-address": ""})
    assert (found.state, found.addresses) == (InstanceState.PENDING, ())
    assert "address" in found.reason


@pytest.mark.parametrize("fields", [{}, {"id": ""}, {"id": "", "status": "running"}])
def test_an_instance_without_an_id_is_refused(fields):
    with pytest.raises(LookupError):
        instance(fields)
