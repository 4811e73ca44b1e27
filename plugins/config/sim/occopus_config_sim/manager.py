"""The plugin of the simulated configuration manager."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import (
    ConfigManager,
    ConfigNode,
    ConfigState,
    ConfigStatus,
    Connection,
    PermanentError,
    Registered,
    load_schema,
)
from occopus_core.api.seconds import MOST_SECONDS

_NUMBERS = ("seconds", "queued_seconds", "leave_seconds")
_PAGE = 1000


class SimManager(ConfigManager):
    """One simulated configuration manager."""

    contract_version: ClassVar[int] = 1
    max_concurrency: ClassVar[int] = 16
    poll_seconds: ClassVar[tuple[float, float]] = (0.05, 5.0)
    leave_seconds: ClassVar[float] = 30.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import the HTTP library.
        from occopus_config_sim.client import Client  # noqa: PLC0415

        super().__init__(connection)
        self._client = Client(connection, self.max_concurrency)

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `config_management` section of type `sim`."""
        return load_schema("occopus_config_sim")

    def check(self, node: ConfigNode) -> None:
        """Raises `PermanentError` for a value that is not a number of seconds within bounds."""
        _section(node)

    def template_variables(self, node: ConfigNode) -> Mapping[str, Any]:
        """`sim_manager`: the endpoint."""
        return {"sim_manager": str(node.section.get("endpoint", ""))}

    def register(self, node: ConfigNode) -> None:
        """One call. Raises `ProviderError`."""
        self._client.call("register", {"nodes": [_body(node)]}, dict)

    def configure(self, node: ConfigNode) -> None:
        """One call. Raises `ProviderError`."""
        self._client.call("configure", {"nodes": [_body(node)]}, dict)

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """One call for every 1,000 nodes. Raises `ProviderError`."""
        found: dict[str, ConfigStatus] = {}
        for start in range(0, len(nodes), _PAGE):
            page = nodes[start : start + _PAGE]
            body = {"nodes": list(map(_owner, page))}
            found.update(self._client.call("status", body, functools.partial(_statuses, page)))
        return found

    def cancel(self, nodes: Sequence[ConfigNode]) -> None:
        """One call. Raises `ProviderError`."""
        self._client.call("cancel", {"nodes": list(map(_owner, nodes))}, dict)

    def leave(self, node: ConfigNode) -> bool:
        """One call. Raises `ProviderError`."""
        return self._client.call("leave", {"nodes": [_owner(node)]}, lambda answer: answer["left"] is True)

    def forget(self, node: ConfigNode) -> None:
        """One call. Raises `ProviderError`."""
        self._client.call("forget", {"nodes": [_owner(node)]}, dict)

    def forget_infrastructure(self, infra_id: str) -> None:
        """One call. Raises `ProviderError`."""
        self._client.call("forget_infrastructure", {"infra_id": infra_id}, dict)

    def list_registered(self, installation: str) -> Iterable[Registered]:
        """One call. Raises `ProviderError`."""
        return self._client.call("list", {"installation": installation}, _registered)


def _owner(node: ConfigNode) -> dict[str, str]:
    return {
        "node_id": node.node_id,
        "installation": node.installation,
        "infra_id": node.infra_id,
        "node_name": node.node_name,
    }


def _section(node: ConfigNode) -> dict[str, Any]:
    """The section, with rendered texts converted to numbers. Raises `PermanentError`."""
    section = dict(node.section)
    for key in _NUMBERS:
        if key in section:
            section[key] = _number(key, section[key])
    return section


def _number(key: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 <= number <= MOST_SECONDS:
        raise PermanentError(f"config_management.{key} must be a number from 0 to {MOST_SECONDS}, not {value!r}")
    return number


def _body(node: ConfigNode) -> dict[str, Any]:
    return {
        **_owner(node),
        "token": node.token,
        "section": _section(node),
        "attributes": dict(node.attributes),
        "mapped": dict(node.mapped),
        "generation": node.generation,
        "addresses": [address.value for address in node.addresses],
        "peers": [f"{peer.node_name} {peer.addresses[0].value}" for peer in node.peers if peer.addresses],
    }


def _statuses(nodes: Sequence[ConfigNode], answer: Mapping[str, Any]) -> dict[str, ConfigStatus]:
    found = answer["status"]
    return {
        node.node_id: ConfigStatus(
            ConfigState(found[node.node_id]["state"]),
            reason=str(found[node.node_id].get("reason", "")),
            progress=str(found[node.node_id].get("progress", "")),
            attributes=dict(found[node.node_id].get("attributes", {})),
            generation=str(found[node.node_id].get("generation", "")),
            output=str(found[node.node_id].get("output", "")),
        )
        for node in nodes
    }


def _registered(answer: Mapping[str, Any]) -> list[Registered]:
    return [Registered(each["infra_id"], each["node_name"], each["node_id"]) for each in answer["nodes"]]
