"""The parameters of RunInstances for one instance, from the `resource` section and the context of a request."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from occopus_core.api import CreateRequest, PermanentError
from occopus_resource_ec2.tags import PREFIX, own_tags

USER_DATA_LIMIT = 16384
"""The limit of EC2 for user data, in bytes before the base64 encoding."""

_MOST = 2**31 - 1
"""The largest integer that EC2 accepts."""
_MOST_TAGS = 50
_TAG_LENGTHS = {"key": 128, "value": 256}
_RESERVED = ("aws:", PREFIX)


def order(request: CreateRequest) -> dict[str, Any]:
    """The parameters of the call, without the root volume. Raises `PermanentError`."""
    resource = request.resource
    parameters = {
        "ImageId": resource["image_id"],
        "InstanceType": resource["instance_type"],
        "KeyName": resource.get("key_name"),
        **_network(resource),
        "IamInstanceProfile": _profile(resource.get("iam_instance_profile")),
        "InstanceMarketOptions": _market(resource),
        "MetadataOptions": _metadata(resource),
        "UserData": _user_data(request),
        "TagSpecifications": _tag_specifications(request),
        "ClientToken": request.token,
        "MinCount": 1,
        "MaxCount": 1,
    }
    return {key: value for key, value in parameters.items() if value}


def root_volume(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the root volume; empty if the image alone determines it. Raises `PermanentError`."""
    volume: dict[str, Any] = {}
    if "volume_size" in resource:
        volume["VolumeSize"] = _whole(resource, "volume_size", 1, _MOST)
    if "volume_type" in resource:
        volume["VolumeType"] = resource["volume_type"]
    return {**volume, "DeleteOnTermination": True} if volume else {}


def _network(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Subnet and security groups. EC2 expects them in the interface if the public address is set explicitly."""
    subnet, groups = resource.get("subnet_id"), resource.get("security_group_ids")
    public = _truth(resource, "associate_public_ip_address")
    if public is None:
        return {"SubnetId": subnet, "SecurityGroupIds": groups}
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": public, "DeleteOnTermination": True}
    return {
        "NetworkInterfaces": [
            {**interface, **({"SubnetId": subnet} if subnet else {}), **({"Groups": groups} if groups else {})}
        ]
    }


def _profile(profile: str | None) -> dict[str, str] | None:
    if not profile:
        return None
    return {"Arn" if profile.startswith("arn:") else "Name": profile}


def _market(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """The options of a one-time spot request. It ends with the instance, so nothing has to be cancelled."""
    if "market_type" not in resource:
        return None
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if "max_price" in resource:
        options["MaxPrice"] = f"{Decimal(str(_number(resource, 'max_price'))):f}"  # EC2 accepts no exponent
    return {"MarketType": resource["market_type"], "SpotOptions": options}


def _metadata(resource: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "http_tokens" in resource:
        options["HttpTokens"] = resource["http_tokens"]
    if "http_put_response_hop_limit" in resource:
        options["HttpPutResponseHopLimit"] = _whole(resource, "http_put_response_hop_limit", 1, 64)
    return options


def _user_data(request: CreateRequest) -> str | None:
    text = request.context.user_data
    size = len((text or "").encode())
    if size > USER_DATA_LIMIT:
        raise PermanentError(
            f"the context_template makes {size} bytes of user data, and EC2 takes at most {USER_DATA_LIMIT}: "
            "let the node download what is large"
        )
    return text


def _tag_specifications(request: CreateRequest) -> list[dict[str, Any]]:
    tags = _tags(request)
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")]


def _tags(request: CreateRequest) -> dict[str, str]:
    """The user's tags and those of Occopus."""
    wanted = _wanted_tags(request.resource.get("tags", {}))
    for key in wanted:
        if key.lower().startswith(_RESERVED):
            raise PermanentError(f"resource.tags: '{key}' begins with '{key.split(':')[0]}:', which is reserved")
    owner = request.owner
    tags = {"Name": f"{owner.infra_id}-{owner.node_name}", **wanted, **own_tags(owner, request.token)}
    for key, value in tags.items():
        where = f"resource.tags.{key}" if key in wanted else f"the tag '{key}' of Occopus"
        for part, text in (("key", key), ("value", value)):
            if len(text) > _TAG_LENGTHS[part]:
                raise PermanentError(f"{where}: a {part} has at most {_TAG_LENGTHS[part]} characters")
    if "" in tags:
        raise PermanentError("resource.tags: a key has at least one character")
    if len(tags) > _MOST_TAGS:
        raise PermanentError(f"resource.tags: with those of Occopus these are {len(tags)}, and EC2 takes {_MOST_TAGS}")
    return tags


def _wanted_tags(given: Mapping[str, Any] | Sequence[Any]) -> dict[str, str]:
    """The user's tags, from a mapping or from a list in any of its forms. Raises `PermanentError`."""
    if isinstance(given, Mapping):
        return {str(key): str(value) for key, value in given.items()}
    tags: dict[str, str] = {}
    for one in given:
        if isinstance(one, Mapping):
            found = {one["Key"]: one["Value"]} if one.keys() == {"Key", "Value"} else one
        else:
            key, separator, value = str(one).partition("=")
            if not separator:
                raise PermanentError(f"resource.tags: '{one}' is not of the form KEY=VALUE")
            found = {key: value}
        for key, value in found.items():
            if str(key) in tags:
                raise PermanentError(f"resource.tags: the tag '{key}' is there twice")
            tags[str(key)] = str(value)
    return tags


def _truth(resource: Mapping[str, Any], key: str) -> bool | None:
    """A boolean, given as such or as the text of a rendered template; None without a value. Raises `PermanentError`."""
    known = {"true": True, "false": False, "none": None}
    value = str(resource.get(key)).lower()
    if value not in known:
        raise PermanentError(f"resource.{key} must be true or false, not {resource[key]!r}")
    return known[value]


def _whole(resource: Mapping[str, Any], key: str, least: int, most: int) -> int:
    """An integer, given as such or as the text of a rendered template. Raises `PermanentError`."""
    text = str(resource[key])
    # Python refuses to parse thousands of digits.
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST)) else -1
    if not least <= number <= most:
        raise PermanentError(
            f"resource.{key} must be a whole number from {least} to {most}, not {reprlib.repr(resource[key])}"
        )
    return number


def _number(resource: Mapping[str, Any], key: str) -> float:
    """A number above 0, given as such or as the text of a rendered template. Raises `PermanentError`."""
    try:
        number = float(str(resource[key]))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise PermanentError(f"resource.{key} must be a number above 0, not {reprlib.repr(resource[key])}")
    return number
