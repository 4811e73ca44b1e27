"""Owner and token in the `meta` of drives and servers.

The keys of `meta` have at most 32 characters and its values are texts. Tags of CloudSigma are not used: each tag is one
list of resources that is replaced as a whole, so two writers overwrite each other.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from occopus_core.api import Owner

Thing = dict[str, Any]
"""A drive or a server as CloudSigma describes it."""

PREFIX = "occopus-"
_TOKEN = f"{PREFIX}token"
_ASKED = f"{PREFIX}asked"
_USED = f"{PREFIX}used"
_DIGITS = 20
_NANOSECONDS = 10**9
_FIELDS = ("installation", "infra_id", "node_name", "node_id")


def marks(owner: Owner, token: str) -> dict[str, str]:
    """The `meta` that identify a drive or a server of Occopus.

    Each call has its own stamp: if a token has made two drives or servers, every process keeps the same one.
    """
    fields = {f"{PREFIX}{name}": value for name in _FIELDS if (value := getattr(owner, name)) is not None}
    return {**fields, _TOKEN: token, _ASKED: f"{time.time_ns():0{_DIGITS}}-{uuid.uuid4().hex}"}


def used() -> dict[str, str]:
    """The `meta` of a drive before a server is made with it."""
    return {_USED: "yes"}


def is_used(drive: Thing) -> bool:
    """True for a drive with which a server was made, or was about to be."""
    return _USED in meta(drive)


def is_marked(thing: Thing) -> bool:
    """True if owner and token are in the `meta`."""
    return _TOKEN in meta(thing)


def owner_of(thing: Thing) -> Owner | None:
    """The owner in the `meta`; None without one."""
    fields = {name: meta(thing).get(f"{PREFIX}{name}") for name in _FIELDS}
    installation = fields.pop("installation")
    return Owner(installation, **fields) if installation else None


def token_of(thing: Thing) -> str:
    """The token in the `meta`. A drive is named after its token, in case the clone lacks the `meta`."""
    return meta(thing).get(_TOKEN) or str(thing.get("name") or "")


def rank(thing: Thing) -> tuple[str, str]:
    """Of several with one token the highest rank counts: one made late by a lost call does not replace a newer one."""
    return meta(thing).get(_ASKED, ""), str(thing["uuid"])


def made_at(thing: Thing) -> float | None:
    """When it was requested, in seconds since 1970; None without `meta` of Occopus."""
    stamp = meta(thing).get(_ASKED, "").partition("-")[0]
    return int(stamp) / _NANOSECONDS if stamp.isdecimal() and len(stamp) == _DIGITS else None


def meta(thing: Thing) -> Mapping[str, str]:
    """The `meta` of a drive or a server."""
    found = thing.get("meta")
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
