"""Translates the `resource` section and the context of a container group into request bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_azure import tags, values
from occopus_resource_azure.steps import common
from occopus_resource_azure.tags import Thing

TYPE = "azure_aci"
SERVICE = "Microsoft.ContainerInstance/containerGroups"
"""The service to which a subnet must be delegated."""
_SYSTEMS = {"linux": "Linux", "windows": "Windows"}
_NETWORKS = {"public": "Public", "private": "Private"}
_RESTARTS = {"always": "Always", "onfailure": "OnFailure", "never": "Never"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_MOST_GPUS = 4
DELEGATION: Thing = {"name": "containers", "properties": {"serviceName": SERVICE}}


def check(request: CreateRequest) -> None:
    """Raises `PermanentError` for errors that can be found without a call to Azure."""
    resource = request.resource
    tags.check(request, TYPE)
    group_body(request, "a subnet" if is_private(resource) else None)
    if not is_private(resource) and not resource.get("ports"):
        raise PermanentError("resource.ports: a Public container group needs at least one port")
    for key in ("vnet_name", "subnet_name"):
        if resource.get(key) and not is_private(resource):
            raise PermanentError(f"resource.{key} is for container groups whose network_type is Private")
    if resource.get("vnet_name") and not resource.get("resource_group"):
        raise PermanentError("resource.vnet_name is looked for in resource.resource_group: give that, too")


def is_private(resource: Mapping[str, Any]) -> bool:
    """Whether it only has an address in a network. Raises `PermanentError`."""
    return _one_of(resource, "network_type", _NETWORKS) == "Private"


def group_body(request: CreateRequest, subnet_id: str | None) -> Thing:
    """The body of the container group, with one container. Raises `PermanentError`."""
    resource = request.resource
    ports = [{"port": each.first, "protocol": each.protocol.upper()} for each in _ports(resource)]
    properties: Thing = {
        "osType": _one_of(resource, "os_type", _SYSTEMS),
        "restartPolicy": _one_of(resource, "restart_policy", _RESTARTS, "Always"),
        "containers": [{"name": tags.name(request.token), "properties": _container(request, ports)}],
    }
    if ports:
        properties["ipAddress"] = {"type": _one_of(resource, "network_type", _NETWORKS), "ports": ports}
        if subnet_id is None:
            properties["ipAddress"]["dnsNameLabel"] = tags.name(request.token)
    if subnet_id is not None:
        properties["subnetIds"] = [{"id": subnet_id}]
    return {**common(request, TYPE), "properties": properties}


def _container(request: CreateRequest, ports: list[Thing]) -> Thing:
    resource = request.resource
    wanted: Thing = {"cpu": values.number(resource, "cpu_cores"), "memoryInGB": values.number(resource, "memory")}
    if resource.get("gpu_type"):
        count = values.whole(resource, "gpu_count", 1, _MOST_GPUS) if "gpu_count" in resource else 1
        wanted["gpu"] = {"count": count, "sku": str(resource["gpu_type"])}
    container: Thing = {
        "image": str(resource["image"]),
        "ports": ports,
        "environmentVariables": [_variable(each) for each in request.context.env],
        "resources": {"requests": wanted},
    }
    if command := request.context.words():
        container["command"] = command
    return container


def _ports(resource: Mapping[str, Any]) -> list[values.Ports]:
    return values.ports(resource, "ports", ranges=False)


def _variable(text: str) -> Thing:
    """A secure variable, which Azure never returns: rendered values are often secret."""
    name, sign, value = text.partition("=")
    if not sign or not _NAME.fullmatch(name):
        raise PermanentError(f"contextualisation.env: NAME=value is expected, not '{name[:40]}…'")
    return {"name": name, "secureValue" if value else "value": value}


def _one_of(resource: Mapping[str, Any], key: str, known: Mapping[str, str], default: str = "") -> str:
    """A keyword in Azure's spelling, from any case. Raises `PermanentError`."""
    value = str(resource.get(key) or default)
    found = known.get(value.lower())
    if found is None:
        raise PermanentError(f"resource.{key} must be {' or '.join(known.values())}, not '{value}'")
    return found
