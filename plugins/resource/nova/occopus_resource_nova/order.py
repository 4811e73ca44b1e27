"""Translates the `resource` section and the context into request bodies of Nova and Cinder."""

from __future__ import annotations

import base64
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_nova import marks

USER_DATA_LIMIT = 65535
"""The most characters of user data, in base64 as Nova counts them."""

_NAME_LIMIT = 255
_LARGEST = 2**31 - 1
"""GiB: the largest number that Cinder accepts."""
_GIB = 2**30
_TRUTHS = {"true": True, "false": False, "yes": True, "no": False}


def wants_floating_ip(resource: Mapping[str, Any]) -> bool:
    """Whether one of the keys is present, whatever its value."""
    return "floating_ip" in resource or "floating_ip_pool" in resource


def wants_volume(resource: Mapping[str, Any]) -> bool:
    """Whether the server boots from a volume."""
    return "volume_size" in resource


def persists(resource: Mapping[str, Any]) -> bool:
    """Whether the volume is kept when the server is deleted. Raises `PermanentError`."""
    value = resource.get("volume_persist", False)
    known = _TRUTHS.get(str(value).lower())
    if known is None:
        raise PermanentError(f"resource.volume_persist must be true or false, not {value!r}")
    return known


def volume_size(resource: Mapping[str, Any]) -> int:
    """GiB; 0 if the cloud decides. Raises `PermanentError`."""
    text = str(resource["volume_size"])
    # Python refuses to parse thousands of digits.
    size = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST)) else -1
    if not 0 <= size <= _LARGEST:
        raise PermanentError(
            f"resource.volume_size must be a whole number of GiB, at most {_LARGEST}, not {reprlib.repr(text)}"
        )
    return size


def check(request: CreateRequest) -> None:
    """Raises `PermanentError` for errors that can be found without a call."""
    resource = request.resource
    if wants_volume(resource):
        volume_size(resource)
    persists(resource)
    _user_data(request)
    if not server_name(request).strip() or len(server_name(request)) > _NAME_LIMIT:
        raise PermanentError(f"resource.server_name must have 1 to {_NAME_LIMIT} characters")
    if wants_floating_ip(resource) and len(marks.description(request.owner, request.token)) > marks.DESCRIPTION_LIMIT:
        raise PermanentError("resource.floating_ip: the id of the infrastructure is too long to be written on it")


def server_name(request: CreateRequest) -> str:
    """The name in the description; the token without one."""
    return str(request.resource.get("server_name", request.token))


@dataclass(frozen=True, slots=True)
class Found:
    """The resources that the description names, as found in the cloud."""

    image: Mapping[str, Any]
    flavor: Mapping[str, Any]
    network: Mapping[str, Any] | None


def volume_body(request: CreateRequest, found: Found) -> dict[str, Any]:
    """The body that makes the boot volume."""
    marked = marks.metadata(request.owner, request.token)
    persist = {marks.PERSIST: "yes"} if persists(request.resource) else {}
    return {
        "volume": {
            "name": request.token,
            "size": volume_size(request.resource) or _usual_size(found),
            "imageRef": found.image["id"],
            "metadata": {**marked, **persist},
        }
    }


def _usual_size(found: Found) -> int:
    """GiB: the size of the flavor's disk, and at least what the image needs."""
    needed = math.ceil((found.image.get("size") or 0) / _GIB)
    return max(found.flavor.get("disk") or 0, found.image.get("min_disk") or 0, needed, 1)


def server_body(request: CreateRequest, found: Found, volume_id: str | None) -> dict[str, Any]:
    """The body that makes the server."""
    resource = request.resource
    server = {
        "name": server_name(request),
        "flavorRef": found.flavor["id"],
        "networks": [{"uuid": found.network["id"]}] if found.network else "auto",
        "metadata": marks.metadata(request.owner, request.token),
        "tags": marks.tags(request.owner, request.token),
        "key_name": resource.get("key_name"),
        "security_groups": [{"name": str(name)} for name in resource.get("security_groups") or ()],
        "user_data": _user_data(request),
        **_disk(request, found, volume_id),
    }
    return {"server": {key: value for key, value in server.items() if value}}


def _disk(request: CreateRequest, found: Found, volume_id: str | None) -> dict[str, Any]:
    if volume_id is None:
        return {"imageRef": found.image["id"]}
    volume = {
        "boot_index": 0,
        "uuid": volume_id,
        "source_type": "volume",
        "destination_type": "volume",
        "delete_on_termination": not persists(request.resource),
    }
    return {"block_device_mapping_v2": [volume]}


def _user_data(request: CreateRequest) -> str | None:
    text = request.context.user_data
    if not text:
        return None
    encoded = base64.b64encode(text.encode()).decode()
    if len(encoded) > USER_DATA_LIMIT:
        raise PermanentError(
            f"the context_template makes {len(encoded)} characters of user data in base64, and Nova takes at most "
            f"{USER_DATA_LIMIT}: let the node download what is large"
        )
    return encoded
