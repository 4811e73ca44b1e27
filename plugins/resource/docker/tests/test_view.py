"""States and addresses, as data."""

from __future__ import annotations

import pytest

from occopus_core.api import Address, AddressKind, InstanceState, Owner
from occopus_resource_docker.labels import own_labels, selectors
from occopus_resource_docker.view import instance

OWNER = Owner("here", "shop", "web", "n-1")


def listed(state="running", status="Up 2 seconds", network="", networks=None):
    labels = {**own_labels(OWNER, "t-1", network), "somebody.else": "x"}
    return {"State": state, "Status": status, "Labels": labels, "NetworkSettings": {"Networks": networks}}


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        ("created", InstanceState.PROVISIONING),
        ("configured", InstanceState.PROVISIONING),
        ("initialized", InstanceState.PENDING),
        ("restarting", InstanceState.PENDING),
        ("running", InstanceState.READY),
        ("paused", InstanceState.STOPPED),
        ("stopping", InstanceState.STOPPED),
        ("stopped", InstanceState.STOPPED),
        ("exited", InstanceState.STOPPED),
        ("removing", InstanceState.DELETING),
        ("dead", InstanceState.FAILED),
        ("levitating", InstanceState.UNKNOWN),
    ],
)
def test_every_state_has_its_word(raw, state):
    found = instance(listed(raw), "host")
    assert (found.state, found.raw_state) == (state, raw)


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("exited", "Exited (137) 5 minutes ago", "it exited with code 137"),
        ("restarting", "Restarting (1) Less than a second ago", "it exited with code 1, and is restarted"),
        ("running", "Up 2 hours", ""),
        ("paused", "Up 2 hours (Paused)", "it is paused"),
        ("removing", "Removal In Progress", ""),
    ],
)
def test_the_reason_of_what_does_not_run(state, status, reason):
    assert instance(listed(state, status), "host").reason == reason


@pytest.mark.parametrize(
    ("networks", "addresses"),
    [
        (None, []),
        ({"none": {"IPAddress": ""}}, []),
        ({"a": {"IPAddress": "172.17.0.2"}}, ["172.17.0.2"]),
        ({"a": {"GlobalIPv6Address": "fd00::2"}, "b": {"IPAddress": "10.0.0.2"}}, ["10.0.0.2", "fd00::2"]),
    ],
)
def test_addresses_are_those_of_the_networks(networks, addresses):
    assert [address.value for address in instance(listed(networks=networks), "host").addresses] == addresses


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("127.0.0.1", AddressKind.PRIVATE),
        ("8.8.8.8", AddressKind.PUBLIC),
        ("docker.example.org", AddressKind.PUBLIC),
    ],
)
def test_on_the_hosts_network_it_is_the_address_of_the_host(host, kind):
    assert instance(listed(network="host"), host).addresses == (Address(host, kind),)


def test_owner_and_token_are_read_from_the_labels():
    found = instance(listed(), "host")
    assert (found.owner, found.token, found.id) == (OWNER, "t-1", "t-1")
    stranger = instance({"Labels": None, "State": "running"}, "host")
    assert (stranger.owner, stranger.token) == (None, "")


def test_an_owner_is_asked_for_by_what_is_known_of_it():
    assert selectors(Owner("here", node_name="web")) == [
        "occopus.token",
        "occopus.installation=here",
        "occopus.node_name=web",
    ]
