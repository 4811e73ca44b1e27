"""States and addresses of containers."""

from __future__ import annotations

import pytest

from occopus_core.api import Address, AddressKind, InstanceState, Owner
from occopus_resource_docker.labels import fact_labels, own_labels, selectors
from occopus_resource_docker.view import instance, may_be_looping

OWNER = Owner("here", "shop", "web", "n-1")


def listed(state="running", status="Up 2 seconds", network="", networks=None, **facts):
    labels = {**own_labels(OWNER, "t-1", network), **fact_labels(**facts), "somebody.else": "x"}
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
def test_state_of_each_raw_state(raw, state):
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
def test_the_reason_of_a_container_that_does_not_run(state, status, reason):
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
def test_on_the_hosts_network_the_address_is_that_of_the_host(host, kind):
    assert instance(listed(network="host"), host).addresses == (Address(host, kind),)


def test_owner_and_token_are_read_from_the_labels():
    found = instance(listed(), "host")
    assert (found.owner, found.token, found.id) == (OWNER, "t-1", "t-1")
    stranger = instance({"Labels": None, "State": "running"}, "host")
    assert (stranger.owner, stranger.token) == (None, "")


def test_selectors_have_the_known_fields_of_an_owner():
    assert selectors(Owner("here", node_name="web")) == [
        "occopus.token",
        "occopus.installation=here",
        "occopus.node_name=web",
    ]


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("Up 2 hours (healthy)", InstanceState.READY, ""),
        ("Up 1 second (health: starting)", InstanceState.PENDING, "its health check has not passed yet"),
        ("Up 2 hours (unhealthy)", InstanceState.PENDING, "its health check fails"),
    ],
)
def test_a_failed_health_check_of_the_engine_counts(status, state, reason):
    found = instance(listed(status=status), "host")
    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize(
    ("status", "state"),
    [("Up Less than a second", InstanceState.PENDING), ("Up 1 second", InstanceState.READY)],
)
def test_a_container_counts_as_running_after_a_second(status, state):
    found = instance(listed(status=status), "host")
    assert (found.state, found.reason) == (state, "")


@pytest.mark.parametrize(
    ("state", "status", "job", "seen"),
    [
        ("exited", "Exited (0) 1 second ago", True, InstanceState.READY),
        ("exited", "Exited (0) 1 second ago", False, InstanceState.STOPPED),
        ("exited", "Exited (1) 1 second ago", True, InstanceState.STOPPED),
        ("running", "Up 1 second", True, InstanceState.PENDING),
        ("restarting", "Restarting (0) 1 second ago", False, InstanceState.PENDING),
    ],
)
def test_only_a_job_is_ready_after_it_has_exited(state, status, job, seen):
    found = instance(listed(state, status, job=job), "host")
    assert found.state is seen
    assert ("completed" in found.reason) is (seen is InstanceState.STOPPED and "(0)" in status)


@pytest.mark.parametrize(
    ("status", "restarted", "may"),
    [
        ("Up Less than a second", True, True),
        ("Up 1 second", True, True),
        ("Up 9 seconds", True, True),
        ("Up 9 seconds (healthy)", True, True),
        ("Up 10 seconds", True, False),
        ("Up About a minute", True, False),
        ("Up 2 seconds", False, False),
    ],
)
def test_restarts_are_requested_only_for_recently_started_containers(status, restarted, may):
    assert may_be_looping(listed(status=status, restarted=restarted)) is may
