"""Mistakes and outages: one clear line each, that says where, which key, and what; nothing is created or left."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from desk import until
from faults import Fault, Proxy, html
from stack import free_ports

SEEN_AT_ONCE = {
    "image": ({"image_id": "nothing"}, "resource.image_id: 'nothing': there is none"),
    "network": ({"network_id": "nothing"}, "resource.network_id: 'nothing': there is none"),
    "flavor": ({"flavor_name": "nothing"}, "resource.flavor_name: 'nothing': there is none"),
    "key": ({"key_name": "nothing"}, "Invalid key_name provided. (resource.key_name) (request req-"),
    "key-volume": ({"key_name": "nothing", "volume_size": 1}, "resource.key_name: Keypair nothing not found for user"),
    "group": (
        {"security_groups": ["nothing"]},
        "Unable to find security_group with name or id 'nothing' (resource.security_groups) (request req-",
    ),
    "group-volume": (
        {"security_groups": ["nothing"], "volume_size": 1},
        "resource.security_groups: 'nothing': there is none",
    ),
    "pool": (
        {"floating_ip_pool": "nothing", "volume_size": 1},
        "resource.floating_ip_pool: 'nothing': there is none",
    ),
    "region": ({"region_name": "nowhere"}, "service in region 'nowhere': see resource.region_name"),
    "project": ({"project_id": "0" * 32}, "requires authentication. (see auth_data, and with a username also"),
    "password": ({"name": "wrong"}, "requires authentication. (see auth_data, and with a username also"),
    "expired": ({"name": "expired"}, "(see auth_data, and with a username also"),
}
IN_VAIN = {
    "page": ({"server_name": "page"}, "not created within 1 s: OpenStack at {url}: the answer is not one of OpenStack"),
    "broken": ({"server_name": "broken"}, "not created within 1 s: OpenStack at {url}: Unexpected API Error. (request"),
    "hanging": ({"server_name": "hanging"}, "not created within 1 s: OpenStack at {url}: no answer within 30 s"),
}
FAULTS = {"page": html(200), "broken": Fault.SERVER_ERROR, "hanging": Fault.HANG}


def trouble(request):
    return FAULTS.get(json.loads(request.body)["server"]["name"]) if request.creates_server else None


@pytest.fixture
def expired(account):
    """An application credential that was good a moment ago."""
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    auth = account.application_credential("expired", expires_at=soon.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    until(lambda: account.is_refused(auth))
    return auth


def test_one_line_each(desk, account, proxy, expired):
    """Side by side, as most of the time is waiting: for a time limit, or for what a refused call may have made."""
    wrong = {**account.auth, "password": "not-the-password"}
    named = {"right": account.auth, "wrong": wrong, "expired": expired}
    desk.credentials(*({"type": "nova", "name": name, "auth_data": auth} for name, auth in named.items()))
    proxy.rule = trouble
    builds, other = {}, {}
    for name, (resource, _) in (SEEN_AT_ONCE | IN_VAIN).items():
        desk.define(account.resource(**{"name": "right", **resource}), node=name, timeout=1 if name in IN_VAIN else 120)
        builds[name] = desk.start("build", *desk.describe(name, node=name))
    for name, (resource, words) in (SEEN_AT_ONCE | IN_VAIN).items():
        ended = desk.end(builds[name])
        assert ended.returncode == 1, (name, ended.stderr)
        (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        beginning = f"error: node 'web' ({resource.get('name', 'right')}): "
        if not line.startswith(beginning) or words.format(url=account.endpoint) not in line:
            other[name] = line
        assert ended.stderr.splitlines()[-1] == "the build failed and was undone"
    assert other == {}
    assert not [each for each in proxy.requests if each.service == "cinder" and each.method == "POST"]


def test_an_endpoint_that_is_another_server(desk, account):
    port = free_ports()[0]
    website = Proxy({}, {"website": port})
    website.rule = lambda _request: html(200)
    website.start()
    endpoint = f"http://127.0.0.1:{port}"
    desk.define(account.resource(endpoint=endpoint))
    ended = desk.run("build", *desk.describe())
    website.stop()
    assert ended.returncode != 0
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert line == (
        f"error: node 'web' (nova {endpoint}): OpenStack at {endpoint}: the answer is not one of OpenStack: "
        "is resource.endpoint an Identity URL?"
    )


def test_an_endpoint_that_refuses_and_comes_back(desk, account, proxy):
    desk.define(account.resource(), timeout=1)
    proxy.stop()
    with desk.start("build", *desk.describe()) as build:
        said = []
        while not said or "not created within" not in said[-1]:
            said.append(build.stderr.readline())
            assert said[-1], said
        proxy.start()
        ended = desk.end(build)
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    where = account.endpoint
    assert (
        line == f"error: node 'web' (nova {where}): not created within 1 s: OpenStack at {where}: it cannot be reached"
    )


def test_a_service_that_is_away_for_a_moment_is_waited_for(desk, account, proxy):
    """Also where it is the first call of a new process that it does not answer."""
    desk.define(account.resource(floating_ip="yes", volume_size=1))
    failed = set()

    def fail_once(request):
        if request.service in failed:
            return None
        failed.add(request.service)
        return Fault.SERVER_ERROR

    proxy.rule = fail_once
    desk.ready("build", *desk.describe())
    assert failed == {"keystone", "glance", "nova", "cinder", "neutron"}
    desk.ready("destroy", "-i", "trial")
