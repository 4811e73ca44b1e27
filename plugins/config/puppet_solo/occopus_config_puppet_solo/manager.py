"""Puppet without a server: the cloud-init template of the node uses the values of the section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from occopus_core.api import ConfigManager, ConfigNode, ConfigState, ConfigStatus, PermanentError


class Words(tuple[str, ...]):
    """A list that a template renders as its items separated by spaces, as a shell's `for` expects."""

    __slots__ = ()

    def __str__(self) -> str:
        return " ".join(self)


class PuppetSolo(ConfigManager):
    """Adds the name `puppet` to the templates of a node. The node's cloud-init runs Puppet; there is no server.

    The progress of Puppet is unknown: the health checks of the node decide when it is ready. A change of the section
    changes the user data, so the node is replaced.
    """

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ()
    live: ClassVar[bool] = False

    @classmethod
    def schema(cls) -> Mapping[str, Any]:
        """See `ConfigManager.schema`."""
        return {
            "type": "object",
            "required": ["manifests"],
            "additionalProperties": False,
            "properties": {
                "manifests": {
                    "description": "URLs of the manifests: in templates `puppet.manifests`.",
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "examples": [["https://example.com/manifests/init.pp"]],
                },
                "modules": {
                    "description": "Names of the Puppet modules to install: in templates `puppet.modules`.",
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "default": [],
                    "examples": [["puppetlabs-mysql", "puppetlabs-stdlib"]],
                },
                "attributes": {
                    "description": "Attributes of the manifests, mappings of one key each: in templates "
                    "`puppet.attributes`.",
                    "type": "array",
                    "items": {"type": "object", "minProperties": 1, "maxProperties": 1},
                    "default": [],
                    "examples": [[{"mysql::server::root_password": "{{variables.password}}"}]],
                },
            },
        }

    def check(self, node: ConfigNode) -> None:
        """Refuse items with white space, which the node's shell would split. Raises `PermanentError`."""
        for key in ("manifests", "modules"):
            for item in node.section.get(key, ()):
                if not item or any(character.isspace() for character in item):
                    raise PermanentError(f"config_management.{key}: expected an item without white space, got {item!r}")

    def template_variables(self, node: ConfigNode) -> Mapping[str, Any]:
        """The name `puppet`: `manifests` and `modules` (lists that render as words), and `attributes` (a list)."""
        section = node.section
        return {
            "puppet": {
                "manifests": Words(section["manifests"]),
                "modules": Words(section.get("modules", ())),
                "attributes": list(section.get("attributes", ())),
            }
        }

    def status(self, nodes: Sequence[ConfigNode]) -> Mapping[str, ConfigStatus]:
        """Ready at once: the user data of the node contains everything."""
        return {node.node_id: ConfigStatus(ConfigState.READY, generation=node.generation) for node in nodes}
