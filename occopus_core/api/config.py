"""The contract of a configuration manager: what a node is told about its software, and when it has obeyed."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from occopus_core.api.resource import Connection


class ConfigState(enum.Enum):
    """How far the configuration of a node has come."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """The state of one node's configuration, with a reason where it is not `READY`."""

    state: ConfigState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ConfigNode:
    """One instance as a configuration manager sees it."""

    infra_id: str
    node_name: str
    node_id: str
    section: Mapping[str, Any] = field(repr=False)
    """The `config_management` section, rendered."""
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """`contextualisation.attributes`, rendered; empty in `template_variables`, which they may depend on."""
    addresses: tuple[str, ...] = ()


class ConfigManager(ABC):
    """One connection to one configuration manager.

    Every method MUST be idempotent and raise nothing but `ProviderError`. MUST be thread-safe.
    """

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    @abstractmethod
    def schema(cls) -> Mapping[str, Any]:
        """JSON Schema (draft-07) of the `config_management` section, without `type`, which the core adds."""

    def template_variables(self, node: ConfigNode) -> Mapping[str, Any]:
        """More names for the node's templates. Calls nobody."""
        return {}

    def register(self, node: ConfigNode) -> None:
        """Make the node known before its instance is created."""
        return

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """How far each node has come, by node id, many at once."""
        return {node.node_id: ConfigStatus(ConfigState.READY) for node in nodes}

    def attributes(self, node: ConfigNode) -> Mapping[str, Any]:
        """What the node has published for others."""
        return {}

    def configure(self, node: ConfigNode) -> None:
        """Push the configuration to the running instance; for tools that push."""
        return

    def forget(self, node: ConfigNode) -> None:
        """Remove what `register` made."""
        return

    def forget_infrastructure(self, infra_id: str) -> None:
        """Remove what was made for the infrastructure as a whole."""
        return
