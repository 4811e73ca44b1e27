"""An account at the cloud: how the handler is to reach it, and everything there is in it, seen by another way."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from openstack.connection import Connection
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
    def project_id(self) -> str:
        return self.cloud.current_project_id

    def connection(self, call_timeout: float = 30.0, **settings: Any) -> api.Connection:
        known = {"endpoint": self.endpoint, "project_id": self.project_id, "region_name": "RegionOne"}
        return api.Connection("nova", {**known, **settings}, self.auth, call_timeout)

    def resource(self, **wanted: Any) -> dict[str, Any]:
        known = {"type": "nova", "endpoint": self.endpoint, "project_id": self.project_id}
        return {**known, "image_id": "cirros", "flavor_name": "m1.tiny", "network_id": "private", **wanted}

    def server_of(self, token: str) -> str:
        """The id of the server that was made with a token."""
        return next(each.id for each in self.servers() if each.metadata["occopus:token"] == token)

    def servers(self) -> list[Any]:
        return list(self.cloud.compute.servers())

    def left(self) -> dict[str, list[str]]:
        """What there is, by kind; nothing where all was cleared away."""
        network = self.cloud.network
        found = {
            "servers": [each.id for each in self.servers()],
            "volumes": [each.id for each in self.cloud.block_storage.volumes()],
            "floating IPs": [each.id for each in network.ips(project_id=self.project_id)],
            "ports": [each.id for each in network.ports(project_id=self.project_id) if _is_of_a_server(each)],
        }
        return {kind: ids for kind, ids in found.items() if ids}


def _is_of_a_server(port: Any) -> bool:
    return not port.device_owner.startswith("network:")
