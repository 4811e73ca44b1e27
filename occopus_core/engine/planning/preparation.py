"""From a blueprint to what is asked of the plugins for one instance, rendered in the scope of its infrastructure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.api.config import ConfigManager, ConfigNode
from occopus_core.api.context import Context
from occopus_core.api.resource import CreateRequest, Owner
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDescription
from occopus_core.engine.kernel.connections import Connections, Link
from occopus_core.registry import Registry
from occopus_core.render import Renderer


@dataclass(frozen=True, slots=True)
class Subject:
    """One instance that is to be, with the functions its templates may use."""

    node: NodeDescription
    node_id: str
    token: str
    implementation: Implementation
    functions: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a configuration manager is told of an instance."""

    link: Link[ConfigManager]
    node: ConfigNode


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is asked for: the request to the handler and, where there is one, to the configuration manager."""

    request: CreateRequest
    configuration: Configuration | None
    render: Renderer = dataclasses.field(repr=False)

    def health_values(self, implementation: Implementation, address: str) -> dict[str, Any]:
        """What each checker is to look at. Raises `TemplateError`."""
        return health_values(implementation, address, self.render)


def health_values(implementation: Implementation, address: str, render: Renderer) -> dict[str, Any]:
    """What each checker is to look at; one that is switched off is left out. Raises `TemplateError`."""
    checks = {key: value for key, value in implementation.health_check.checks.items() if value not in (False, None)}
    return render(checks, at="health_check", ip=address) if checks else {}


@dataclass(frozen=True, slots=True)
class Scope:
    """The infrastructure an instance is made for."""

    installation: str
    infra_id: str
    infrastructure: Infrastructure
    registry: Registry
    connections: Connections

    def owner(self) -> Owner:
        """Asks for everything of this infrastructure."""
        return Owner(self.installation, self.infra_id)

    def settings(self, subject: Subject) -> str:
        """The settings of the connection the instance is made on. Raises `TemplateError`."""
        render = self._renderer(subject)
        return self.connections.settings(subject.implementation, lambda value: render(value, at="resource"))

    def prepare(self, subject: Subject) -> Prepared:
        """Render everything for one instance; nobody is called but for `cmd()`. Raises `TemplateError`."""
        render, configuration = self._configured(subject)
        if configuration is not None:
            attributes = (subject.implementation.contextualisation or {}).get("attributes", {})
            rendered = render(attributes, at="contextualisation.attributes")
            node = dataclasses.replace(configuration.node, attributes=rendered)
            configuration = dataclasses.replace(configuration, node=node)
        request = CreateRequest(
            token=subject.token,
            owner=Owner(self.installation, self.infra_id, subject.node.name, subject.node_id),
            resource=render(dict(subject.implementation.resource), at="resource"),
            context=self._context(subject.implementation, render),
        )
        return Prepared(request, configuration, render)

    def health_values(self, subject: Subject, address: str) -> dict[str, Any]:
        """What each checker is to look at on an instance that runs. Raises `TemplateError`."""
        render, _ = self._configured(subject)
        return health_values(subject.implementation, address, render)

    def _configured(self, subject: Subject) -> tuple[Renderer, Configuration | None]:
        """The renderer with what a configuration manager adds to it."""
        render = self._renderer(subject)
        configuration = self._configuration(subject, render)
        if configuration is not None:
            render = render.extended(configuration.link.plugin.template_variables(configuration.node))
        return render, configuration

    def forget(self, subject: Subject) -> Link[ConfigManager] | None:
        """Have the configuration manager, where there is one, forget an instance; which one it was.

        Raises `ProviderError`.
        """
        configuration = self._configuration(subject, self._renderer(subject))
        if configuration is None:
            return None
        configuration.link.plugin.forget(configuration.node)
        return configuration.link

    def _renderer(self, subject: Subject) -> Renderer:
        node = subject.node
        names = {
            "infra_name": self.infrastructure.name,
            "infra_id": self.infra_id,
            "name": node.name,
            "node_id": subject.node_id,
            "user_id": self.infrastructure.user_id,
            "variables": node.variables,
        }
        place = f"node '{node.name}', node definition '{node.type}', implementation '{subject.implementation.label}'"
        return Renderer(names, subject.functions, place)

    def _configuration(self, subject: Subject, render: Renderer) -> Configuration | None:
        if subject.implementation.config_management is None:
            return None
        section = render(dict(subject.implementation.config_management), at="config_management")
        node = ConfigNode(
            installation=self.installation,
            infra_id=self.infra_id,
            infra_name=self.infrastructure.name,
            node_name=subject.node.name,
            node_id=subject.node_id,
            token=subject.token,
            section=section,
            variables=subject.node.variables,
        )
        return Configuration(self.connections.config(section), node)

    def _context(self, implementation: Implementation, render: Renderer) -> Context:
        section = implementation.contextualisation
        if section is None:
            return Context()
        return self.registry.context(section["type"])().contextualise(section, render)
