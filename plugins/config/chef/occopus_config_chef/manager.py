"""Chef: each instance is a node of the server, in the environment of its infrastructure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from occopus_core.api import (
    ConfigManager,
    ConfigNode,
    ConfigState,
    ConfigStatus,
    Connection,
    NotFoundError,
    PermanentError,
    Registered,
)

if TYPE_CHECKING:
    from occopus_config_chef.server import ChefServer

_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""Valid names of environments and roles on a Chef server."""
_RUN_LIST_ITEM = r"^((recipe|role)\[[A-Za-z0-9_.:@-]+\]|[A-Za-z0-9_.:@-]+|.*\{[{%].*)$"
_TERMS = 25
"""The most infrastructures in one search."""
_ROLE = re.compile(r"role\[([^\]]+)\]")


class Chef(ConfigManager):
    """Registers instances at a Chef server; the clients on the instances configure them.

    The name of the environment is the infrastructure's id, that of a node's role ``<infrastructure id>_<node name>``,
    that of a Chef node the node id. An instance is ready when the server has seen a converge after the last
    configuration.
    """

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)
    max_concurrency: ClassVar[int] = 8
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 10.0)
    live: ClassVar[bool] = True

    def __init__(self, connection: Connection, *, now: Callable[[], datetime] | None = None) -> None:
        super().__init__(connection)
        self._now = now
        self._connected: ChefServer | None = None

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `ConfigManager.schema`."""
        return {
            "type": "object",
            "required": ["endpoint", "run_list"],
            "additionalProperties": False,
            "properties": {
                "endpoint": {
                    "description": "URL of the server: of a Chef Infra Server with its organisation, "
                    "https://HOST/organizations/NAME; of goiardi without.",
                    "type": "string",
                    "minLength": 1,
                    "examples": ["https://chef.example.com/organizations/acme"],
                },
                "run_list": {
                    "description": "What the node runs, in this order: recipes and roles.",
                    "type": "array",
                    "items": {
                        "type": "string",
                        "pattern": _RUN_LIST_ITEM,
                        "patternErrorMessage": "is not an item of a run list, such as recipe[apache2] or role[base]",
                    },
                    "examples": [["recipe[apache2]", "role[base]"]],
                },
            },
        }

    def check(self, node: ConfigNode) -> None:
        """Refuse an id that is no valid name of an environment. Raises `PermanentError`."""
        if not _NAME.fullmatch(node.infra_id):
            raise PermanentError(
                f"the id of the infrastructure, '{node.infra_id}', cannot name a Chef environment: use letters, digits,"
                " '-' and '_' only"
            )

    def register(self, node: ConfigNode) -> None:
        """Make environment, role and node; existing ones stay. Raises `ProviderError`."""
        from occopus_config_chef import objects  # noqa: PLC0415

        server = self._server
        self._refuse_unknown_roles(node)
        self._ensure("environments", objects.environment(node.infra_id, node.infra_name))
        self._ensure("roles", objects.role(node))
        present = self._find(node.node_id)
        if present is None:
            self._ensure("nodes", objects.chef_node(node))
        elif objects.mark_of(present).get("generation") != node.generation:
            server.put("nodes", node.node_id, body=objects.chef_node(node, present))

    def configure(self, node: ConfigNode) -> None:
        """Set the run list and attributes of the node; its client applies them at its next run."""
        self.register(node)

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """Ready after a converge. One search covers many infrastructures; missing nodes are requested by name."""
        if not nodes:
            return {}
        found = self._indexed(sorted({node.infra_id for node in nodes}))
        if any(node.node_id not in found for node in nodes):
            named = self._server.get("nodes")
            late = [node.node_id for node in nodes if node.node_id in named and node.node_id not in found]
            found.update((node_id, self._find(node_id)) for node_id in late)
        return {node.node_id: self._status(node, found.get(node.node_id)) for node in nodes}

    def forget(self, node: ConfigNode) -> None:
        """Delete the node and its client; a remaining client would block the next one of that name."""
        self._server.delete("nodes", node.node_id)
        self._server.delete("clients", node.node_id)

    def forget_infrastructure(self, infra_id: str) -> None:
        """Delete the environment and the roles of the infrastructure's nodes."""
        from occopus_config_chef import objects  # noqa: PLC0415

        for name in self._server.get("roles"):
            if objects.infrastructure_of(name) == infra_id:
                self._server.delete("roles", name)
        self._server.delete("environments", infra_id)

    def list_registered(self, installation: str) -> Iterable[Registered]:
        """Every node with an Occopus attribute of this installation."""
        from occopus_config_chef import objects  # noqa: PLC0415

        for row in self._server.search_nodes("*:*"):
            mark = objects.mark_of(row)
            if mark.get("installation") == installation:
                yield Registered(str(mark.get("infra_id")), str(mark.get("node_name")), str(row.get("name")))

    @property
    def _server(self) -> ChefServer:
        if self._connected is None:
            # Imported late: reading the schema must not import the libraries.
            from occopus_config_chef import server  # noqa: PLC0415

            self._connected = server.ChefServer(self.connection, self._now or server.time_of_day)
        return self._connected

    def _indexed(self, infra_ids: Sequence[str]) -> dict[str, Mapping[str, Any] | None]:
        """The nodes of these infrastructures in the server's index, by node id."""
        found: dict[str, Mapping[str, Any] | None] = {}
        for start in range(0, len(infra_ids), _TERMS):
            terms = (f"chef_environment:{infra_id}" for infra_id in infra_ids[start : start + _TERMS])
            found.update((str(row.get("name")), row) for row in self._server.search_nodes(" OR ".join(terms)))
        return found

    def _status(self, node: ConfigNode, found: Mapping[str, Any] | None) -> ConfigStatus:
        from occopus_config_chef import objects  # noqa: PLC0415

        if found is not None and objects.mark_of(found).get("generation") != node.generation:
            found = self._find(node.node_id)  # the index lags
        if found is None:
            return ConfigStatus(ConfigState.UNKNOWN, "the Chef server does not know the node")
        if objects.mark_of(found).get("generation") != node.generation:
            # A client that was just running saves the attributes with which it started.
            return ConfigStatus(ConfigState.UNKNOWN, "the Chef server has another configuration of the node")
        if not objects.converged(found):
            reason = "the Chef server has not seen a converge of the node yet"
            return ConfigStatus(ConfigState.PENDING, reason, generation=node.generation)
        return ConfigStatus(ConfigState.READY, attributes=objects.published(found), generation=node.generation)

    def _find(self, node_id: str) -> dict[str, Any] | None:
        try:
            return self._server.get("nodes", node_id)
        except NotFoundError:
            return None

    def _ensure(self, kind: str, body: Mapping[str, Any]) -> None:
        from occopus_config_chef.server import ConflictError  # noqa: PLC0415

        try:
            self._server.post(kind, body=body)
        except ConflictError:
            return

    def _refuse_unknown_roles(self, node: ConfigNode) -> None:
        """Raises `NotFoundError`: with a missing role, every run of the client would fail."""
        wanted = [match[1] for item in node.section.get("run_list", ()) if (match := _ROLE.fullmatch(item))]
        known = self._server.get("roles") if wanted else {}
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise NotFoundError(f"config_management.run_list: the Chef server has no role '{unknown[0]}'")
