"""Owner and token of an instance as tags, and the search for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from occopus_core.api import Owner, TransientError

PREFIX = "occopus:"
_TOKEN = f"{PREFIX}token"


class TokenUsedError(TransientError):
    """The token has already made an instance, for a request with other values."""


def own_tags(owner: Owner, token: str) -> dict[str, str]:
    """The tags that identify an instance of Occopus."""
    return {**_owner_tags(owner), _TOKEN: token}


def filters(owner: Owner) -> list[dict[str, Any]]:
    """Filters for instances with all given fields. ``*`` and ``?`` match anything, so more may be found."""
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in _owner_tags(owner).items()]


def token_filter(token: str) -> dict[str, Any]:
    """A filter for the instances of a token."""
    return {"Name": f"tag:{_TOKEN}", "Values": [token]}


def written(tags: Iterable[Mapping[str, str]]) -> tuple[Owner | None, str]:
    """Owner and token from the tags of an instance; None and empty for an instance that Occopus did not make."""
    found = {tag["Key"].removeprefix(PREFIX): tag["Value"] for tag in tags if tag["Key"].startswith(PREFIX)}
    if "installation" not in found:
        return None, found.get("token", "")
    owner = Owner(found["installation"], found.get("infra_id"), found.get("node_name"), found.get("node_id"))
    return owner, found.get("token", "")


def _owner_tags(owner: Owner) -> dict[str, str]:
    fields = {
        "installation": owner.installation,
        "infra_id": owner.infra_id,
        "node_name": owner.node_name,
        "node_id": owner.node_id,
    }
    return {f"{PREFIX}{name}": value for name, value in fields.items() if value is not None}
