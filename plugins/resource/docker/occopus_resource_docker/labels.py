"""Owner and token of a container as labels, and filters for them."""

from __future__ import annotations

from collections.abc import Mapping

from occopus_core.api import Owner

_PREFIX = "occopus."
TOKEN = f"{_PREFIX}token"
NETWORK = f"{_PREFIX}network"
"""The requested network, empty without one: Podman's lists do not have it."""
JOB = f"{_PREFIX}job"
"""The container is expected to end with exit code 0."""
RESTARTED = f"{_PREFIX}restarted"
"""The engine restarts the container when it exits."""
IMPORTED = f"{_PREFIX}imported"
"""The image was imported for the container, and is deleted with its last container."""


def own_labels(owner: Owner, token: str, network: str) -> dict[str, str]:
    """The labels that identify and describe a container. Each is set, so that none is inherited from the image."""
    return {**_of_owner(owner), TOKEN: token, NETWORK: network}


def fact_labels(**facts: bool) -> dict[str, str]:
    """Labels for the properties of a container named `job`, `restarted` and `imported`."""
    return {f"{_PREFIX}{name}": "yes" for name, true in facts.items() if true}


def selectors(owner: Owner) -> list[str]:
    """A filter for all of these labels."""
    return [TOKEN, *(f"{key}={value}" for key, value in _of_owner(owner).items())]


def written(labels: Mapping[str, str]) -> Owner | None:
    """The owner from the labels of a container; None for a container that Occopus did not make."""
    fields = {name: labels.get(f"{_PREFIX}{name}") for name in ("infra_id", "node_name", "node_id")}
    installation = labels.get(f"{_PREFIX}installation")
    return None if installation is None else Owner(installation, **fields)


def _of_owner(owner: Owner) -> dict[str, str]:
    fields = ("installation", "infra_id", "node_name", "node_id")
    found = {f"{_PREFIX}{name}": getattr(owner, name) for name in fields}
    return {key: value for key, value in found.items() if value is not None}
