"""Every kind of credentials."""

from __future__ import annotations

import json

from desk import until
from faults import Fault


def test_each_builds_and_destroys(desk, account):
    credential = account.application_credential("ours")
    domain = {"user_domain_name": "Default", "project_domain_name": "Default"}
    file = {"auth": {"auth_url": f"{account.endpoint}/v3/", **account.auth, "project_name": account.user, **domain}}
    desk.write(".config/openstack/clouds.yaml", json.dumps({"clouds": {"mine": file}}))
    named = {"by-password": account.auth, "by-credential": credential, "by-tenant": account.auth}
    desk.credentials(*({"type": "nova", "name": name, "auth_data": auth} for name, auth in named.items()))
    ways = {
        "by-password": {"project_id": account.project_id, "user_domain_name": "Default", "region_name": "RegionOne"},
        "by-credential": {"endpoint": f"{account.endpoint}/v3"},
        "by-file": {},
        "by-tenant": {"endpoint": f"{account.endpoint}/v3/", "tenant_name": account.user},
    }
    builds = {}
    for name, wanted in ways.items():
        resource = account.resource(**wanted, name=name)
        if "project_id" not in wanted:
            del resource["project_id"]
        imported = desk.define(resource, node=name)
        assert ("give project_id in its place" in imported.stderr) == (name == "by-tenant")
        builds[name] = desk.start("build", *desk.describe(name, node=name))
    for name, build in builds.items():
        ended = desk.end(build)
        assert ended.returncode == 0, (name, ended.stderr)
    assert len(account.servers()) == len(ways)
    for ended in [desk.end(desk.start("destroy", "-i", name)) for name in ways]:
        assert ended.returncode == 0, ended.stderr


def test_a_credential_deleted_during_a_build(desk, account, proxy):
    """The build reports it; the rest is undone with the next credential."""
    auth, name = account.application_credential("short-lived"), "withdrawn"
    desk.credentials({"type": "nova", "auth_data": auth})
    desk.define(account.resource())
    build = desk.start("build", *desk.describe(name, min=5))
    until(account.servers)
    account.withdraw(auth)
    # Services remember for a while that a token was good: these ask at once.
    withdrawn = {request.headers.get("X-Auth-Token") for request in proxy.requests} - {None}
    proxy.rule = lambda request: Fault.AUTH if request.headers.get("X-Auth-Token") in withdrawn else None
    ended = desk.end(build)
    assert ended.returncode == 1, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "Could not find Application Credential" in line
    assert "(see auth_data" in line
    assert account.servers()
    assert desk.end(desk.start("destroy", "-i", name)).returncode == 5
    desk.credentials({"type": "nova", "auth_data": account.application_credential("next")})
    ended = desk.end(desk.start("destroy", "-i", name))
    assert ended.returncode == 0, ended.stderr
