"""Translates the parts of an instance from the terms of OpenStack to those of the core."""

from __future__ import annotations

import pytest

from occopus_core.api import Address, AddressKind, InstanceState, Owner
from occopus_resource_nova import marks
from occopus_resource_nova.view import Parts, addresses, instance

OWNER = Owner("us", "i-1", "web", "n-1")
TOKEN = "occopus-1"


def server(status="ACTIVE", **more):
    return {"id": "s-1", "status": status, "metadata": marks.metadata(OWNER, TOKEN), **more}


def volume(status):
    return {"id": "v-1", "status": status, "metadata": marks.metadata(OWNER, TOKEN)}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ACTIVE", "READY"),
        ("BUILD", "PENDING"),
        ("REBOOT", "PENDING"),
        ("SHUTOFF", "STOPPED"),
        ("PAUSED", "STOPPED"),
        ("SUSPENDED", "STOPPED"),
        ("ERROR", "FAILED"),
        ("DELETED", "ABSENT"),
        ("SOFT_DELETED", "ABSENT"),
        ("LEVITATING", "UNKNOWN"),
    ],
)
def test_states(status, state):
    seen = instance(TOKEN, Parts([server(status)]))
    assert (seen.id, seen.state, seen.raw_state) == (TOKEN, InstanceState[state], status)
    assert (seen.token, seen.owner) == (TOKEN, OWNER)


@pytest.mark.parametrize(
    ("message", "launched", "state"),
    [
        ("No valid host was found. ", None, InstanceState.PROVISIONING),
        ("Exceeded maximum number of retries. Exhausted all hosts available", None, InstanceState.PROVISIONING),
        ("No valid host was found. ", "2026-11-24T00:00:00", InstanceState.FAILED),
        ("Build of instance aborted", None, InstanceState.FAILED),
    ],
)
def test_a_server_without_host_is_left_to_create(message, launched, state):
    failed = server("ERROR", fault={"message": message}, **{"OS-SRV-USG:launched_at": launched})
    seen = instance(TOKEN, Parts([failed]))
    assert (seen.state, seen.reason) == (state, message.strip())


def test_a_server_being_deleted():
    going = server(**{"OS-EXT-STS:task_state": "deleting"})
    assert instance(TOKEN, Parts([going])).state is InstanceState.DELETING


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("creating", "PROVISIONING"),
        ("downloading", "PROVISIONING"),
        ("available", "PROVISIONING"),
        ("deleting", "DELETING"),
        ("error", "FAILED"),
    ],
)
def test_a_volume_alone_is_an_unfinished_instance(status, state):
    seen = instance(TOKEN, Parts(volumes=[volume(status)]))
    assert (seen.state, seen.owner) == (InstanceState[state], OWNER)


def test_a_volume_of_another_server_is_failed():
    seen = instance(TOKEN, Parts(volumes=[{**volume("in-use"), "attachments": [{"server_id": "s-9"}]}]))
    assert (seen.state, seen.raw_state) == (InstanceState.FAILED, "in-use")
    assert seen.reason == "its server is gone, its volume v-1 is in use by s-9"
    assert "in use by an unknown user" in instance(TOKEN, Parts(volumes=[volume("in-use")])).reason


def test_a_floating_ip_alone_is_a_leftover():
    left = {"id": "f-1", "description": marks.description(OWNER, TOKEN)}
    seen = instance(TOKEN, Parts(floating_ips=[left]))
    assert (seen.state, seen.owner) == (InstanceState.FAILED, OWNER)


def test_no_parts_are_absent():
    assert instance(TOKEN, Parts()).state is InstanceState.ABSENT


def test_of_two_servers_the_newer_request_counts():
    older, newer = server(), {**server("BUILD"), "id": "s-0"}
    assert Parts([newer, older]).server is newer


def test_floating_addresses_come_first():
    def at(address, kind, version=4):
        return {"addr": address, "OS-EXT-IPS:type": kind, "version": version}

    here = [at("fd00::1", "fixed", 6), at("10.0.0.5", "fixed"), at("203.0.113.9", "floating"), at("8.8.8.8", "fixed")]
    assert addresses(server(addresses={"net": here})) == (
        Address("203.0.113.9", AddressKind.PUBLIC),
        Address("10.0.0.5", AddressKind.PRIVATE),
        Address("8.8.8.8", AddressKind.PUBLIC),
        Address("fd00::1", AddressKind.PRIVATE),
    )


def test_written_marks_can_be_read():
    assert marks.written(marks.metadata(OWNER, TOKEN)) == (OWNER, TOKEN)
    assert marks.described(marks.description(OWNER, TOKEN)) == (OWNER, TOKEN)
    assert marks.without_marks({**marks.metadata(OWNER, TOKEN), "mine": "x"}) == {"mine": "x"}


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "my web server", "occopus is mine", "occopus 1", "occopus null", "occopus true", 'occopus "abcde"'),
        *('occopus ["too", "few"]', 'occopus ["a", "b", "c", "d", ["e"]]', 'occopus ["a", 1, "c", "d", "e"]'),
        pytest.param(f"occopus {'[' * 100_000}", id="deep"),
    ],
)
def test_descriptions_of_users_are_ignored(text):
    assert marks.described(text) == (None, "")


def test_tags_are_valid_in_nova():
    for tag in marks.tags(OWNER, "t" * 63):
        assert len(tag) <= 60
        assert not {",", "/"} & set(tag)
