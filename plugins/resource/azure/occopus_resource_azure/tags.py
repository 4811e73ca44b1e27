"""Owner and token of an instance as tags of all its parts, and the names derived from the token."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from occopus_core.api import CreateRequest, Owner, PermanentError

Thing = dict[str, Any]
"""One resource as Azure describes it, with the names of its JSON."""

PREFIX = "occopus-"
MADE = "made"
"""The stage of helpers whose instance has been requested: if it is missing, it was lost."""

_FIELDS = ("installation", "infra_id", "node_name", "node_id")
_TOKEN, _TYPE, _STAGE = f"{PREFIX}token", f"{PREFIX}type", f"{PREFIX}stage"
_MOST_TAGS, _LONGEST_NAME, _LONGEST_VALUE = 50, 512, 256
_FORBIDDEN = re.compile(r"[<>%&\\?/\x00-\x1f\x7f]")
_PLAIN_NAME = re.compile(r"[a-z](-?[a-z0-9])*")
_ID = re.compile(r"/resourceGroups/(?P<group>[^/]+)/providers/.*/(?P<name>[^/]+)", re.IGNORECASE)


def name(token: str) -> str:
    """The name of everything a token makes: the token, or a digest if a container group cannot have that name."""
    if _PLAIN_NAME.fullmatch(token):
        return token
    return f"occopus-{hashlib.sha256(token.encode()).hexdigest()[:40]}"


def place(thing: Mapping[str, Any]) -> tuple[str, str]:
    """Resource group and name of a resource, from its id."""
    found = _ID.search(str(thing["id"]))
    if found is None:
        raise ValueError("an id without a resource group")
    return found["group"], found["name"]


def own_tags(request: CreateRequest, type: str) -> dict[str, str]:
    """The user's tags and those that identify a resource of Occopus."""
    return {**_wanted(request), **_marks(request.owner), _TOKEN: request.token, _TYPE: type}


def with_stage(tags: Mapping[str, str], stage: str) -> dict[str, str]:
    """The tags with the stage that their instance has reached."""
    return {**tags, _STAGE: stage}


def stage(thing: Mapping[str, Any]) -> str:
    """The stage in a resource's tags; empty without one."""
    return _lowered(thing).get(_STAGE, "")


def token(thing: Mapping[str, Any], type: str) -> str:
    """The token of a resource made by a handler of this type; empty for any other resource."""
    tags = _lowered(thing)
    return tags.get(_TOKEN, "") if tags.get(_TYPE) == type else ""


def owner(thing: Mapping[str, Any]) -> Owner | None:
    """The owner of a resource; None if its tags name no installation of Occopus."""
    tags = _lowered(thing)
    installation = tags.get(f"{PREFIX}installation")
    if not installation:
        return None
    return Owner(installation, *(tags.get(f"{PREFIX}{field}") for field in _FIELDS[1:]))


def by_token(things: Iterable[Thing], type: str) -> dict[str, list[Thing]]:
    """The resources made by handlers of this type, by token."""
    found: dict[str, list[Thing]] = {}
    for thing in things:
        if whose := token(thing, type):
            found.setdefault(whose, []).append(thing)
    return found


def check(request: CreateRequest, type: str) -> None:
    """Raises `PermanentError` for tags that Azure refuses, or that Occopus itself uses."""
    for key, value in _wanted(request).items():
        if key.lower().startswith(PREFIX):
            raise PermanentError(f"resource.tags: '{key}' begins with '{PREFIX}', which is reserved")
        if not key or len(key) > _LONGEST_NAME or _FORBIDDEN.search(key):
            raise PermanentError(
                f"resource.tags: '{key[:80]}': a name has 1 to {_LONGEST_NAME} characters, none of them < > % & \\ ? /"
            )
        if len(value) > _LONGEST_VALUE:
            raise PermanentError(f"resource.tags.{key}: a value has at most {_LONGEST_VALUE} characters")
    count = len(own_tags(request, type)) + 1  # the stage
    if count > _MOST_TAGS:
        raise PermanentError(f"resource.tags: with those of Occopus these are {count}, and Azure takes {_MOST_TAGS}")


def _wanted(request: CreateRequest) -> dict[str, str]:
    return {str(key): str(value) for key, value in (request.resource.get("tags") or {}).items()}


def _marks(owner: Owner) -> dict[str, str]:
    fields = {field: getattr(owner, field) for field in _FIELDS}
    return {f"{PREFIX}{field}": value for field, value in fields.items() if value is not None}


def _lowered(thing: Mapping[str, Any]) -> dict[str, str]:
    """Tag names in lower case: Azure ignores their case, and may return another one."""
    return {str(key).lower(): str(value) for key, value in (thing.get("tags") or {}).items()}
