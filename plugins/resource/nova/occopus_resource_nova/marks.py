"""Owner and token in OpenStack: metadata and tags of servers and volumes, descriptions of floating IPs."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from occopus_core.api import Owner

OURS = "occopus"
"""The tag of every server, and the first word of every description."""

PREFIX = "occopus:"
TOKEN = f"{PREFIX}token"
PERSIST = f"{PREFIX}persist"
_MANAGED = {f"{PREFIX}managed": "yes"}
_ASKED = f"{PREFIX}asked"
_FIELDS = ("installation", "infra_id", "node_name", "node_id")

DESCRIPTION_LIMIT = 255
"""The most characters of a floating IP's description."""


def metadata(owner: Owner, token: str) -> dict[str, str]:
    """The metadata that identifies a server or a volume of Occopus.

    Each call has its own stamp: if a token has made two, all processes agree on the one that counts.
    """
    return {**owner_query(owner), TOKEN: token, **_MANAGED, _ASKED: f"{time.time_ns():020}-{uuid.uuid4().hex}"}


def owner_query(owner: Owner) -> dict[str, str]:
    """A filter for the metadata of this owner."""
    fields = {name: getattr(owner, name) for name in _FIELDS}
    return {f"{PREFIX}{name}": value for name, value in fields.items() if value is not None}


def token_query(tokens: list[str]) -> dict[str, str]:
    """A filter for the metadata of volumes with these tokens, and perhaps others: only one value can be matched."""
    return {TOKEN: tokens[0]} if len(tokens) == 1 else _MANAGED


def without_marks(found: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a resource that Occopus gives up."""
    return {key: value for key, value in found.items() if not key.startswith(PREFIX)}


def written(found: Mapping[str, str]) -> tuple[Owner | None, str]:
    """Owner and token from metadata; None and empty for resources of others."""
    fields = {name: found.get(f"{PREFIX}{name}") for name in _FIELDS}
    installation = fields.pop("installation")
    return (Owner(installation, **fields) if installation else None), found.get(TOKEN, "")


def rank(thing: Mapping[str, Any]) -> tuple[str, str]:
    """Of several with one token the highest rank counts: one made late by a lost call does not replace a newer one."""
    return thing["metadata"].get(_ASKED, ""), thing["id"]


def tags(owner: Owner, token: str) -> list[str]:
    """Tags of a server: lists of servers can be filtered by tags, not by metadata."""
    return [*owner_tags(owner), token_tag(token)]


def owner_tags(owner: Owner) -> list[str]:
    """The tags that every server of this owner has."""
    return [OURS, *(_tag(name, value) for name in _FIELDS if (value := getattr(owner, name)) is not None)]


def token_tag(token: str) -> str:
    """The tag of the servers with a token."""
    return _tag("token", token)


def _tag(name: str, value: str) -> str:
    # A tag has at most 60 characters, and neither comma nor slash.
    return f"{OURS}-{hashlib.sha256(f'{name}={value}'.encode()).hexdigest()[:32]}"


def description(owner: Owner, token: str) -> str:
    """The description of a floating IP."""
    return f"{OURS} {json.dumps([*(getattr(owner, name) for name in _FIELDS), token], separators=(',', ':'))}"


def described(text: str | None) -> tuple[Owner | None, str]:
    """Owner and token from a description; None and empty for resources of others."""
    word, _, values = (text or "").partition(" ")
    try:
        found = json.loads(values) if word == OURS else None
    except (ValueError, RecursionError):
        found = None
    match found:  # users may write anything
        case [
            str(installation),
            str() | None as infra_id,
            str() | None as node_name,
            str() | None as node_id,
            str(token),
        ]:
            return Owner(installation, infra_id, node_name, node_id), token
    return None, ""
