"""Requests that make the parts of an instance, shared by both types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.api import CreateRequest, Instance, InstanceId, InstanceState, NotFoundError, PermanentError
from occopus_resource_azure import tags
from occopus_resource_azure.cloud import Cloud, raw
from occopus_resource_azure.connect import Clients
from occopus_resource_azure.tags import Thing

SUBNET = "default"
"""The default name of the subnet in a network made for an instance."""
_SPACE, _SUBNET_SPACE = "10.0.0.0/16", "10.0.0.0/24"
DONE, FAILED, DELETING = "succeeded", "failed", "deleting"


@dataclass(frozen=True, slots=True)
class Target:
    """The place of an instance: its resource group, and the name of its parts."""

    group: str
    name: str

    @classmethod
    def of(cls, token: str, group: str | None) -> Target:
        """The target of a request: in the group that the description names, or in one made for the instance."""
        name = tags.name(token)
        return cls(group or name, name)


def state(thing: Thing) -> str:
    """The provisioning state in lower case."""
    return str((thing.get("properties") or {}).get("provisioningState", "")).lower()


def half_made(request: CreateRequest, reason: str) -> Instance:
    """An instance whose creation needs more steps."""
    id = InstanceId(request.token)
    return Instance(id, InstanceState.PROVISIONING, (), request.token, request.owner, "", reason)


def common(request: CreateRequest, type: str) -> Thing:
    """The fields that the body of every resource has."""
    return {"location": str(request.resource["location"]), "tags": tags.own_tags(request, type)}


def vnet_body(request: CreateRequest, type: str, **subnet: Any) -> Thing:
    """The body of a network made for the instance, with one subnet."""
    one = {"name": subnet_name(request.resource), "properties": {"addressPrefix": _SUBNET_SPACE, **subnet}}
    return {**common(request, type), "properties": {"addressSpace": {"addressPrefixes": [_SPACE]}, "subnets": [one]}}


def subnet_name(resource: Mapping[str, Any]) -> str:
    """The name of the subnet in a network made for the instance."""
    return str(resource.get("subnet_name") or SUBNET)


class Steps:
    """Single requests for the parts of an instance."""

    def __init__(self, cloud: Cloud, type: str) -> None:
        self._cloud = cloud
        self._type = type

    def found(self, operations: Callable[[Clients], Any], target: Target) -> Thing | None:
        """A part, None if it does not exist. Raises `ProviderError`."""
        return self._cloud.find(lambda clients: operations(clients).get(target.group, target.name, cls=raw))

    def put(self, operations: Callable[[Clients], Any], target: Target, body: Thing, key: str = "") -> Thing:
        """Start the creation of a part and return Azure's first answer. Raises `ProviderError`.

        The next call checks the outcome.
        """
        return self._cloud.call(
            lambda clients: (
                operations(clients)
                .begin_create_or_update(target.group, target.name, body, polling=False, cls=raw)
                .result()
            ),
            key,
        )

    def put_group(self, request: CreateRequest, target: Target, stage: str = "") -> None:
        """Make a resource group for the instance; idempotent. Raises `ProviderError`."""
        body = common(request, self._type)
        if stage:
            body["tags"] = tags.with_stage(body["tags"], stage)
        self._cloud.call(
            lambda clients: clients.resources.resource_groups.create_or_update(target.group, body, cls=raw)
        )

    def mark(self, request: CreateRequest, operations: Callable[[Clients], Any], target: Target) -> None:
        """Record in the tags of a part that its instance was requested.

        A part found without that instance is a loss.
        """
        body = {"tags": tags.with_stage(tags.own_tags(request, self._type), tags.MADE)}
        self._cloud.call(lambda clients: operations(clients).update_tags(target.group, target.name, body, cls=raw))

    def given_subnet(self, request: CreateRequest, target: Target) -> Thing:
        """The named subnet of an existing network, or its only one.

        Raises `NotFoundError`, and `PermanentError` if there are several.
        """
        vnet_name, wanted = str(request.resource["vnet_name"]), str(request.resource.get("subnet_name") or "")
        vnet: Thing = self._cloud.call(
            lambda clients: clients.network.virtual_networks.get(target.group, vnet_name, cls=raw), "vnet_name"
        )
        subnets: dict[str, Thing] = {
            str(each["name"]).lower(): each for each in vnet["properties"].get("subnets") or ()
        }
        if wanted:
            if wanted.lower() in subnets:
                return subnets[wanted.lower()]
            raise NotFoundError(f"{self._cloud.where}: '{vnet_name}' has no subnet '{wanted}' (resource.subnet_name)")
        if not subnets:
            raise NotFoundError(f"{self._cloud.where}: '{vnet_name}' has no subnet (resource.vnet_name)")
        if SUBNET in subnets or len(subnets) == 1:
            return subnets.get(SUBNET) or next(iter(subnets.values()))
        names = ", ".join(sorted(str(each["name"]) for each in subnets.values()))
        raise PermanentError(f"resource.subnet_name is needed: '{vnet_name}' has {names}")
