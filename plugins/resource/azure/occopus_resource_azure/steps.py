"""Requests that making an instance consists of, whatever type it is of."""

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
"""What the subnet of a network is called where the description does not say."""
_SPACE, _SUBNET_SPACE = "10.0.0.0/16", "10.0.0.0/24"
DONE, FAILED, DELETING = "succeeded", "failed", "deleting"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an instance is made: its resource group, and the name of each of its parts."""

    group: str
    name: str

    @classmethod
    def of(cls, token: str, group: str | None) -> Target:
        """In the group that the description names, or in one of the instance's own."""
        name = tags.name(token)
        return cls(group or name, name)


def state(thing: Thing) -> str:
    """The provisioning state in lower case."""
    return str((thing.get("properties") or {}).get("provisioningState", "")).lower()


def half_made(request: CreateRequest, reason: str) -> Instance:
    """An instance that takes more steps."""
    id = InstanceId(request.token)
    return Instance(id, InstanceState.PROVISIONING, (), request.token, request.owner, "", reason)


def common(request: CreateRequest, type: str) -> Thing:
    """What the body of every resource has."""
    return {"location": str(request.resource["location"]), "tags": tags.own_tags(request, type)}


def vnet_body(request: CreateRequest, type: str, **subnet: Any) -> Thing:
    """A network of the instance's own, with one subnet."""
    one = {"name": subnet_name(request.resource), "properties": {"addressPrefix": _SUBNET_SPACE, **subnet}}
    return {**common(request, type), "properties": {"addressSpace": {"addressPrefixes": [_SPACE]}, "subnets": [one]}}


def subnet_name(resource: Mapping[str, Any]) -> str:
    """What the subnet of a network of ours is called."""
    return str(resource.get("subnet_name") or SUBNET)


class Steps:
    """Single requests about the parts of an instance."""

    def __init__(self, cloud: Cloud, type: str) -> None:
        self._cloud = cloud
        self._type = type

    def found(self, operations: Callable[[Clients], Any], target: Target) -> Thing | None:
        """A part, None where it has not been made. Raises `ProviderError`."""
        return self._cloud.find(lambda clients: operations(clients).get(target.group, target.name, cls=raw))

    def put(self, operations: Callable[[Clients], Any], target: Target, body: Thing, key: str = "") -> Thing:
        """What Azure answers at once; what it does then is looked for by the next call. Raises `ProviderError`."""
        return self._cloud.call(
            lambda clients: (
                operations(clients)
                .begin_create_or_update(target.group, target.name, body, polling=False, cls=raw)
                .result()
            ),
            key,
        )

    def put_group(self, request: CreateRequest, target: Target, stage: str = "") -> None:
        """A resource group of the instance's own; idempotent. Raises `ProviderError`."""
        body = common(request, self._type)
        if stage:
            body["tags"] = tags.with_stage(body["tags"], stage)
        self._cloud.call(
            lambda clients: clients.resources.resource_groups.create_or_update(target.group, body, cls=raw)
        )

    def mark(self, request: CreateRequest, operations: Callable[[Clients], Any], target: Target) -> None:
        """Write on what outlives an instance that it was asked for: found without it, it was lost."""
        body = {"tags": tags.with_stage(tags.own_tags(request, self._type), tags.MADE)}
        self._cloud.call(lambda clients: operations(clients).update_tags(target.group, target.name, body, cls=raw))

    def given_subnet(self, request: CreateRequest, target: Target) -> Thing:
        """The subnet of an existing network that is named, or its only one.

        Raises `NotFoundError`, and `PermanentError` where there are several.
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
