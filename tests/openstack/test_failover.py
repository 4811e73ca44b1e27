"""If a cloud has no capacity, another one is used, as events report; the full one is skipped for a while."""

from __future__ import annotations

import contextlib

import pytest

from occopus_core.testing.simcloud.process import SimulatedCloud

MANY = 12  # which implementation is tried first is chance: one in four thousand runs would not try OpenStack at all


@pytest.fixture
def other():
    with SimulatedCloud() as cloud:
        yield cloud


def moved(lines):
    """What was said of nodes that were passed on, without when."""
    return [line.partition("node moved ")[2] for line in lines if "node moved " in line]


def asked_for_servers(proxy):
    return sum(request.creates_server for request in proxy.requests)


@pytest.mark.parametrize(
    ("user", "wanted", "why"),
    [
        ("narrow", {}, "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances"),
        ("demo", {"flavor_name": "m1.huge"}, "No valid host was found"),
        ("demo", {"volume_size": 600}, "Could not find any available weighted backend"),
    ],
)
def test_another_cloud_takes_over(other, desk, accounts, proxy, user, wanted, why):
    """The first node finds it full; for each node the reason of its place is reported."""
    account = accounts[user]
    desk.credentials({"type": "nova", "auth_data": account.auth})
    desk.define(account.resource(name="full", **wanted), {"type": "sim", "name": "other", "endpoint": other.endpoint})
    with account.server() if user == "narrow" else contextlib.nullcontext():
        asked = asked_for_servers(proxy)
        ended = desk.ready("build", *desk.describe(min=MANY))
        assert asked_for_servers(proxy) - asked <= 1, "what has no room is left alone"
    assert len(other.inventory()) == MANY
    reported = moved(ended.stderr.splitlines())
    found_full = [line for line in reported if "full is passed over" not in line]
    assert len(found_full) == 1
    assert all(why in line and line.endswith(": trying other") for line in reported)
    assert moved(desk.ready("maintain", "-i", "trial", "--events").stdout.splitlines()) == reported
    assert "node failed" not in ended.stderr
    desk.ready("destroy", "-i", "trial")
    assert other.inventory() == []


def test_another_project_takes_over(desk, accounts):
    """Two projects of one cloud are two connections: the first has room for one server."""
    narrow, account = accounts["narrow"], accounts["demo"]
    both = ({"type": "nova", "project_id": each.project_id, "auth_data": each.auth} for each in (narrow, account))
    desk.credentials(*both)
    desk.define(narrow.resource(), account.resource())
    desk.ready("build", "--parallelize", *desk.describe(min=3))
    assert len(narrow.servers()) <= 1
    assert len(narrow.servers()) + len(account.servers()) == 3
    desk.ready("destroy", "-i", "trial")


def test_no_room_anywhere_is_one_clear_line(desk, account):
    desk.define(account.resource(flavor_name="m1.huge"))
    ended = desk.run("build", *desk.describe())
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    where = account.endpoint
    assert line.startswith(f"error: node 'web' (nova {where}): OpenStack at {where}: No valid host was found.")
