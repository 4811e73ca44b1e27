"""An account of the cloud: its credentials, and its resources as an independent client sees them."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from desk import until
from keystoneauth1.exceptions import NotFound, Unauthorized
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from openstack.connection import Connection
from openstack.exceptions import HttpException
from stack import Stack

from occopus_core import api


class Account:
    def __init__(self, stack: Stack, user: str) -> None:
        self.user = user
        self.auth = {"username": user, "password": f"{user}pw"}
        self.endpoint = f"http://127.0.0.1:{stack.public['keystone']}"
        self._direct = f"{stack.layout.url('keystone')}/v3"

    @cached_property
    def cloud(self) -> Connection:
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
        plugin = v3.Password(self._direct, **self.auth, project_name=self.user, **domains)
        return Connection(session=Session(plugin), region_name="RegionOne", interface="internal")

    @cached_property
    def administrator(self) -> Connection:
        """An administrator, for resources that the owner of a project cannot see."""
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
        plugin = v3.Password(self._direct, username="admin", password="adminpw", project_name="admin", **domains)
        return Connection(session=Session(plugin), region_name="RegionOne", interface="internal")

    def user_data(self, token: str) -> str | None:
        """The user data that a token's server finds."""
        compute = self.administrator.compute
        answer = compute.get(f"/servers/{self.server_of(token)}", microversion="2.3").json()["server"]
        encoded = answer["OS-EXT-SRV-ATTR:user_data"]
        return encoded and base64.b64decode(encoded).decode()

    @cached_property
    def project_id(self) -> str:
        return self.cloud.current_project_id

    def connection(self, call_timeout: float = 30.0, **settings: Any) -> api.Connection:
        known = {"endpoint": self.endpoint, "project_id": self.project_id, "region_name": "RegionOne"}
        return api.Connection("nova", {**known, **settings}, self.auth, call_timeout)

    def resource(self, **wanted: Any) -> dict[str, Any]:
        known = {"type": "nova", "endpoint": self.endpoint, "project_id": self.project_id}
        return {**known, "image_id": "cirros", "flavor_name": "m1.tiny", "network_id": "private", **wanted}

    @cached_property
    def ids(self) -> dict[str, str]:
        """The ids for descriptions."""
        compute, network = self.cloud.compute, self.cloud.network
        return {
            "endpoint": self.endpoint,
            "project_id": self.project_id,
            "image_id": self.cloud.image.find_image("cirros").id,
            "flavor_id": compute.find_flavor("m1.tiny").id,
            "network_id": network.find_network("private").id,
            "pool_id": network.find_network("public").id,
        }

    @contextlib.contextmanager
    def key_pair(self, name: str) -> Iterator[None]:
        self.cloud.compute.create_keypair(name=name)
        try:
            yield
        finally:
            self.cloud.compute.delete_keypair(name)

    @contextlib.contextmanager
    def security_group(self, name: str) -> Iterator[None]:
        group = self.cloud.network.create_security_group(name=name)
        yield
        self.cloud.network.delete_security_group(group)  # of a failed test servers may still be in it: see `empty`

    @contextlib.contextmanager
    def server(self) -> Iterator[None]:
        """A server that Occopus did not make."""
        where = [{"uuid": self.ids["network_id"]}]
        what = {"image_id": self.ids["image_id"], "flavor_id": self.ids["flavor_id"], "networks": where}
        server = self.cloud.compute.create_server(name="somebody's", **what)
        try:
            yield
        finally:
            self.delete_server(server)

    def delete_server(self, server: Any) -> None:
        self.cloud.compute.delete_server(server)
        until(lambda: server.id not in [each.id for each in self.servers()])

    def application_credential(self, name: str, **more: str) -> dict[str, str]:
        """The `auth_data` of a new one."""
        made = self.cloud.identity.create_application_credential(self.cloud.current_user_id, name, **more)
        return {"type": "application_credential", "id": made.id, "secret": made.secret}

    def withdraw(self, auth: dict[str, str]) -> None:
        """Delete an application credential."""
        self.cloud.identity.delete_application_credential(self.cloud.current_user_id, auth["id"])

    def is_refused(self, auth: dict[str, str]) -> bool:
        plugin = v3.ApplicationCredential(
            self._direct, application_credential_id=auth["id"], application_credential_secret=auth["secret"]
        )
        try:
            plugin.get_access(Session())
        except (Unauthorized, NotFound):
            return True
        return False

    def server_of(self, token: str) -> str:
        """The id of the server that was made with a token."""
        return next(each.id for each in self.servers() if each.metadata["occopus:token"] == token)

    def servers(self) -> list[Any]:
        return list(self.cloud.compute.servers())

    def left(self) -> dict[str, list[str]]:
        """The remaining resources, by kind; empty if everything was deleted."""
        network = self.cloud.network
        found = {
            "servers": [each.id for each in self.servers()],
            "volumes": [each.id for each in self.cloud.block_storage.volumes()],
            "floating IPs": [each.id for each in network.ips(project_id=self.project_id)],
            "ports": [each.id for each in network.ports(project_id=self.project_id) if _is_of_a_server(each)],
            "security groups": [
                each.id for each in network.security_groups(project_id=self.project_id) if _is_ours(each)
            ],
        }
        return {kind: ids for kind, ids in found.items() if ids}

    def gone(self) -> dict[str, list[str]]:
        """The remaining resources after deletions in progress have ended."""
        deadline = time.monotonic() + 60
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def empty(self) -> None:
        """Delete all resources of any user."""
        until(lambda: not self._cleared())

    def _cleared(self) -> dict[str, list[str]]:
        """Ask for the deletion of what there is; what is in use cannot go yet."""
        delete = {
            "servers": self.cloud.compute.delete_server,
            "volumes": self.cloud.block_storage.delete_volume,
            "floating IPs": self.cloud.network.delete_ip,
            "ports": self.cloud.network.delete_port,
            "security groups": self.cloud.network.delete_security_group,
        }
        found = self.left()
        for kind, ids in found.items():
            for id in ids:
                with contextlib.suppress(HttpException):
                    delete[kind](id)
        return found


def clear(accounts: Iterable[Account]) -> None:
    """Fail if a test has left resources; delete them, so that later tests are not affected."""
    left = {account: found for account in accounts if (found := account.gone())}
    for account in left:
        account.empty()
    assert not left, f"something was left at the cloud: {list(left.values())}"


def _is_of_a_server(port: Any) -> bool:
    return not port.device_owner.startswith("network:")


def _is_ours(group: Any) -> bool:
    return bool(group.name != "default")
