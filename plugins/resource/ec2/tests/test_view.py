"""States and addresses of instances."""

from __future__ import annotations

import pytest

from occopus_core.api import Address, AddressKind, InstanceState, Owner
from occopus_resource_ec2.view import instance

PUBLIC = Address("203.0.113.1", AddressKind.PUBLIC)
PRIVATE = Address("10.0.0.1", AddressKind.PRIVATE)
IPV6 = Address("2001:db8::1", AddressKind.PUBLIC)


def answer(state="running", **more):
    return {"InstanceId": "i-1", "State": {"Name": state}, **more}


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        ("pending", InstanceState.PENDING),
        ("running", InstanceState.READY),
        ("stopping", InstanceState.STOPPED),
        ("stopped", InstanceState.STOPPED),
        ("shutting-down", InstanceState.DELETING),
        ("terminated", InstanceState.ABSENT),
        ("levitating", InstanceState.UNKNOWN),
    ],
)
def test_state_of_each_raw_state(raw, state):
    found = instance(answer(raw))
    assert (found.state, found.raw_state) == (state, raw)


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ({"PublicIpAddress": PUBLIC.value, "PrivateIpAddress": PRIVATE.value}, (PUBLIC, PRIVATE)),
        ({"PrivateIpAddress": PRIVATE.value, "Ipv6Address": IPV6.value}, (PRIVATE, IPV6)),
        ({"PublicIpAddress": "", "Ipv6Address": IPV6.value}, (IPV6,)),
        ({}, ()),
    ],
)
def test_the_public_address_comes_first(given, addresses):
    assert instance(answer(**given)).addresses == addresses


def test_a_state_other_than_ready_has_ec2s_reason():
    shut = {"StateReason": {"Code": "Server.SpotInstanceTermination", "Message": "taken back"}}
    assert instance(answer("terminated", **shut)).reason == "taken back"
    assert instance(answer("running", **shut)).reason == ""
    assert instance(answer("pending", StateReason={"Code": "pending", "Message": "pending"})).reason == ""


@pytest.mark.parametrize("code", ["Server.InsufficientInstanceCapacity", "Client.VolumeLimitExceeded"])
def test_an_instance_terminated_before_it_ran_stays_provisioning_for_create(code):
    reason = {"StateReason": {"Code": code, "Message": f"{code}: no room"}}
    found = instance(answer("terminated", **reason))
    assert (found.state, found.reason) == (InstanceState.PROVISIONING, f"{code}: no room")
    assert instance(answer("stopped", **reason)).state is InstanceState.STOPPED


def test_owner_and_token_are_read_from_the_tags():
    tags = {"installation": "here", "infra_id": "shop", "node_name": "web", "node_id": "n-1", "token": "t-1"}
    listed = [{"Key": f"occopus:{key}", "Value": value} for key, value in tags.items()]
    found = instance(answer(Tags=[{"Key": "token", "Value": "another"}, *listed]))
    assert (found.owner, found.token) == (Owner("here", "shop", "web", "n-1"), "t-1")
    stranger = instance(answer(Tags=[{"Key": "Name", "Value": "somebody's"}]))
    assert (stranger.owner, stranger.token) == (None, "")
