"""Renders the requests for one instance from its blueprint, in the scope of its infrastructure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from occopus_core.api.config import ConfigNode
from occopus_core.api.context import Context
from occopus_core.api.resource import CreateRequest, Feature, Owner
from occopus_core.api.ssh import HostKeyPair, generate_host_key
from occopus_core.descriptions.model import Implementation, Infrastructure, NodeDescription
from occopus_core.engine.kernel.config_managers import ManagerConnection
from occopus_core.engine.kernel.connections import Connections
from occopus_core.registry import Registry
from occopus_core.render import Allowance, Renderer, TemplateError
from occopus_core.template_inspection import calls_commands
from occopus_core.templates_1x import Templates1x
from occopus_core.variables import plain


@dataclass(frozen=True, slots=True)
class Subject:
    """One instance to be created, with the functions its templates may use."""

    node: NodeDescription
    node_id: str
    token: str
    implementation: Implementation
    functions: Mapping[str, object]
    mapped: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    """Attributes published by dependees, by the names that `mappings` give them. Templates see those that are names."""
    host_key: Callable[[], HostKeyPair] = generate_host_key
    """Generates the SSH host key that user data may ask for."""

    def quiet(self) -> Subject:
        """A copy that runs no commands: `cmd()` returns an empty text."""
        return dataclasses.replace(self, functions={**self.functions, "cmd": lambda _command: ""})


@dataclass(frozen=True, slots=True)
class Configuration:
    """A node as its configuration manager gets it. `kept` is the same without the output of `cmd()`.

    `settings` are the connection's settings, as canonical JSON. The connection keys are kept as they are.
    """

    link: ManagerConnection
    settings: str
    node: ConfigNode
    kept: ConfigNode


@dataclass(frozen=True, slots=True)
class Prepared:
    """The request to the handler and, if the node has a configuration manager, the node as the manager gets it."""

    request: CreateRequest
    configuration: Configuration | None
    render: Renderer = dataclasses.field(repr=False)

    def health_values(self, implementation: Implementation, address: str) -> dict[str, Any]:
        """The rendered value for each health checker. Raises `TemplateError`."""
        return health_values(implementation, address, self.render)


def health_values(implementation: Implementation, address: str, render: Renderer) -> dict[str, Any]:
    """The rendered value for each health checker that is switched on. Takes milliseconds.

    Raises `TemplateError`, also for a template that is not plain.
    """
    checks = {key: value for key, value in implementation.health_check.checks.items() if value not in (False, None)}
    return render.plainly()(checks, at="health_check", ip=address) if checks else {}


@dataclass(frozen=True, slots=True)
class Scope:
    """The infrastructure that an instance belongs to."""

    installation: str
    infra_id: str
    infrastructure: Infrastructure
    registry: Registry
    connections: Connections
    former: bool = False
    """True if templates follow the rules of 1.x, see `occopus_core.templates_1x.Manners`."""
    warn: Callable[[str], object] = lambda _: None
    """Called with a warning for each correction made in a template."""
    allowance: Allowance = dataclasses.field(default_factory=Allowance, repr=False, compare=False)
    """The limit on the cost of its templates; records whether rendering was cut off."""
    faults: list[TemplateError] | None = dataclasses.field(default=None, repr=False, compare=False)
    """If it is a list, it gets each fault of a template, whose text becomes empty, and rendering goes on."""

    def owner(self) -> Owner:
        """The owner named in all calls for this infrastructure."""
        return Owner(self.installation, self.infra_id)

    def settings(self, subject: Subject) -> str:
        """The settings of the connection on which the instance is created. Takes milliseconds.

        Raises `TemplateError`, also for a template that is not plain.
        """
        render = self._renderer(subject).plainly()
        return self.connections.settings(subject.implementation, lambda value: render(value, at="resource"))

    def resource(self, subject: Subject) -> dict[str, Any]:
        """The rendered `resource` section. Runs in the pool. Raises `TemplateError`, `PluginError`."""
        return self._typed_resource(subject.implementation, self._renderer(subject))

    def prepare(self, subject: Subject) -> Prepared:
        """Render everything for one instance. May run commands (`cmd()`): runs in the pool.

        Raises `TemplateError`, and the `ProviderError` of a configuration manager that breaks its contract.
        """
        configuration = self.configuration(subject)
        render = self._extended(subject, configuration.link, configuration.node) if configuration else None
        render = render or self._renderer(subject)
        request = CreateRequest(
            token=subject.token,
            owner=Owner(self.installation, self.infra_id, subject.node.name, subject.node_id),
            resource=self._typed_resource(subject.implementation, render),
            context=self._context(subject.implementation, render),
        )
        return Prepared(request, configuration, render)

    def configuration(self, subject: Subject) -> Configuration | None:
        """The node as its configuration manager gets it; None without a manager. Runs in the pool.

        Raises `TemplateError`, `ProviderError`.
        """
        if subject.implementation.config_management is None:
            return None
        link, node = self._config_node(subject)
        return self._configuration(subject, link, node, self.connections.manager_settings(node.section))

    def foreseen(self, subject: Subject, settings: str | None = None) -> Configuration | None:
        """The same without running commands, for comparison with the recorded configuration.

        `settings` are the recorded ones, used if only a command could render them.
        """
        section = subject.implementation.config_management
        if section is None:
            return None
        link, node = self._config_node(subject.quiet())
        keys = self.registry.config(section["type"]).connection_keys
        if settings is None or not calls_commands([section.get(key) for key in keys]):
            settings = self.connections.manager_settings(node.section)
        return self._configuration(subject, link, node, settings)

    def _configuration(
        self, subject: Subject, link: ManagerConnection, node: ConfigNode, settings: str
    ) -> Configuration:
        _, kept = self._config_node(subject.quiet(), link)
        section = {**kept.section, **json.loads(settings)}
        kept = dataclasses.replace(kept, section=section)
        generation = _generation(self.installation, kept)
        return Configuration(
            link,
            settings,
            dataclasses.replace(node, generation=generation),
            dataclasses.replace(kept, generation=generation),
        )

    def health_values(self, subject: Subject, address: str) -> dict[str, Any]:
        """The rendered value for each health checker, on a running instance. Raises `TemplateError`."""
        render = self._renderer(subject)
        if subject.implementation.config_management is not None:
            section = self._typed_config(subject)
            render = self._extended(subject, self.connections.config(section), self._node(subject, section))
        return health_values(subject.implementation, address, render)

    def _extended(self, subject: Subject, link: ManagerConnection, node: ConfigNode) -> Renderer:
        """The renderer with the template variables of the configuration manager."""
        bare = dataclasses.replace(node, attributes={}, generation="")
        return self._renderer(subject).extended(link.template_variables(bare))

    def _config_node(
        self, subject: Subject, link: ManagerConnection | None = None
    ) -> tuple[ManagerConnection, ConfigNode]:
        implementation = subject.implementation
        render = self._renderer(subject)
        section = self._typed_config(subject)
        link = link or self.connections.config(section)
        node = self._node(subject, section)
        attributes = (implementation.contextualisation or {}).get("attributes") or {}
        if attributes:
            render = self._extended(subject, link, node)
            attributes = render(attributes, at="contextualisation.attributes")
        return link, dataclasses.replace(node, attributes=attributes)

    def _typed_resource(self, implementation: Implementation, render: Renderer) -> dict[str, Any]:
        source = self._resource(implementation)
        rendered = render(source, at="resource")
        return self.registry.typed("resource", source["type"], rendered, source, implementation.digest)

    def _typed_config(self, subject: Subject) -> dict[str, Any]:
        source = _managed(subject.implementation)
        rendered = self._renderer(subject)(source, at="config_management")
        return self.registry.typed("config", source["type"], rendered, source, subject.implementation.digest)

    def _resource(self, implementation: Implementation) -> dict[str, Any]:
        """The section without the key by which the core stops instances."""
        section = dict(implementation.resource)
        if Feature.STOP in self.registry.resource(section["type"]).features:
            section.pop("stop_seconds", None)
        return section

    def _renderer(self, subject: Subject) -> Renderer:
        node = subject.node
        attributes = (subject.implementation.contextualisation or {}).get("attributes") or {}
        names = {
            "type": node.type,
            "scaling": {"min": node.scaling.min, "max": node.scaling.max},
            "resource": subject.implementation.resource,
            "attributes": attributes,
            **{name: value for name, value in subject.mapped.items() if name.isidentifier()},
            "infra_name": self.infrastructure.name,
            "infra_id": self.infra_id,
            "name": node.name,
            "node_id": subject.node_id,
            "user_id": self.infrastructure.user_id,
            "variables": node.variables,
        }
        place = f"node '{node.name}', node definition '{node.type}', implementation '{subject.implementation.label}'"
        manners = Templates1x(self.infrastructure.node_names, self.former, self.warn)
        return Renderer(names, subject.functions, place, subject.host_key, manners, self.allowance, faults=self.faults)

    def _node(self, subject: Subject, section: Mapping[str, Any]) -> ConfigNode:
        return ConfigNode(
            installation=self.installation,
            infra_id=self.infra_id,
            infra_name=self.infrastructure.name,
            node_name=subject.node.name,
            node_id=subject.node_id,
            token=subject.token,
            section=section,
            mapped=subject.mapped,
            variables=plain(subject.node.variables),
        )

    def _context(self, implementation: Implementation, render: Renderer) -> Context:
        section = implementation.contextualisation
        if section is None:
            return Context()
        return self.registry.contextualised(section, render)


def _managed(implementation: Implementation) -> dict[str, Any]:
    """The section of the configuration manager without the core's own key."""
    return {key: value for key, value in (implementation.config_management or {}).items() if key != "max_parallel"}


def _generation(salt: str, node: ConfigNode) -> str:
    """A salted digest. A section may hold passwords, which could be guessed from a plain digest."""
    content = [salt, dict(node.section), dict(node.attributes), dict(node.mapped)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]
