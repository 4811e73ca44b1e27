"""A cloud without room gives way to another, which the events tell; it is left alone for a while."""

from __future__ import annotations

import contextlib

import pytest
from desk import gone

from occopus_core.testing.simcloud.process import SimulatedCloud

MANY = 12  # which implementation is tried first is chance: one in four thousand runs would not try OpenStack at all


def moved(desk, infra_id):
    events = desk.ready("maintain", "-i", infra_id, "--events").stdout.splitlines()
    return [line for line in events if "node moved" in line]


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
def test_another_cloud_takes_over(desk, accounts, proxy, user, wanted, why):
    account = accounts[user]
    desk.credentials({"type": "nova", "auth_data": account.auth})
    with contextlib.ExitStack() as stack:
        if user == "narrow":
            stack.enter_context(account.server())
        other = stack.enter_context(SimulatedCloud())
        desk.define(
            account.resource(name="full", **wanted), {"type": "sim", "name": "other", "endpoint": other.endpoint}
        )
        asked = asked_for_servers(proxy)
        ended = desk.ready("build", *desk.describe(min=MANY))
        assert len(other.inventory()) == MANY
        (line,) = moved(desk, "trial")
        assert why in line
        assert line.endswith(": trying other")
        assert line.split("node moved")[1] in ended.stderr
        assert asked_for_servers(proxy) - asked <= 1, "what has no room is left alone"
        assert "node failed" not in ended.stderr
        desk.ready("destroy", "-i", "trial")
        assert other.inventory() == []
    assert gone(account) == {}


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
    assert gone(narrow) == {}


def test_no_room_anywhere_is_one_clear_line(desk, account):
    desk.define(account.resource(flavor_name="m1.huge"))
    ended = desk.run("build", *desk.describe())
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    where = account.endpoint
    assert line.startswith(f"error: node 'web' (nova {where}): OpenStack at {where}: No valid host was found.")
