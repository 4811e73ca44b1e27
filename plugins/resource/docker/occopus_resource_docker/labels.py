"""Owner and token of a container as labels, and the search for them."""

from __future__ import annotations

from collections.abc import Mapping

from occopus_core.api import Owner

_PREFIX = "occopus."
TOKEN = f"{_PREFIX}token"
NETWORK = f"{_PREFIX}network"
"""The network that was asked for, empty where none was: Podman's lists do not have it."""
JOB = f"{_PREFIX}job"
"""It is to end with exit code 0."""
RESTARTED = f"{_PREFIX}restarted"
"""The engine restarts it when it exits."""
IMPORTED = f"{_PREFIX}imported"
"""Its image was imported for it, and goes with the last container of it."""


def own_labels(owner: Owner, token: str, network: str) -> dict[str, str]:
    """The labels by which a container is found again and understood. None is left to what its image may have."""
    return {**_of_owner(owner), TOKEN: token, NETWORK: network}


def fact_labels(**facts: bool) -> dict[str, str]:
    """Labels of what is true of a container, by the names `job`, `restarted` and `imported`."""
    return {f"{_PREFIX}{name}": "yes" for name, true in facts.items() if true}


def selectors(owner: Owner) -> list[str]:
    """Find what has all these labels."""
    return [TOKEN, *(f"{key}={value}" for key, value in _of_owner(owner).items())]


def written(labels: Mapping[str, str]) -> Owner | None:
    """The owner as the labels of a container have it; None for a container of others."""
    fields = {name: labels.get(f"{_PREFIX}{name}") for name in ("infra_id", "node_name", "node_id")}
    installation = labels.get(f"{_PREFIX}installation")
    return None if installation is None else Owner(installation, **fields)


def _of_owner(owner: Owner) -> dict[str, str]:
    fields = ("installation", "infra_id", "node_name", "node_id")
    found = {f"{_PREFIX}{name}": getattr(owner, name) for name in fields}
    return {key: value for key, value in found.items() if value is not None}
